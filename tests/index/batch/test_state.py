"""What a batch's state answers about photos that it knows."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

from index.store.batch_rows import PhotoRecord, PhotoState, SubjectDigest
from index.store.batch_state import BatchState

_NAMES = (None, b"n" * 16, b"m" * 16)
_IDS = (None, b"x" * 16)
_DIGESTS = [SubjectDigest(name=name, external_id=external) for name in _NAMES for external in _IDS]


def _record(key: str, state: PhotoState, content: bytes, subject: SubjectDigest) -> PhotoRecord:
    return PhotoRecord(
        key=key,
        state=state,
        size_bytes=1,
        mtime_ns=1,
        subject=subject,
        content_hash=content,
        image_id=key,
        error=None,
        message=None,
    )


def test_a_photo_is_there_for_whoever_it_was_indexed(tmp_path: Path) -> None:
    """One photo or many: it counts only when done, and every given name has to be its own."""
    with BatchState(tmp_path / "state.sqlite", gallery_id="g") as state:
        source, run = state.begin_run("a folder")
        both, named = _DIGESTS[3], _DIGESTS[4]
        state.record(
            source,
            [
                _record("0", "done", b"a" * 32, both),
                _record("1", "done", b"b" * 32, named),
                _record("2", "failed", b"c" * 32, both),
            ],
            run=run,
        )
        asked = [
            (content * 32, digest)
            for content, digest in itertools.product((b"a", b"b", b"c", b"d"), _DIGESTS)
        ]
        found = state.contained(asked)
        assert found == {pair for each in asked for pair in state.contained([each])}
    nobody = _DIGESTS[0]
    assert (b"a" * 32, both) in found
    assert (b"a" * 32, named) not in found
    assert (b"b" * 32, named) in found
    assert (b"b" * 32, both) not in found
    assert (b"a" * 32, nobody) in found
    assert not {content for content, _ in found} & {b"c" * 32, b"d" * 32}


def test_a_state_without_the_newer_indexes_gets_them(tmp_path: Path) -> None:
    """An index that came after a state was made is made when it is opened."""
    path = tmp_path / "state.sqlite"
    with BatchState(path, gallery_id="g"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX ix_photos_content_of_name")
    with BatchState(path, gallery_id="g"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        names = {row[1] for row in connection.execute("PRAGMA index_list(photos)")}
    assert "ix_photos_content_of_name" in names
