"""The database: its settings, its schema's history, and what goes wrong with it."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, text

from embedding.errors import StoreCorrupt, StoreError, StoreNewer
from index.store.sqlite import SqliteDatabase
from index.store.tables import METADATA, REVISION, api_keys, utc_now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "test.sqlite"


def test_the_migrated_schema_is_the_one_that_the_program_describes(path: Path) -> None:
    """Alembic finds no difference between a migrated database and the metadata."""
    database = SqliteDatabase(path)
    with database.transaction() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []
    database.close()


def test_the_newest_migration_is_the_one_that_the_tables_name() -> None:
    """There is one head, and it is REVISION."""
    config = Config()
    config.set_main_option("script_location", "index.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_integer_ids_count_on_after_the_newest_was_deleted(path: Path) -> None:
    """Every table with an integer id is AUTOINCREMENT, so that no id is used twice."""
    SqliteDatabase(path).close()
    with closing(sqlite3.connect(path)) as raw:
        statements = dict(raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    for name in ("galleries", "subjects", "templates"):
        assert "AUTOINCREMENT" in statements[name]


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("busy_timeout", 5000),
    ],
)
def test_a_commit_is_durable_and_a_deletion_overwrites(
    path: Path, pragma: str, expected: str | int
) -> None:
    """The settings that durability and erasure stand on are on."""
    database = SqliteDatabase(path)
    with database.transaction() as connection:
        assert connection.scalar(text(f"PRAGMA {pragma}")) == expected
    database.close()


def test_opening_again_changes_nothing(path: Path) -> None:
    """The second open finds the newest schema and its rows."""
    database = SqliteDatabase(path)
    _add_key(database, "one")
    database.close()
    database = SqliteDatabase(path)
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_keys")) == 1
    database.close()


def test_migrations_leave_logging_alone(path: Path) -> None:
    """Handlers, levels and disabled loggers are as before."""
    mine = logging.getLogger("tests.index.mine")
    before = (list(logging.root.handlers), logging.root.level, mine.disabled)
    SqliteDatabase(path).close()
    assert (list(logging.root.handlers), logging.root.level, mine.disabled) == before


def test_a_newer_schema_is_refused(path: Path) -> None:
    """The message names both revisions and says what to install; nothing is changed."""
    SqliteDatabase(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    with pytest.raises(StoreNewer, match=rf"9999.*{REVISION}.*install"):
        SqliteDatabase(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_half_a_migration_is_undone(path: Path) -> None:
    """When a table stands in the way nothing of the migration stays, and it can be run again."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE api_keys (x)")
        raw.commit()
    with pytest.raises(StoreError):
        SqliteDatabase(path)
    with closing(sqlite3.connect(path)) as raw:
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master")]
        assert names == ["api_keys"]
        raw.execute("DROP TABLE api_keys")
        raw.commit()
    SqliteDatabase(path).close()


@pytest.mark.parametrize("content", [b"text" * 1000, b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """Another file under the database's name is reported as damage, not overwritten."""
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="restore"):
        SqliteDatabase(path)
    assert path.read_bytes() == content


def test_an_error_in_a_block_undoes_the_block(path: Path) -> None:
    """Nothing of a transaction that failed is there afterwards."""
    database = SqliteDatabase(path)

    def fail() -> None:
        with database.transaction() as connection:
            connection.execute(insert(api_keys).values(**_key("one")))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_keys")) == 0
    database.close()


def test_an_error_of_the_database_does_not_repeat_values(path: Path) -> None:
    """The message holds neither statement nor parameters: they are names and embeddings."""
    database = SqliteDatabase(path)
    _add_key(database, "one")
    with pytest.raises(StoreError) as caught:
        _add_key(database, "one", label="a private label")
    assert "private" not in str(caught.value)
    assert "private" not in str(caught.value.__cause__)
    assert "INSERT" not in str(caught.value)
    database.close()


def test_a_full_disk_is_said_and_reads_go_on(path: Path) -> None:
    """A write without space is a StoreError that names the space; nothing is lost."""
    database = SqliteDatabase(path)
    _add_key(database, "one")
    with database.transaction() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="free space"):
        _add_key(database, "two", label="x" * 100_000)
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_keys")) == 1
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    _add_key(database, "two", label="x" * 100_000)
    database.close()


def test_a_closed_database_says_so(path: Path) -> None:
    """A transaction after close is a StoreError; a second close does nothing."""
    database = SqliteDatabase(path)
    database.close()
    database.close()
    with pytest.raises(StoreError, match="closed"), database.transaction():
        pass


def test_close_empties_the_write_ahead_log(path: Path) -> None:
    """After close everything lies in the one file, which may be copied."""
    database = SqliteDatabase(path)
    _add_key(database, "one")
    database.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def _key(key_id: str, label: str = "") -> dict[str, object]:
    return {
        "key_id": key_id,
        "secret_hash": b"hash",
        "role": "admin",
        "label": label,
        "created_at": utc_now(),
    }


def _add_key(database: SqliteDatabase, key_id: str, *, label: str = "") -> None:
    with database.transaction() as connection:
        connection.execute(insert(api_keys).values(**_key(key_id, label)))


def test_a_block_that_only_reads_lets_another_program_write(path: Path) -> None:
    """Whoever only reads takes no lock of a writer; a change keeps other writers out."""
    database = SqliteDatabase(path)
    with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as other:
        with database.reading() as connection:
            assert connection.scalar(text("SELECT count(*) FROM galleries")) == 0
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        with database.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    database.close()
