"""The first tables: galleries, subjects, templates, changes and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create everything."""
    _create_galleries()
    _create_subjects()
    _create_templates()
    _create_changes()
    _create_api_keys()


def _create_galleries() -> None:
    op.create_table(
        "galleries",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_galleries"),
        sa.UniqueConstraint("public_id", name="uq_galleries_public_id"),
        sa.UniqueConstraint("name", name="uq_galleries_name"),
        sqlite_autoincrement=True,
    )


def _create_subjects() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("gallery_id", _ROW_ID, nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("external_id", sa.String(255)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subjects"),
        sa.ForeignKeyConstraint(
            ["gallery_id"],
            ["galleries.id"],
            name="fk_subjects_gallery_id_galleries",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("public_id", name="uq_subjects_public_id"),
        sa.UniqueConstraint("gallery_id", "name", name="uq_subjects_gallery_id_name"),
        sa.UniqueConstraint(
            "gallery_id", "external_id", name="uq_subjects_gallery_id_external_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_subjects_gallery_id_subjects_id", "subjects", ["gallery_id", "id"])


def _create_templates() -> None:
    op.create_table(
        "templates",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("gallery_id", _ROW_ID, nullable=False),
        sa.Column("subject_id", _ROW_ID),
        sa.Column("face_id", sa.String(255), nullable=False),
        sa.Column("image_id", sa.String(255), nullable=False),
        sa.Column("image_hash", sa.LargeBinary(64), nullable=False),
        sa.Column("box_left", sa.Double(), nullable=False),
        sa.Column("box_top", sa.Double(), nullable=False),
        sa.Column("box_right", sa.Double(), nullable=False),
        sa.Column("box_bottom", sa.Double(), nullable=False),
        sa.Column("photo_width", sa.Integer(), nullable=False),
        sa.Column("photo_height", sa.Integer(), nullable=False),
        sa.Column("landmarks", sa.LargeBinary(40), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("quality", sa.Double(), nullable=False),
        sa.Column("norm", sa.Double(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("sealed_embedding", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", sa.LargeBinary(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
        sa.ForeignKeyConstraint(
            ["gallery_id"],
            ["galleries.id"],
            name="fk_templates_gallery_id_galleries",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subjects.id"],
            name="fk_templates_subject_id_subjects",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("public_id", name="uq_templates_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_templates_gallery_id_templates_id", "templates", ["gallery_id", "id"])
    op.create_index("ix_templates_subject_id", "templates", ["subject_id"])


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("gallery_id", _ROW_ID, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(36)),
        sa.Column("template", sa.String(36)),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("gallery_id", "sequence", name="pk_changes"),
        sa.ForeignKeyConstraint(
            ["gallery_id"],
            ["galleries.id"],
            name="fk_changes_gallery_id_galleries",
            ondelete="CASCADE",
        ),
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("galleries", sa.String()),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
    )
