"""Photos, embeddings, erasure and spaces, seen through HTTP and on every byte of the disk."""

import base64
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from index.backup.saving import save
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.store.tables import templates
from service.settings import Settings
from tests.fakes import PEOPLE, make_photo
from tests.index.postgres import tool
from tests.service.databases import on_each_database  # noqa: F401 (a fixture)
from tests.service.listening import LONG_S, Running, listening
from tests.service.scanning import (
    database_files,
    files_of,
    found,
    photo_patterns,
    vector_patterns,
)
from tests.service.support import MiB, with_ballast

GALLERY = "doors"
NAMES = {person: f"Zebediah {person} Quux" for person in PEOPLE}


@dataclass(slots=True, kw_only=True)
class Place:
    """All that a service may write to, and what it was sent."""

    settings: Settings
    temporary: Path
    backups: Path
    photos: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str | None:
        """Of the PostgreSQL database, if it is one."""
        url = self.settings.database_url
        return None if url is None else url.get_secret_value()

    def live(self, *, log: bool) -> dict[str, bytes]:
        """Files of the data folder, database and temporary folder, and the removal ledger."""
        ledger = self.settings.removal_ledger
        if ledger is None:
            raise AssertionError("no ledger")
        files = files_of(self.settings.data_folder, self.temporary, ledger.parent)
        return files | ({} if self.url is None else database_files(self.url, log=log))

    def back_up(self) -> None:
        """A backup while the service runs."""
        save(self.settings.data_folder, self.backups / "backup", database_url=self.url)
        if self.url is not None:
            dump = self.backups / "dump.sql"
            subprocess.run([tool("pg_dump"), f"--file={dump}", self.url], check=True)


@pytest.fixture
def place(
    on_each_database: Settings,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """With sealing and a ledger; snapshots are kept from the first template on."""
    for name in ("keys", "ledger", "temporary", "backups"):
        (tmp_path / name).mkdir()
    KeyRing.generate(tmp_path / "keys" / "sealing.keys")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("service.assembly.MemoryOptions", partial(MemoryOptions, snapshot_from=1))
    settings = on_each_database.model_copy(
        update={
            "sealing_key_file": tmp_path / "keys" / "sealing.keys",
            "removal_ledger": tmp_path / "ledger" / "removals",
        }
    )
    return Place(settings=settings, temporary=tmp_path / "temporary", backups=tmp_path / "backups")


@pytest.fixture
def running(place: Place) -> Iterator[Running]:
    """A server with a gallery that has a space of its own."""
    with listening(place.settings) as started:
        fingerprint = started.parts.embedders.named(None).fingerprint
        started.parts.galleries.create(GALLERY, fingerprint=fingerprint, space=True)
        yield started


def use(place: Place, client: httpx.Client) -> dict[str, str]:
    """Enroll people, as a form and as JSON, one with a photo of 2 MiB, and identify them all."""
    ids = {}
    for number, person in enumerate(PEOPLE):
        kind = "JPEG" if number % 2 else "PNG"
        photo = make_photo([person], kind=kind)
        if number == 0:
            photo = with_ballast(photo, 2 * MiB)[0]
        place.photos.append(photo)
        fields: dict[str, Any] = {"subject": NAMES[person], "gallery": GALLERY}
        files = [("photos", ("a", photo))]
        if number % 3:
            answer = client.post("/v1/enroll", data=fields, files=files)
        else:
            encoded = base64.b64encode(photo).decode()
            answer = client.post("/v1/enroll", json=fields | {"photos": [encoded]})
        assert answer.status_code == 201, answer.text
        ids[person] = answer.json()["subject_id"]
        found_again = client.post(
            "/v1/identify", data={"gallery": GALLERY}, files={"photo": photo}
        ).json()
        assert found_again["faces"][0]["subject"]["id"] == ids[person]
    broken = client.post(
        "/v1/enroll",
        data={"subject": "nobody", "gallery": GALLERY},
        files=[("photos", ("a", place.photos[0][:-40]))],
    )
    assert broken.status_code == 422
    return ids


def vectors_of(running: Running, place: Place) -> NDArray[np.float32]:
    """The embeddings of all photos, as the model gives them and as the space has them."""
    parts = running.parts
    gallery = parts.galleries.get(GALLERY)
    embedder = parts.embedders.of_gallery(gallery.fingerprint)
    plain = [embedder.analyze(photo).faces[0].embedding for photo in place.photos]
    turned = [vectors for _, vectors, *_ in gallery._store.load(up_to=10**9)]
    return np.concatenate([np.stack(plain), *turned])


def sealed_rows(running: Running) -> dict[str, tuple[bytes, bytes]]:
    """What the database keeps of each template: its sealed vector, and its photo's keyed hash."""
    columns = (templates.c.public_id, templates.c.sealed_embedding, templates.c.image_hash)
    with running.parts.galleries._store.database.transaction() as connection:
        return {
            row[0]: (bytes(row[1]), bytes(row[2])) for row in connection.execute(select(*columns))
        }


def test_nothing_of_a_photo_or_an_embedding_lies_anywhere(place: Place, running: Running) -> None:
    """No image bytes, no embedding in clear, and of who was removed nothing at all."""
    with httpx.Client(base_url=running.url, headers=running.headers, timeout=LONG_S) as client:
        ids = use(place, client)
        galleries = running.parts.galleries
        galleries.maintain()
        place.back_up()
        vectors = vectors_of(running, place)
        assert len(vectors) == 2 * len(PEOPLE)
        everything = place.live(log=True) | files_of(place.backups)
        assert any("snapshots" in path for path in everything)

        # That the search finds what is there: a name lies in the clear in database and backup.
        name = NAMES["ben"].encode()
        assert len(list(found([name], everything))) >= 2
        # Promise 1: no photo. Promise 2: no template in clear. Promise 4: nor in its space.
        for photo in place.photos:
            assert list(found(photo_patterns(photo), everything)) == []
        assert list(found(vector_patterns(vectors), everything)) == []
        assert list(place.temporary.rglob("*")) == []

        # Promise 3: removed, and then gone, with a receipt that says so.
        rows = sealed_rows(running)
        path = f"/v1/galleries/{GALLERY}/subjects/{ids['ben']}"
        assert client.delete(path).status_code == 200
        gone = [rows[each] for each in rows.keys() - sealed_rows(running).keys()]
        assert len(gone) == 1
        assert galleries.maintain()
        receipt = client.get(f"{path}/erasure").json()
        assert receipt["content"]["final"] is True
        left = place.live(log=False)
        sealed, keyed_hash = gone[0]
        assert list(found([name, sealed[-32:], keyed_hash], left)) == []
        assert list(found([NAMES["cat"].encode()], left)) != []
        again = client.post(
            "/v1/identify", data={"gallery": GALLERY}, files={"photo": place.photos[1]}
        )
        assert [each["decision"] for each in again.json()["faces"]] != ["match"]
    assert [path for path in place.live(log=False) if "Zebediah" in path] == []


def test_the_search_finds_embeddings_that_lie_in_the_clear(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key the very same search finds them, in the database and in the snapshot."""
    monkeypatch.setattr("service.assembly.MemoryOptions", partial(MemoryOptions, snapshot_from=1))
    photo = make_photo(["ann"])
    with listening(settings) as running:
        answer = httpx.post(
            f"{running.url}/v1/enroll",
            headers=running.headers,
            data={"subject": "ann"},
            files={"photos": ("a", photo)},
        )
        assert answer.status_code == 201
        running.parts.galleries.maintain()
        embedder = running.parts.embedders.named(None)
        vectors = np.stack([embedder.analyze(photo).faces[0].embedding])
    files = files_of(settings.data_folder)
    hits = list(found(vector_patterns(vectors), files))
    assert any("snapshots" in path for path in hits)
    assert len(hits) >= 2
    planted = files | {"planted": b"x" + photo[100:]}
    assert list(found(photo_patterns(photo), planted)) == ["planted"]
