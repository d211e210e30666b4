"""What was decided, the queue of faces that a person looks at, and sealed crops of faces."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None

# Of SQLite its own row number, which needs no index beside the table.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables; their rows go with their subject."""
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
