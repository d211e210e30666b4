"""Whenever a build dies, the next one makes of the gallery what an unbroken one does."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder
from index.galleries import Galleries
from tests.fakes import FakeDetector, make_photo, write_fake_model
from tests.index.batch.reembedding import content, run
from tests.index.batch.samples import Place, people_tree, write_tree
from tests.index.killing import DEAD, ENDED, Forks, forking

_MOST_MOMENTS = 200
_KILLS = 5


@pytest.fixture(scope="module")
def child() -> Iterator[Forks]:
    """One interpreter for all tests of this file."""
    with forking("tests.index.batch.crash_child") as forks:
        yield forks


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the model that the killed processes build with."""
    return str(write_fake_model(tmp_path_factory.mktemp("crash") / "model"))


def _changed(tree: Path) -> None:
    """Change a photo, add two, spoil one, and copy one."""
    write_tree(
        tree,
        {
            "ann/0.png": make_photo(["ann"], variant=11),
            "ben/1.png": make_photo(["ben"], variant=12),
            "ben/2.png": make_photo(["ben"], variant=13),
            "cat/0.png": b"no photo any more",
            "ann/copy.png": make_photo(["ann"], variant=11),
        },
    )


@pytest.mark.slow
def test_a_kill_at_any_commit(
    tmp_path: Path, tree: Path, embedder: FaceEmbedder, child: Forks, own_model: str
) -> None:
    """Killed before and after each commit in turn, a build is finished by the next one.

    The gallery of before is there already, so that a photo is replaced too.
    """
    people_tree(tree, num_each=1, num_people=4)
    before = Place(data=tmp_path / "before", embedder=embedder)
    before.build(tree)
    _changed(tree)
    unbroken = Place(data=tmp_path / "unbroken", embedder=embedder)
    shutil.copytree(before.data, unbroken.data)
    unbroken.build(tree)
    expected = unbroken.content()
    outcome, number = DEAD, 0
    while outcome == DEAD and number < _MOST_MOMENTS:
        killed = Place(data=tmp_path / str(number), embedder=embedder)
        shutil.copytree(before.data, killed.data)
        child.say(own_model, str(tree), str(killed.data), number, "build")
        outcome = child.hear()
        tally = killed.build(tree).tally
        assert killed.content() == expected, number
        assert killed.failed() == {"cat/0.png": "photo_unreadable"}
        assert tally.num_retracted == 0
        # Now everything is known.
        assert killed.build(tree).tally.num_indexed == 0
        shutil.rmtree(killed.data)
        number += 1
    assert outcome == ENDED
    assert number > 20


def test_kills_at_random_moments(
    tmp_path: Path, tree: Path, embedder: FaceEmbedder, child: Forks, own_model: str
) -> None:
    """Killed some times on the way, a build makes the gallery of an unbroken one."""
    people_tree(tree, num_each=15)
    unbroken = Place(data=tmp_path / "unbroken", embedder=embedder)
    unbroken.build(tree)
    expected = unbroken.content()
    killed = Place(data=tmp_path / "killed", embedder=embedder)
    # Both have the same secret, and so the same hashes and ids.
    killed.data.mkdir(mode=0o700)
    shutil.copy(unbroken.data / "service.secret", killed.data)
    moments = random.Random(5)  # noqa: S311
    for number in range(_KILLS):
        child.say(own_model, str(tree), str(killed.data), -1, "build")
        process = int(child.hear())
        time.sleep(moments.uniform(0.02, 0.2))
        # A quick machine may have ended before, but for the first time.
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        assert child.hear() == DEAD or number
    killed.build(tree)
    assert killed.content() == expected


@pytest.mark.slow
def test_a_kill_of_a_re_embed_at_any_commit(
    tmp_path: Path, tree: Path, embedder: FaceEmbedder, child: Forks
) -> None:
    """Killed before and after each commit in turn, the switch included, the next run ends it.

    Somebody was removed before, somebody while the new gallery was filled, and two are
    look-alikes.
    """
    model = write_fake_model(tmp_path / "model", seed=5)
    other = FaceEmbedder.open(model, detector=FakeDetector(), num_threads=1)
    people_tree(tree, num_each=2, num_people=5)
    before = Place(data=tmp_path / "before", embedder=embedder)
    before.build(tree)
    with Galleries.open(before.data, upkeep_s=None) as galleries:
        old = galleries.get("people")
        ids = {each.name: each.id for each in old.subjects().subjects}
        old.remove_subject(ids["ann"])
        run(galleries, tree, other, switch=False)
        old.declare_look_alikes(ids["cat"], ids["dan"])
        old.remove_subject(ids["ben"])
    write_tree(tree, {"cat/2.png": make_photo(["cat"], variant=2)})
    before.build(tree)
    expected: list[object] | None = None
    outcome, number = DEAD, 0
    while outcome == DEAD and number < _MOST_MOMENTS:
        data = tmp_path / str(number)
        shutil.copytree(before.data, data)
        child.say(str(model), str(tree), str(data), number, "re-embed")
        outcome = child.hear()
        with Galleries.open(data, upkeep_s=None) as galleries:
            if galleries.get("people").fingerprint == embedder.fingerprint:
                assert run(galleries, tree, other).switched
            found = _state(galleries)
        after = Place(data=data, embedder=other)
        assert after.build(tree).tally.num_indexed == 0, number
        assert set(after.num_templates()) == {"cat", "dan", "eve"}
        expected = expected or found
        assert found == expected, number
        shutil.rmtree(data)
        number += 1
    assert outcome == ENDED
    assert number > 20


def _state(galleries: Galleries) -> list[object]:
    """All that matters of the galleries, but for random ids."""
    people = galleries.get("people")
    pairs = [
        sorted(str(people.subject(each).name) for each in pair) for pair in people.look_alikes()
    ]
    names = [(each.name, each.num_templates) for each in galleries.list()]
    return [people.fingerprint, people.rules(), pairs, names, content(galleries)]
