"""A move or merge whose process is killed at any statement of it is done, or not begun."""

from pathlib import Path

import pytest

from index.galleries import Galleries
from index.gallery import Gallery
from index.inspection import inspect
from index.place import Place
from tests.index.killing import DEAD, ENDED, forking
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(4)
_MOST_STATEMENTS = 60


def _fill(gallery: Gallery) -> tuple[str, str]:
    anna, bert, cleo = (
        gallery.enroll([new_template(each) for each in some], name=name).subject_id
        for name, some in (("Anna", _VECTORS[:2]), ("Bert", _VECTORS[2:3]), ("Cleo", _VECTORS[3:]))
    )
    gallery.declare_look_alikes(anna, cleo)
    return anna, bert


def _state(gallery: Gallery) -> object:
    """All that an identification, a list or a count tells."""
    named = [identify(gallery, each).subject for each in _VECTORS]
    everybody = gallery.subjects().subjects
    return (
        [each and each.id for each in named],
        everybody,
        {each.id: [one.id for one in gallery.templates(each.id)] for each in everybody},
        gallery.look_alikes(),
        (gallery.num_subjects, gallery.num_templates, gallery.sequence),
    )


@pytest.mark.parametrize("what", ["move", "merge"])
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_it_is_done_or_not_begun(
    request: pytest.FixtureRequest, data_folder: Path, kind: str, what: str
) -> None:
    """Killed after each statement in turn, until one gets to its end: then all of it is there.

    On PostgreSQL after every second one: a start takes longer there.
    """
    step = 1 if kind == "sqlite" else 2
    url = request.getfixturevalue("database_url") if kind == "postgres" else None
    with Galleries.open(data_folder, database_url=url) as galleries:
        anna, bert = _fill(galleries.create("people", fingerprint=FINGERPRINT))
        before = _state(galleries.get("people"))
    with forking("tests.index.moves_child") as child:
        num_kills = 0
        for statement in range(1, _MOST_STATEMENTS, step):
            child.say(str(data_folder), url, what, statement)
            outcome = child.hear()
            with Galleries.open(data_folder, database_url=url) as galleries:
                state = _state(galleries.get("people"))
            if outcome == ENDED:
                break
            assert outcome == DEAD
            num_kills += 1
            assert state == before
    assert num_kills > 4
    assert state != before
    with Galleries.open(data_folder, database_url=url) as galleries:
        gallery = galleries.get("people")
        assert [identify(gallery, each).candidates[0].subject_id for each in _VECTORS[:3]] == [
            bert
        ] * 3
        assert gallery.subject(bert).num_templates == 3
        gone = [each for each in gallery.subjects().subjects if each.id == anna]
        assert len(gone) == (what == "move")
    report = inspect(Place(data_folder=data_folder, database_url=url), repair=False)
    assert report.findings == []
