"""Tests of the review queue over HTTP: queued by identify, shared by desks, decided once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from embedding.errors import ReviewClaimed, ReviewDecided, ReviewNotFound
from service.auth import Role
from service.cli import main
from service.http_client import connect
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.index.waiting import wait_until
from tests.service.own_server import heard
from tests.service.support import FakeService, check_problem, fake_service

PHOTO = make_photo(["ann"])


@pytest.fixture
def with_reviews(settings: Settings) -> Settings:
    """Settings that keep reviews."""
    return settings.model_copy(update={"events": True, "reviews": True})


@pytest.fixture
def service(with_reviews: Settings) -> Iterator[FakeService]:
    """A service with a queue, and two people who look the same."""
    with fake_service(with_reviews) as started:
        started.enroll("ann")
        enroll_twin(started)
        yield started


def enroll_twin(service: FakeService, *, gallery: str = "default") -> None:
    """Somebody whose photo is ann's, so that ann is a review."""
    answer = service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": "twin", "gallery": gallery},
        files=[("photos", ("photo", PHOTO))],
    )
    if answer.status_code != 201:
        raise AssertionError(answer.text)


def look(
    service: FakeService, headers: dict[str, str] | None = None, **fields: str
) -> dict[str, Any]:
    """Identify ann; the first face of the answer."""
    answer = service.http.post(
        "/v1/identify",
        headers=headers or service.headers(),
        data={"queue_reviews": "true", "source": "desk-1", **fields},
        files={"photo": PHOTO},
    )
    if answer.status_code != 200:
        raise AssertionError(answer.text)
    face: dict[str, Any] = answer.json()["faces"][0]
    return face


def reviews(service: FakeService, **query: str) -> list[dict[str, Any]]:
    """What the list shows."""
    answer = service.http.get("/v1/reviews", params=query, headers=service.headers())
    if answer.status_code != 200:
        raise AssertionError(answer.text)
    found: list[dict[str, Any]] = answer.json()["reviews"]
    return found


def test_a_review_is_queued_where_that_is_asked_for(service: FakeService) -> None:
    """With candidate, similarity, reasons and source; without the field nothing is queued."""
    face = look(service)
    assert (face["decision"], face["reasons"]) == ("review", ["close_runner_up"])
    (found,) = reviews(service)
    assert found["id"] == face["review_id"]
    assert (found["subject_id"], found["similarity"]) == (
        face["subject"]["id"],
        face["similarity"],
    )
    assert (found["reasons"], found["source"], found["state"]) == (
        ["close_runner_up"],
        "desk-1",
        "open",
    )
    assert look(service, queue_reviews="false")["review_id"] is None
    assert len(reviews(service)) == 1


def test_who_is_sure_is_not_queued(with_reviews: Settings) -> None:
    """A match and a stranger are no work for a person."""
    with fake_service(with_reviews) as service:
        service.enroll("ann")
        assert look(service)["review_id"] is None
        assert reviews(service) == []


def test_a_camera_may_queue_and_not_look(service: FakeService) -> None:
    """An identifier key gets the review's id, but neither candidate nor list."""
    headers = service.headers(Role.IDENTIFIER)
    face = look(service, headers)
    assert face["review_id"] is not None
    assert (face["subject"], face["similarity"], face["candidates"]) == (None, None, [])
    check_problem(service.http.get("/v1/reviews", headers=headers), 403, "key_forbidden")


def test_desks_share_the_queue(service: FakeService) -> None:
    """One claims, the other is refused, the first decides, and both see it decided."""
    review_id = look(service)["review_id"]
    one, other = service.headers(Role.OPERATOR), service.headers(Role.OPERATOR)
    path = f"/v1/reviews/{review_id}"
    claimed = service.http.post(f"{path}/claim", headers=one).json()
    assert (claimed["state"], claimed["claimed_by"]) == (
        "claimed",
        one["Authorization"].split("_")[1],
    )
    check_problem(service.http.post(f"{path}/claim", headers=other), 409, "review_claimed")
    verdict = {"verdict": "same"}
    answer = service.http.post(f"{path}/decision", headers=other, json=verdict)
    check_problem(answer, 409, "review_claimed")
    check_problem(service.http.delete(f"{path}/claim", headers=other), 409, "review_claimed")
    decided = service.http.post(f"{path}/decision", headers=one, json=verdict).json()
    assert (decided["state"], decided["verdict"]) == ("decided", "same")
    again = service.http.post(f"{path}/decision", headers=one, json=verdict)
    assert again.json() == decided
    answer = service.http.post(f"{path}/decision", headers=one, json={"verdict": "unsure"})
    check_problem(answer, 409, "review_decided")
    check_problem(service.http.post(f"{path}/claim", headers=other), 409, "review_decided")
    assert service.http.get(path, headers=other).json() == decided
    assert (reviews(service, state="open"), reviews(service, state="decided")) == ([], [decided])
    assert service.num_templates() == 2


def test_a_claim_can_be_given_back(service: FakeService) -> None:
    """Then another desk gets it."""
    path = f"/v1/reviews/{look(service)['review_id']}/claim"
    one, other = service.headers(Role.OPERATOR), service.headers(Role.OPERATOR)
    service.http.post(path, headers=one).raise_for_status()
    assert service.http.delete(path, headers=one).json()["state"] == "open"
    assert service.http.post(path, headers=other).json()["state"] == "claimed"


def test_a_claim_ends_by_itself(with_reviews: Settings) -> None:
    """After the time of the settings another desk gets it, without anybody's doing."""
    soon = with_reviews.model_copy(update={"review_claim_s": 0.2})
    with fake_service(soon) as service:
        service.enroll("ann")
        enroll_twin(service)
        path = f"/v1/reviews/{look(service)['review_id']}"
        service.http.post(f"{path}/claim", headers=service.headers()).raise_for_status()
        other = service.headers()
        wait_until(lambda: service.http.post(f"{path}/claim", headers=other).is_success)


def test_reviews_go_with_the_person(service: FakeService) -> None:
    """And with the time of the settings, which they say themselves."""
    face = look(service)
    service.http.delete(
        f"/v1/galleries/default/subjects/{face['subject']['id']}", headers=service.headers()
    ).raise_for_status()
    assert reviews(service) == []
    answer = service.http.get(f"/v1/reviews/{face['review_id']}", headers=service.headers())
    check_problem(answer, 404, "review_not_found")


def test_galleries_are_kept_apart(service: FakeService) -> None:
    """A key of another gallery neither sees, claims nor decides a review, nor learns of it."""
    service.parts.create_gallery("mine")
    review_id = look(service)["review_id"]
    headers = service.headers(Role.OPERATOR, galleries=["mine"])
    assert service.http.get("/v1/reviews", headers=headers).json()["reviews"] == []
    refused = service.http.get("/v1/reviews?gallery=default", headers=headers)
    check_problem(refused, 403, "key_forbidden")
    answers = [
        (
            service.http.get(f"/v1/reviews/{each}", headers=headers),
            service.http.post(f"/v1/reviews/{each}/claim", headers=headers),
            service.http.delete(f"/v1/reviews/{each}/claim", headers=headers),
            service.http.post(
                f"/v1/reviews/{each}/decision", headers=headers, json={"verdict": "same"}
            ),
        )
        for each in (review_id, "3f0c8a52-d1b9-4e5c-8a7b-6d5e4f3a2b1c")
    ]
    for there, absent in zip(*answers, strict=True):
        check_problem(there, 404, "review_not_found")
        assert there.json() == absent.json()
    assert reviews(service)[0]["state"] == "open"
    assert len(reviews(service, gallery="default")) == 1
    assert reviews(service, gallery="mine") == []


def test_pages(service: FakeService) -> None:
    """Each review once; a cursor of another list is refused."""
    expected = [look(service)["review_id"] for _ in range(3)]
    headers = service.headers()
    found, cursor = [], ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = service.http.get("/v1/reviews", params=query, headers=headers).json()
        found += [each["id"] for each in page["reviews"]]
        cursor = page["next_cursor"]
    assert found == expected
    events = service.http.get("/v1/events?wait=0", headers=headers).json()["next_cursor"]
    for forged in (events, "AAAA", "", "NaN", "é"):
        answer = service.http.get("/v1/reviews", params={"cursor": forged}, headers=headers)
        check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"verdict": "Same"}',
        '{"verdict": null}',
        '{"verdict": NaN}',
        '{"verdict": 1e309}',
        '{"verdict": ["same"]}',
        '{"verdict": "same", "enroll": true}',
        "[" * 10_000,
        "",
        "\x00",
    ],
)
def test_verdicts_that_are_none(service: FakeService, body: str) -> None:
    """Nothing is decided by what is not one of the three words."""
    review_id = look(service)["review_id"]
    answer = service.http.post(
        f"/v1/reviews/{review_id}/decision",
        headers=service.headers() | {"Content-Type": "application/json"},
        content=body.encode(),
    )
    check_problem(answer, 422, "request_invalid")
    assert reviews(service)[0]["state"] == "open"


@pytest.mark.parametrize("word", ["yes", "True", "1", ""])
def test_words_that_are_none(service: FakeService, word: str) -> None:
    """A form's flag is `true` or `false`."""
    answer = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={"queue_reviews": word},
        files={"photo": PHOTO},
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("query", ["state=Open", "state=", "limit=0", "limit=NaN", "limit=1001"])
def test_queries_that_are_none(service: FakeService, query: str) -> None:
    """Out of range is told."""
    answer = service.http.get(f"/v1/reviews?{query}", headers=service.headers())
    check_problem(answer, 422, "request_invalid")


def test_ids_in_other_letters_are_other_ids(service: FakeService) -> None:
    """And what is no id at all is not found."""
    review_id = look(service)["review_id"]
    for other in (review_id.upper(), review_id + "%00", "absent", "%C3%A9"):
        answer = service.http.post(f"/v1/reviews/{other}/claim", headers=service.headers())
        check_problem(answer, 404, "review_not_found")
    answer = service.http.get(f"/v1/reviews/{'a' * 256}", headers=service.headers())
    check_problem(answer, 422, "request_invalid")


def test_without_the_setting_there_is_no_queue(settings: Settings) -> None:
    """Nothing is compared for who asks for a queue that is off; the setting is named."""
    with fake_service(settings) as off:
        off.enroll("ann")
        answers = (
            off.http.get("/v1/reviews", headers=off.headers()),
            off.http.post(
                "/v1/identify",
                headers=off.headers(),
                data={"queue_reviews": "true"},
                files={"photo": PHOTO},
            ),
        )
        for answer in answers:
            check_problem(answer, 409, "feature_off")
            assert "FACEGALLERY_REVIEWS" in answer.json()["detail"]


def test_the_queue_works_without_events(settings: Settings) -> None:
    """Each has its own setting."""
    with fake_service(settings.model_copy(update={"reviews": True})) as service:
        service.enroll("ann")
        enroll_twin(service)
        review_id = look(service)["review_id"]
        service.http.post(
            f"/v1/reviews/{review_id}/decision",
            headers=service.headers(),
            json={"verdict": "different"},
        ).raise_for_status()
        assert service.parts.galleries.events.newest() == 0


def test_no_photo_is_kept(service: FakeService, with_reviews: Settings) -> None:
    """The data folder holds nothing of the photo, and no name stands in event or review."""
    look(service)
    content = b"".join(
        each.read_bytes() for each in with_reviews.data_folder.rglob("*") if each.is_file()
    )
    assert PHOTO[:64] not in content
    assert b"IHDR" not in content
    assert "ann" not in json.dumps(reviews(service))


def test_the_client_reviews(with_reviews: Settings) -> None:
    """Every call comes typed, every refusal as its own error."""
    with heard(with_reviews) as service:
        service.enroll("ann")
        with connect(service.url, key=service.key()) as client:
            client.enroll([PHOTO], gallery="default", subject="twin")
            found = client.identify(PHOTO, gallery="default", source="desk-1", queue_reviews=True)
            review_id = str(found.faces[0].review_id)
            assert [each.id for each in client.reviews(state="open").reviews] == [review_id]
            with connect(service.url, key=service.key()) as another:
                another.claim_review(review_id)
                with pytest.raises(ReviewClaimed):
                    client.decide_review(review_id, "same")
                another.release_review(review_id)
            assert client.decide_review(review_id, "same").verdict == "same"
            assert client.review(review_id).state == "decided"
            with pytest.raises(ReviewDecided):
                client.decide_review(review_id, "different")
            with pytest.raises(ReviewNotFound):
                client.review("absent")


def test_the_commands_review(
    with_reviews: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """List and decide, on a data folder that nobody serves; events are read there, too."""
    with fake_service(with_reviews) as service:
        service.enroll("ann")
        enroll_twin(service)
        review_id = look(service)["review_id"]
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(with_reviews.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(with_reviews.model))
    monkeypatch.setenv("FACEGALLERY_EVENTS", "true")
    monkeypatch.setenv("FACEGALLERY_REVIEWS", "true")

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(arguments, detector=FakeDetector())
        assert caught.value.code == 0
        return capsys.readouterr().out

    assert review_id in said("reviews", "list", "--state", "open")
    assert "same" in said("reviews", "decide", review_id, "same")
    listed = json.loads(said("reviews", "list", "--json", "--gallery", "default"))
    assert [each["decided_by"] for each in listed["reviews"]] == ["local"]
    lines = said("events", "follow", "--after", "oldest").splitlines()
    assert [each.split()[2] for each in lines] == ["review", "same"]
