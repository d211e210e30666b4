"""What requests with an idempotency key were answered, and galleries that were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make empty tables."""
    op.create_table(
        "used_keys",
        sa.Column("id", _row_id(), nullable=False),
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
        sa.Column("used_key_id", _row_id(), nullable=False),
        sa.Column("gallery_id", _row_id(), nullable=False),
        sa.Column("subject_id", _row_id()),
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
        sa.Column("id", _row_id(), nullable=False),
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


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
