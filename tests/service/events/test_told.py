"""Which decisions are told as events, and to whom, in streams and pages."""

import httpx
import pytest

from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.events.streams import listen
from tests.service.own_server import Heard
from tests.service.support import FakeService, check_problem, fake_service


def test_an_acknowledged_decision_is_in_the_log(service: FakeService) -> None:
    """Once identify has answered, its event is there, whatever happens next."""
    service.enroll("ann")
    for number in range(3):
        service.http.post(
            "/v1/identify",
            headers=service.headers() | {"X-Request-ID": f"r{number}"},
            files={"photo": make_photo(["ann"])},
        )
        page = service.http.get("/v1/events?wait=0&after=oldest", headers=service.headers()).json()
        assert [each["request_id"] for each in page["events"]] == [
            f"r{n}" for n in range(number + 1)
        ]


def test_galleries_are_kept_apart(running: Heard) -> None:
    """A tied key hears of its galleries only, an untied one of the gallery that it asks for."""
    running.parts.create_gallery("mine")
    tied = running.headers(Role.LISTENER, galleries=["mine"])
    with listen(running, tied) as stream, listen(running, gallery="mine") as asked:
        running.identify("ann", gallery="default", source="other")
        running.identify("ann", gallery="mine", source="own")
        assert stream.event()["source"] == "own"
        assert asked.event()["source"] == "own"
    page = httpx.get(f"{running.url}/v1/events?wait=0&after=oldest", headers=tied).json()
    assert [each["source"] for each in page["events"]] == ["own"]


def test_a_stream_follows_its_gallery_and_not_its_name(running: Heard) -> None:
    """Renamed, a tied key's gallery is heard on; another one of the old name is not."""
    running.parts.create_gallery("mine")
    with listen(running, running.headers(Role.LISTENER, galleries=["mine"])) as stream:
        running.identify("ann", gallery="mine", source="before")
        assert stream.event()["source"] == "before"
        running.parts.galleries.rename("mine", "ours")
        running.parts.create_gallery("mine")
        running.identify("ann", gallery="mine", source="foreign")
        running.identify("ann", gallery="ours", source="after")
        told = stream.event()
    assert (told["source"], told["gallery"]) == ("after", "ours")


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_of_one_gallery_ends_with_its_name(running: Heard, *, again: bool) -> None:
    """Who asked for a gallery that got another name is told, also where the name is given anew."""
    running.parts.create_gallery("mine")
    tied = running.headers(Role.LISTENER, galleries=["mine"])
    with listen(running, tied, gallery="mine") as door, listen(running, gallery="mine") as desk:
        running.parts.galleries.rename("mine", "ours")
        if again:
            running.parts.create_gallery("mine")
        else:
            assert desk.event()["code"] == "gallery_not_found"
        assert door.event()["code"] == "key_forbidden"


def test_a_foreign_gallery_is_refused(service: FakeService) -> None:
    """Whether it exists or not; one's own that does not exist is not found."""
    service.parts.create_gallery("mine")
    headers = service.headers(Role.LISTENER, galleries=["mine", "absent"])
    for gallery in ("default", "nowhere"):
        answer = service.http.get("/v1/events", params={"gallery": gallery}, headers=headers)
        check_problem(answer, 403, "key_forbidden")
    answer = service.http.get("/v1/events?gallery=absent", headers=headers)
    check_problem(answer, 404, "gallery_not_found")


def test_a_listener_hears_decisions_only(running: Heard) -> None:
    """Of a review it learns the person once somebody has said that it is the same."""
    subject_id = running.enroll("ann")
    _review_ann(running)
    (review,) = running.parts.galleries.reviews.page(state=None, limit=2)[0]
    with (
        listen(running, running.headers(Role.LISTENER), after="oldest") as door,
        listen(running, after="oldest") as desk,
    ):
        assert [door.event()["decision"], desk.event()["decision"]] == ["review", "review"]
        running.parts.galleries.reviews.decide(review.id, "same", by="key-1", tell=True)
        told = door.event()
        assert (told["event"], told["verdict"]) == ("review_decided", "same")
        assert told["subject_id"] == desk.event()["subject_id"] == subject_id
    page = httpx.get(
        f"{running.url}/v1/events?wait=0&after=oldest", headers=running.headers(Role.LISTENER)
    ).json()
    assert [each["subject_id"] for each in page["events"]] == [None, subject_id]


def _review_ann(running: Heard) -> None:
    """Have somebody who looks like two people be a review."""
    httpx.post(
        f"{running.url}/v1/enroll",
        headers=running.headers(),
        data={"subject": "twin", "force": "true"},
        files=[("photos", ("photo", make_photo(["ann"])))],
    ).raise_for_status()
    running.identify("ann", queue_reviews="true", source="desk-1")


@pytest.mark.parametrize("own", [{"threshold": "-1"}, {"fpir": "0.05"}])
def test_a_threshold_of_one_s_own_opens_no_door(service: FakeService, own: dict[str, str]) -> None:
    """What a caller's own rule would say is told to the caller alone, and queues nothing."""
    service.enroll("ann")
    for gallery in ({"gallery": "default"}, {"galleries": "default"}):
        answer = service.http.post(
            "/v1/identify",
            headers=service.headers(),
            data={**own, **gallery, "source": "door-1"},
            files={"photo": make_photo(["ben"])},
        )
        assert answer.status_code == 200
    assert service.parts.galleries.events.newest() == 0
    refused = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={**own, "queue_reviews": "true"},
        files={"photo": make_photo(["ann"])},
    )
    check_problem(refused, 422, "request_invalid")


def test_several_galleries_give_one_event_a_face(service: FakeService) -> None:
    """In the gallery of whoever was named; a stranger is one of the first gallery."""
    service.parts.create_gallery("staff")
    service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": "ann", "gallery": "staff"},
        files=[("photos", ("photo", make_photo(["ann"])))],
    ).raise_for_status()
    asked = {"galleries": "default,staff", "source": "door-1"}
    photo = make_photo(["ann", "ben"])
    service.http.post(
        "/v1/identify", headers=service.headers(), data=asked, files={"photo": photo}
    ).raise_for_status()
    page = service.http.get("/v1/events?wait=0&after=oldest", headers=service.headers()).json()
    told = {(each["gallery"], each["decision"]) for each in page["events"]}
    assert told == {("staff", "match"), ("default", "unknown")}
    assert len(page["events"]) == 2
    queued = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data=asked | {"queue_reviews": "true"},
        files={"photo": photo},
    )
    check_problem(queued, 422, "request_invalid")


@pytest.mark.parametrize("role", [Role.IDENTIFIER, Role.AUDITOR])
def test_other_roles_hear_nothing(service: FakeService, role: Role) -> None:
    """A camera's key that is stolen does not tell who comes and goes."""
    answer = service.http.get("/v1/events", headers=service.headers(role))
    check_problem(answer, 403, "key_forbidden")


def test_without_the_setting_nothing_is_kept(settings: Settings) -> None:
    """By default no event is written, and who asks for them is told which setting it takes."""
    with fake_service(settings) as off:
        off.enroll("ann")
        off.http.post(
            "/v1/identify",
            headers=off.headers(),
            data={"source": "door-1"},
            files={"photo": make_photo(["ann"])},
        )
        assert off.parts.galleries.events.newest() == 0
        for query in ("", "?wait=0"):
            answer = off.http.get(f"/v1/events{query}", headers=off.headers())
            check_problem(answer, 409, "feature_off")
            assert "FACEGALLERY_EVENTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "A" * 32, "oldest!", "NaN", "1e309", "-1", "é", "OLDEST", "\0"]
)
@pytest.mark.parametrize("wait", ["0", "1"])
def test_forged_cursors_are_refused(service: FakeService, cursor: str, wait: str) -> None:
    """As a problem document, before a stream begins, in the query and in the header."""
    headers = service.headers(Role.LISTENER)
    query = {"wait": wait, "after": cursor}
    answer = service.http.get("/v1/events", params=query, headers=headers)
    check_problem(answer, 422, "request_invalid")
    if cursor.isascii() and cursor.isprintable() and cursor:
        answer = service.http.get(
            "/v1/events", params={"wait": wait}, headers=headers | {"Last-Event-ID": cursor}
        )
        check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    "query", ["wait=2", "wait=NaN", "limit=0", "limit=1001", "limit=1e3", "after=" + "A" * 2000]
)
def test_other_values_are_refused(service: FakeService, query: str) -> None:
    """What is out of range is told before a stream begins."""
    answer = service.http.get(f"/v1/events?{query}", headers=service.headers())
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("source", ["", "a" * 65, "two words", "é", "a/b", "a\nb", "\0"])
def test_sources_that_are_none_are_refused(service: FakeService, source: str) -> None:
    """A source is short and an id, in forms and in JSON."""
    answer = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={"source": source},
        files={"photo": make_photo(["ann"])},
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("wait", ["0", "1"])
def test_an_old_cursor_says_what_to_do(with_events: Settings, wait: str) -> None:
    """410, with the way to begin again."""
    few = with_events.model_copy(update={"events_max": 2})
    with fake_service(few) as service:
        headers = service.headers()
        begun = service.http.get("/v1/events?wait=0", headers=headers).json()["next_cursor"]
        for _ in range(4):
            service.http.post(
                "/v1/identify", headers=headers, files={"photo": make_photo(["ann"])}
            )
        service.parts.galleries.maintain()
        query = {"wait": wait, "after": begun}
        answer = service.http.get("/v1/events", params=query, headers=headers)
        check_problem(answer, 410, "cursor_expired")
        assert "after=oldest" in answer.json()["detail"]
        page = service.http.get("/v1/events?wait=0&after=oldest", headers=headers).json()
        assert len(page["events"]) == 2


def test_a_removed_person_is_not_told_of_any_more(running: Heard) -> None:
    """From the removal's answer on, in streams and pages, whoever reads from before."""
    subject_id = running.enroll("ann")
    running.identify("ann")
    headers = running.headers()
    httpx.delete(
        f"{running.url}/v1/galleries/default/subjects/{subject_id}", headers=headers
    ).raise_for_status()
    running.identify("ben", source="later")
    with listen(running, after="oldest") as stream:
        assert stream.event()["source"] == "later"
    page = httpx.get(f"{running.url}/v1/events?wait=0&after=oldest", headers=headers)
    assert subject_id not in page.text
