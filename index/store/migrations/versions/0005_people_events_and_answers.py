"""What is kept of people, what was decided of faces, and what requests were answered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Of SQLite its own row number, which needs no index beside the table.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    """Add columns and tables, all empty."""
    _details_of_people()
    _events_reviews_and_crops()
    _kept_answers_and_deleted_galleries()


def _details_of_people() -> None:
    for column in (
        sa.Column("metadata", sa.String()),
        sa.Column("purpose", sa.String(200)),
        sa.Column("consent", sa.String(255)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.String(16)),
    ):
        op.add_column("subjects", column)
    op.create_index(
        "ix_subjects_expires_at",
        "subjects",
        ["expires_at"],
        sqlite_where=_EXPIRES,
        postgresql_where=_EXPIRES,
    )


def _events_reviews_and_crops() -> None:
    """Their rows go with their subject."""
    op.create_table(
        "events",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("gallery", sa.String(36), nullable=False),
        sa.Column("subject_id", _NUMBER),
        sa.Column("decision", sa.String(32), nullable=False),
        sa.Column("face", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(64)),
        sa.Column("request", sa.String(64)),
        sa.Column("review", sa.String(36)),
        sa.Column("verdict", sa.String(32)),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subjects.id"],
            name="fk_events_subject_id_subjects",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_events_subject_id", "events", ["subject_id"])
    op.create_table(
        "reviews",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("subject_id", _NUMBER, nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("reasons", sa.String(), nullable=False),
        sa.Column("face", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(64)),
        sa.Column("request", sa.String(64)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(64)),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
        sa.Column("verdict", sa.String(32)),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("public_id", name="uq_reviews_public_id"),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subjects.id"],
            name="fk_reviews_subject_id_subjects",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reviews_subject_id", "reviews", ["subject_id"])
    op.create_table(
        "crops",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("template_id", _NUMBER),
        sa.Column("review_id", _NUMBER),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_crops"),
        *(
            sa.ForeignKeyConstraint(
                [f"{of}_id"],
                [f"{of}s.id"],
                name=f"fk_crops_{of}_id_{of}s",
                ondelete="CASCADE",
            )
            for of in ("template", "review")
        ),
        *(
            sa.UniqueConstraint(f"{of}_id", name=f"uq_crops_{of}_id")
            for of in ("template", "review")
        ),
        sqlite_autoincrement=True,
    )


def _kept_answers_and_deleted_galleries() -> None:
    op.create_table(
        "used_keys",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("code", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_used_keys"),
        sa.UniqueConstraint("code", name="uq_used_keys_code"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_used_keys_expires_at", "used_keys", ["expires_at"])
    op.create_index("ix_used_keys_caller_used_keys_id", "used_keys", ["caller", "id"])
    op.create_table(
        "kept_answers",
        sa.Column("used_key_id", _NUMBER, nullable=False),
        sa.Column("gallery_id", _NUMBER, nullable=False),
        sa.Column("subject_id", _NUMBER),
        sa.Column("request_code", sa.LargeBinary(32), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("used_key_id", name="pk_kept_answers"),
        *(
            sa.ForeignKeyConstraint(
                [column],
                [f"{table}.id"],
                name=f"fk_kept_answers_{column}_{table}",
                ondelete="CASCADE",
            )
            for column, table in (
                ("used_key_id", "used_keys"),
                ("gallery_id", "galleries"),
                ("subject_id", "subjects"),
            )
        ),
    )
    for column in ("subject_id", "gallery_id"):
        op.create_index(f"ix_kept_answers_{column}", "kept_answers", [column])
    op.create_table(
        "deleted_galleries",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("num_templates", sa.BigInteger(), nullable=False),
        sa.Column("num_subjects", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purged_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_galleries"),
        sa.UniqueConstraint("public_id", name="uq_deleted_galleries_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deleted_galleries_name", "deleted_galleries", ["name"])
