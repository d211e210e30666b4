"""Counters of a gallery, gallery spaces, row ids in the change log, facts of the store."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and count what is there."""
    op.add_column("galleries", _count("num_templates"))
    op.add_column("galleries", _count("num_subjects"))
    op.add_column("galleries", sa.Column("space_id", sa.String(36)))
    op.add_column("galleries", sa.Column("sealed_space", sa.LargeBinary()))
    op.add_column("templates", sa.Column("space_id", sa.String(36)))
    op.add_column("changes", sa.Column("template_row", sa.BigInteger()))
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.execute(
        "UPDATE galleries SET"
        " num_templates = (SELECT count(*) FROM templates"
        "  WHERE templates.gallery_id = galleries.id),"
        " num_subjects = (SELECT count(DISTINCT templates.subject_id) FROM templates"
        "  WHERE templates.gallery_id = galleries.id)"
    )
    op.execute(
        "UPDATE changes SET template_row = (SELECT templates.id FROM templates"
        "  WHERE templates.public_id = changes.template)"
        " WHERE changes.template IS NOT NULL"
    )


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
