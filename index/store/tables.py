"""The tables; plain SQL types only, so that SQLite and PostgreSQL both hold them.

Integer ids stay inside the store and are never used twice; what leaves it is a public id.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

REVISION = "0005"
"""The newest migration: what `METADATA` describes."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts rows only in a column that is declared INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC, on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time to write; SQLite keeps it without its zone, which is always UTC."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def utc_now() -> datetime:
    """Return the time now, aware."""
    return datetime.now(UTC)


galleries = Table(
    "galleries",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("public_id", String(36), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("fingerprint", String(64), nullable=False),
    # The last number given out in `changes`; updated in the transaction that takes it.
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    # Kept in the same transaction as `sequence`: counting a million rows takes too long.
    Column("num_templates", BigInteger, nullable=False, server_default="0"),
    # Subjects with at least one template.
    Column("num_subjects", BigInteger, nullable=False, server_default="0"),
    # NULL where vectors are stored as the model made them.
    Column("space_id", String(36)),
    # What the sealer made of the gallery space's matrix.
    Column("sealed_space", LargeBinary),
    # How it decides; NULL for what `index.rules` does without a choice.
    Column("fusion", String(32)),
    Column("max_templates", Integer),
    Column("smallest_lead", Double),
    sqlite_autoincrement=True,
)

subjects = Table(
    "subjects",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("public_id", String(36), nullable=False, unique=True),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200)),
    Column("external_id", String(255)),
    Column("created_at", UtcTime, nullable=False),
    # With it the audit log's pseudonyms of the subject can be told; it goes with the row.
    Column("audit_salt", LargeBinary(16)),
    # A JSON object; NULL for an empty one.
    Column("metadata", String),
    Column("purpose", String(200)),
    Column("consent", String(255)),
    Column("expires_at", UtcTime),
    # Random, another one after each change; NULL for a row that an earlier version wrote.
    Column("version", String(16)),
    UniqueConstraint("gallery_id", "name"),
    UniqueConstraint("gallery_id", "external_id"),
    Index(None, "gallery_id", "id"),
    sqlite_autoincrement=True,
)

# Only of those who expire: it costs the others nothing.
Index(
    None,
    subjects.c.expires_at,
    sqlite_where=subjects.c.expires_at.is_not(None),
    postgresql_where=subjects.c.expires_at.is_not(None),
)

look_alikes = Table(
    "look_alikes",
    METADATA,
    # A pair of one gallery, the smaller id first; it goes with either of them.
    Column(
        "subject_id",
        ForeignKey("subjects.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column(
        "other_id",
        ForeignKey("subjects.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    Column("declared_at", UtcTime, nullable=False),
)

templates = Table(
    "templates",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("public_id", String(36), nullable=False, unique=True),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), index=True),
    Column("face_id", String(255), nullable=False),
    Column("image_id", String(255), nullable=False),
    Column("image_hash", LargeBinary(64), nullable=False),
    Column("box_left", Double, nullable=False),
    Column("box_top", Double, nullable=False),
    Column("box_right", Double, nullable=False),
    Column("box_bottom", Double, nullable=False),
    # Of the upright photo, in pixels.
    Column("photo_width", Integer, nullable=False),
    Column("photo_height", Integer, nullable=False),
    # Five points (x, y), float32, little-endian.
    Column("landmarks", LargeBinary(40), nullable=False),
    Column("confidence", Double, nullable=False),
    Column("quality", Double, nullable=False),
    Column("norm", Double, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    # What the sealer made of the vector as float32, little-endian.
    Column("sealed_embedding", LargeBinary, nullable=False),
    # sha256 over the row and the public ids of its gallery and subject.
    Column("checksum", LargeBinary(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("space_id", String(36)),
    Index(None, "gallery_id", "id"),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    METADATA,
    Column(
        "gallery_id",
        ForeignKey("galleries.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    # Public ids; what they name may be gone.
    Column("subject", String(36)),
    Column("template", String(36)),
    Column("at", UtcTime, nullable=False),
    # The template's id in memory; the row itself may be gone.
    Column("template_row", BigInteger),
)

facts = Table(
    "facts",
    METADATA,
    # Of the whole store: what `index.store.facts` knows of.
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(64), primary_key=True),
    Column("secret_hash", LargeBinary(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("label", String(200), nullable=False),
    # A JSON list of gallery names; NULL for all.
    Column("galleries", String),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("expires_at", UtcTime),
    # To the hour: else every request would write.
    Column("last_used_at", UtcTime),
    Column("max_per_minute", Integer),
    Column("max_per_day", Integer),
)

audit = Table(
    "audit",
    METADATA,
    # From 1 on without a gap. Triggers of the migration refuse every change and deletion.
    # Without further indexes: each would be one more page in every commit.
    Column("number", RowId, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    # A key's id, or "local".
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    # Public id; the gallery may be gone.
    Column("gallery", String(36)),
    # A JSON list of pseudonyms, and a JSON object of counts.
    Column("subjects", String, nullable=False),
    Column("facts", String, nullable=False),
    Column("code", LargeBinary(32), nullable=False),
)

events = Table(
    "events",
    METADATA,
    # Given out under the fact of their head, so that numbers commit in their order.
    Column("number", RowId, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(32), nullable=False),
    # Public id, no foreign key: its check would wait for whoever changes the gallery.
    Column("gallery", String(36), nullable=False),
    # Gone with the person, the whole row: without whom it was about it says nothing.
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), index=True),
    Column("decision", String(32), nullable=False),
    Column("face", Integer, nullable=False),
    Column("source", String(64)),
    Column("request", String(64)),
    # Public id; the review may be gone.
    Column("review", String(36)),
    Column("verdict", String(32)),
)

reviews = Table(
    "reviews",
    METADATA,
    Column("id", RowId, primary_key=True),
    Column("public_id", String(36), nullable=False, unique=True),
    # Of the gallery that the review is in, too.
    Column(
        "subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("similarity", Double, nullable=False),
    # A JSON list.
    Column("reasons", String, nullable=False),
    Column("face", Integer, nullable=False),
    Column("source", String(64)),
    Column("request", String(64)),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    # Ids of keys, or "local".
    Column("claimed_by", String(64)),
    Column("claimed_until", UtcTime),
    Column("verdict", String(32)),
    Column("decided_by", String(64)),
    Column("decided_at", UtcTime),
    sqlite_autoincrement=True,
)

crops = Table(
    "crops",
    METADATA,
    Column("id", RowId, primary_key=True),
    # Of one of the two, with which it goes.
    Column("template_id", ForeignKey("templates.id", ondelete="CASCADE"), unique=True),
    Column("review_id", ForeignKey("reviews.id", ondelete="CASCADE"), unique=True),
    # What the sealer made of a PNG file; never in the clear.
    Column("sealed", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

used_keys = Table(
    "used_keys",
    METADATA,
    Column("id", RowId, primary_key=True),
    # Id of the API key that sent it.
    Column("caller", String(64), nullable=False),
    # An HMAC over caller and idempotency key, which may itself say who somebody is.
    Column("code", LargeBinary(32), nullable=False, unique=True),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Index(None, "caller", "id"),
    sqlite_autoincrement=True,
)

kept_answers = Table(
    "kept_answers",
    METADATA,
    # What a key did. It goes with the subject or the gallery; that the key was used stays.
    Column(
        "used_key_id",
        ForeignKey("used_keys.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("gallery_id", ForeignKey("galleries.id", ondelete="CASCADE"), nullable=False),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), index=True),
    # An HMAC over what was asked.
    Column("request_code", LargeBinary(32), nullable=False),
    # JSON without photo, embedding and name.
    Column("answer", String, nullable=False),
    Index(None, "gallery_id"),
)

deleted_galleries = Table(
    "deleted_galleries",
    METADATA,
    # For their erasure receipts.
    Column("id", RowId, primary_key=True),
    Column("public_id", String(36), nullable=False, unique=True),
    Column("name", String(255), nullable=False, index=True),
    Column("num_templates", BigInteger, nullable=False),
    Column("num_subjects", BigInteger, nullable=False),
    Column("removed_at", UtcTime, nullable=False),
    # Out of the database's files, too; NULL until then.
    Column("purged_at", UtcTime),
    sqlite_autoincrement=True,
)
