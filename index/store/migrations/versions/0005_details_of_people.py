"""What is kept of a person beside the name, until when, and the version that a change is of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    """Add the columns, empty for everybody."""
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
