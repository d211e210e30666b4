"""The tables of a batch's state: a SQLite file of its own beside the galleries.

It holds no names and no vectors, but the paths of photos.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

VERSION = 1
"""Of these tables; another one is refused."""

METADATA = MetaData()

facts = Table(
    "facts",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", String, nullable=False),
)

sources = Table(
    "sources",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("address", String, nullable=False, unique=True),
)

photos = Table(
    "photos",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    # What names the photo in its source.
    Column("key", String, nullable=False),
    Column("state", String(16), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    # Keyed hashes; NULL for what is not known.
    Column("content_hash", LargeBinary(32)),
    Column("name_digest", LargeBinary(16)),
    Column("external_digest", LargeBinary(16)),
    # Of the metadata that were written for it; files of before have no such column.
    Column("metadata_digest", LargeBinary(16)),
    # Why it failed: a code and a sentence.
    Column("error", String(64)),
    Column("message", String),
    # The commit that it was to be part of, and where the gallery's log stood before.
    Column("lot", BigInteger),
    Column("lot_sequence", BigInteger),
    Column("image_id", String(255)),
    Column("template_id", String(36)),
    # The template of what the photo was before, until it is removed.
    Column("replaced_id", String(36)),
    # The last run that met it.
    Column("run", BigInteger, nullable=False),
    UniqueConstraint("source_id", "key"),
    # All that is asked of a photo's bytes: a million may be of the same picture of nobody.
    Index("ix_photos_content_of_name", "content_hash", "state", "name_digest"),
    Index("ix_photos_content_of_external", "content_hash", "state", "external_digest"),
    Index("ix_photos_image_id", "image_id"),
    Index("ix_photos_template_id", "template_id"),
    Index("ix_photos_state_lot", "state", "lot"),
)
