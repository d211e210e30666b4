"""Rates by group equal filtering by hand, and a list with mistakes is refused."""

from pathlib import Path

import numpy as np
import pytest

from embedding.errors import DataInvalid
from tests.training.evaluation_samples import simulate
from training.evaluation.groups import (
    NO_GROUP,
    check_identities,
    figures_by_group,
    read_groups,
)
from training.evaluation.open_set import plan_open_set
from training.evaluation.searches import search_all

COUNTS = [5] * 30 + [2] * 10 + [1] * 150


def write(file: Path, text: str) -> Path:
    """A CSV file."""
    file.write_text(text, encoding="utf-8")
    return file


def test_each_identity_has_its_group(tmp_path: Path) -> None:
    """Quotes, a byte order mark and blank lines are CSV; an empty group is none."""
    text = '\ufeffidentity,group\nann,"a, or b"\n\nben, c\ncarl,\n'
    assert read_groups(write(tmp_path / "groups.csv", text)) == {"ann": "a, or b", "ben": "c"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be identity,group"),
        ("name,group\nann,a\n", "begins with 'name,group'"),
        ("identity,group\nann\n", r"1 lines \(such as ann\)"),
        ("identity,group\nann,a,b\n", r"1 lines \(such as ann,a,b\)"),
        ("identity,group\n,a\n", "1 lines"),
        (
            "identity,group\n" + "ann,a\n" * 2 + "ben,a\nben,b\n",
            r"2 identities \(such as ann, ben\)",
        ),
        ('identity,group\n"ann,a\n', "cannot be read as a CSV file"),
    ],
    ids=["empty", "header", "one column", "three columns", "no name", "twice", "open quote"],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With what was found, and three names at most."""
    with pytest.raises(DataInvalid, match=message):
        read_groups(write(tmp_path / "groups.csv", text))


def test_a_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Names would not fit."""
    (tmp_path / "groups.csv").write_bytes("identity,group\nJos\xe9,a\n".encode("latin-1"))
    with pytest.raises(DataInvalid, match="UTF-8"):
        read_groups(tmp_path / "groups.csv")


def test_unknown_people_are_counted_and_three_are_named(tmp_path: Path) -> None:
    """A misspelt list would measure nothing, in silence."""
    groups = {f"stranger{number}": "a" for number in range(5)} | {"ann": "b"}
    with pytest.raises(
        DataInvalid, match=r"5 identities \(such as stranger0, stranger1, str"
    ) as e:
        check_identities(groups, ["ann", "ben"], tmp_path / "groups.csv")
    assert "stranger3" not in str(e.value)
    check_identities({"ann": "b"}, ["ann", "ben"], tmp_path / "groups.csv")


def test_figures_by_group_equal_filtering_by_hand() -> None:
    """Misses, false positives and refusals, image by image, with the rest as one group."""
    people = simulate(COUNTS, spread=1.3)
    open_set = plan_open_set(people.labels_B, num_templates=3, stranger_max_images=1, name="x")
    searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum")
    groups = ["b" if one % 3 == 0 else "a" if one % 3 == 1 else None for one in range(190)]
    norms_B = people.embedded.norms_B
    floor, threshold = float(np.quantile(norms_B, 0.2)), 0.55
    found = figures_by_group(
        groups,
        open_set,
        searches,
        identity_B=people.labels_B,
        norms_B=norms_B,
        norm_floor=floor,
        threshold=threshold,
    )
    assert [one.name for one in found] == ["a", "b", NO_GROUP]
    for figures in found:
        group = None if figures.name == NO_GROUP else figures.name
        misses, false, short = [], [], []
        for image, person in enumerate(people.labels_B):
            if groups[person] == group:
                short.append(bool(norms_B[image] < floor))
        for row, probe in enumerate(open_set.probes_R):
            person = people.labels_B[probe]
            if groups[person] != group:
                continue
            own, best = searches.own_R[row], searches.best_other_R[row]
            if person < 30:
                misses.append(not (own > best and own >= threshold))
            else:
                false.append(bool(best >= threshold))
        assert figures.fnir is not None
        assert figures.fpir is not None
        assert (figures.fnir.num_errors, figures.fnir.num_trials) == (sum(misses), len(misses))
        assert (figures.fpir.num_errors, figures.fpir.num_trials) == (sum(false), len(false))
        assert (figures.refusals.num_errors, figures.refusals.num_trials) == (
            sum(short),
            len(short),
        )
        assert 0 < sum(misses) < len(misses)
        assert 0 < sum(false) < len(false)
        assert figures.is_reliable is (min(sum(misses), sum(false)) >= 30)
        assert figures.num_subjects == 10


def test_groups_without_strangers_have_no_fpir() -> None:
    """Nor groups without enrolled people an FNIR: nothing is made up."""
    people = simulate(COUNTS)
    open_set = plan_open_set(people.labels_B, num_templates=3, stranger_max_images=1, name="x")
    searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum")
    groups = ["enrolled"] * 30 + ["unused"] * 10 + ["strangers"] * 150

    def found(threshold: float) -> dict[str, tuple[bool, bool, bool]]:
        figures = figures_by_group(
            groups,
            open_set,
            searches,
            identity_B=people.labels_B,
            norms_B=people.embedded.norms_B,
            norm_floor=0.0,
            threshold=threshold,
        )
        return {one.name: (one.fnir is None, one.fpir is None, one.is_reliable) for one in figures}

    # At a threshold of 2 everybody enrolled is missed, at -1 every stranger is accepted.
    assert found(2.0) == {
        "enrolled": (False, True, True),
        "strangers": (True, False, False),
        "unused": (True, True, False),
    }
    assert found(-1.0)["strangers"] == (True, False, True)
