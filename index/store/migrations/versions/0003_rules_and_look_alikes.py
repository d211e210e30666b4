"""How a gallery decides, and subjects that a photo may not tell apart."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that say nothing yet, and an empty table."""
    op.add_column("galleries", sa.Column("fusion", sa.String(32)))
    op.add_column("galleries", sa.Column("max_templates", sa.Integer()))
    op.add_column("galleries", sa.Column("smallest_lead", sa.Double()))
    op.create_table(
        "look_alikes",
        sa.Column("subject_id", _row_id(), nullable=False),
        sa.Column("other_id", _row_id(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "other_id", name="pk_look_alikes"),
        *(
            sa.ForeignKeyConstraint(
                [column],
                ["subjects.id"],
                name=f"fk_look_alikes_{column}_subjects",
                ondelete="CASCADE",
            )
            for column in ("subject_id", "other_id")
        ),
    )
    op.create_index("ix_look_alikes_other_id", "look_alikes", ["other_id"])


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
