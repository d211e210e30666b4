"""Callers who change the same person at the same time: each answer is true, none is a 5xx."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from service.settings import Settings
from tests.fakes import PEOPLE, make_photo
from tests.service.databases import on_each_database  # noqa: F401 (a fixture)
from tests.service.listening import LONG_S, Running, listening

NUM_ROUNDS = 8
NUM_CALLERS = 6
SUBJECTS = "/v1/galleries/default/subjects"


@pytest.fixture(scope="module")
def running(on_each_database: Settings) -> Iterator[Running]:  # noqa: F811
    """A server on one of the databases."""
    with listening(on_each_database) as started:
        yield started


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    """Speaks to it as an admin."""
    with httpx.Client(base_url=running.url, headers=running.headers, timeout=LONG_S) as http:
        yield http


def enroll(client: httpx.Client, person: str, variant: int, **whom: str) -> httpx.Response:
    """One photo of a person."""
    return client.post(
        "/v1/enroll",
        data=whom,
        files={"photos": ("a", make_photo([person], variant=variant))},
    )


def at_once(calls: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """The answers to calls that begin together."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def subjects(client: httpx.Client) -> list[dict[str, object]]:
    """All people of the gallery."""
    listed: list[dict[str, object]] = client.get(SUBJECTS).json()["subjects"]
    return listed


def test_enrolls_of_an_id_that_is_deleted(running: Running, client: httpx.Client) -> None:
    """An enroll by id comes before the removal and goes with it, or finds nobody."""
    for number in range(NUM_ROUNDS):
        subject_id = enroll(client, "ann", number, subject=f"ann {number}").json()["subject_id"]
        calls = [
            partial(enroll, client, "ann", variant, subject_id=subject_id)
            for variant in range(NUM_CALLERS)
        ]
        calls.insert(number % NUM_CALLERS, partial(client.delete, f"{SUBJECTS}/{subject_id}"))
        answers = at_once(calls)
        removal = answers.pop(number % NUM_CALLERS)
        assert removal.status_code == 200
        assert {each.status_code for each in answers} <= {201, 404}
        num_enrolled = 1 + sum(each.status_code == 201 for each in answers)
        assert removal.json()["num_templates"] == num_enrolled
        assert subjects(client) == []
        assert running.parts.galleries.get("default").num_templates == 0
        faces = client.post("/v1/identify", files={"photo": make_photo(["ann"])}).json()["faces"]
        assert [each["decision"] for each in faces] == ["unknown"]


def test_enrolls_of_a_name_that_is_deleted(running: Running, client: httpx.Client) -> None:
    """An enroll by name finds the person or makes a new one; nothing is lost or comes back."""
    for number in range(NUM_ROUNDS):
        name = f"ben {number}"
        first = enroll(client, "ben", number, subject=name).json()["subject_id"]
        calls = [
            partial(enroll, client, "ben", variant, subject=name) for variant in range(NUM_CALLERS)
        ]
        calls.insert(number % NUM_CALLERS, partial(client.delete, f"{SUBJECTS}/{first}"))
        answers = at_once(calls)
        removal = answers.pop(number % NUM_CALLERS)
        assert removal.status_code == 200
        assert {each.status_code for each in answers} == {201}
        ids = [each.json()["subject_id"] for each in answers]
        left = subjects(client)
        assert {each["id"] for each in left} == set(ids) - {first}
        assert len(left) <= 1
        assert removal.json()["num_templates"] == 1 + ids.count(first)
        num_left = running.parts.galleries.get("default").num_templates
        assert num_left == len(ids) - ids.count(first)
        for each in left:
            assert client.delete(f"{SUBJECTS}/{each['id']}").status_code == 200


def test_one_person_enrolled_by_many_at_once(client: httpx.Client) -> None:
    """Who enrolls a name first makes the person; the others add to it."""
    answers = at_once(
        [
            partial(enroll, client, "cat", variant, external_id="c-1")
            for variant in range(NUM_CALLERS)
        ]
    )
    assert {each.status_code for each in answers} == {201}
    assert sum(each.json()["created"] for each in answers) == 1
    assert [each["num_templates"] for each in subjects(client)] == [NUM_CALLERS]
    subject_id = answers[0].json()["subject_id"]
    removals = at_once([partial(client.delete, f"{SUBJECTS}/{subject_id}")] * NUM_CALLERS)
    assert sorted(each.status_code for each in removals) == [200] + [404] * (NUM_CALLERS - 1)


def test_a_gallery_that_is_deleted_meanwhile(running: Running, client: httpx.Client) -> None:
    """Enrolls into a gallery that goes are saved and go with it, or find none."""
    for number in range(NUM_ROUNDS // 2):
        assert client.post("/v1/galleries", json={"name": "door"}).status_code == 201
        people = list(PEOPLE)[:NUM_CALLERS]
        calls = [
            partial(enroll, client, person, 0, subject=person, gallery="door") for person in people
        ]
        calls.insert(number, partial(client.delete, "/v1/galleries/door"))
        answers = at_once(calls)
        removal = answers.pop(number)
        assert removal.status_code == 200
        assert {each.status_code for each in answers} <= {201, 404}
        num_enrolled = sum(each.status_code == 201 for each in answers)
        assert removal.json()["num_templates"] == num_enrolled
        assert "door" not in [each.name for each in running.parts.galleries.list()]
