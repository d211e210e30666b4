"""Tests of `facegallery-index rules`, `look-alikes` and `ageing`."""

import pytest

from embedding.model import write_card
from index.calibration.in_force import thresholds_in_force
from index.rules import GalleryRules
from tests.index.calibration.samples import new_card
from tests.index.cli.conftest import VECTORS, Home, Run
from tests.index.samples import FINGERPRINT, at_similarity, identify, new_template


def test_rules_are_shown_and_chosen_one_by_one(any_home: Home, run: Run) -> None:
    """What is not named stays; 0 lifts the cap; a service that starts then decides so."""
    any_home.fill()
    begun = {"fusion": "maximum", "max_templates": None, "smallest_lead": 0.05}
    assert run("rules", "people", "--json").json == begun
    run("rules", "people", "--max-templates", "3")
    ran = run("rules", "people", "--fusion", "centroid-best-two", "--smallest-lead", "0")
    assert ran.code == 0
    assert "calibrate" in ran.out
    with any_home.open() as galleries:
        assert galleries.get("people").rules() == GalleryRules(
            fusion="centroid-best-two", max_templates=3
        )
    assert run("rules", "people", "--max-templates", "0", "--json").json["max_templates"] is None
    assert "calibrate" not in run("rules", "people", "--fusion", "maximum").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("people", "--fusion", "best"), "request_invalid"),
        (("people", "--smallest-lead", "3"), "request_invalid"),
        (("nobody",), "gallery_not_found"),
    ],
)
def test_wrong_choices_are_told(
    home: Home, run: Run, arguments: tuple[str, ...], code: str
) -> None:
    """With the error's code, and nothing is changed."""
    home.fill()
    ran = run("rules", *arguments)
    assert (ran.code, code in ran.err) == (3, True)
    assert run("rules", "people", "--json").json["fusion"] == "maximum"


def test_a_gallery_is_calibrated_for_its_rule(
    any_home: Home, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no longer calibrated once another rule is chosen."""
    any_home.fill()
    folder = any_home.folder / "models"
    (folder / "made-up").mkdir(parents=True)
    write_card(folder / "made-up", new_card())
    monkeypatch.setenv("FACEGALLERY_MODELS_FOLDER", str(folder))
    run("rules", "people", "--fusion", "centroid-best-two")
    assert run("calibrate", "people", "--json").json["rule"] == "centroid-best-two"
    with any_home.open() as galleries:
        gallery = galleries.get("people")
        found = thresholds_in_force(gallery, card=new_card(), fpir=0.01, review_fpir=0.05)
        assert (found.source, found.reasons) == ("calibration", ())
        gallery.set_rules(GalleryRules())
        found = thresholds_in_force(gallery, card=new_card(), fpir=0.01, review_fpir=0.05)
        assert (found.source, found.stale) == ("card", True)
    assert run("calibrate", "people", "--show").code == 1
    assert run("calibrate", "people").code == 0


def test_look_alikes_are_declared_listed_and_withdrawn(any_home: Home, run: Run) -> None:
    """By ids only; a second time changes nothing."""
    ids = any_home.fill()
    assert run("look-alikes", "add", "people", ids[1], ids[0], "--json").json == {"declared": True}
    assert "already" in run("look-alikes", "add", "people", ids[0], ids[1]).out
    assert run("look-alikes", "list", "people").out.split() == [ids[0], ids[1]]
    assert "subject_not_found" in run("look-alikes", "add", "people", ids[0], "nobody").err
    gone = run("look-alikes", "remove", "people", ids[0], ids[1], "--json")
    assert gone.json == {"withdrawn": True}
    assert "not declared" in run("look-alikes", "remove", "people", ids[0], ids[1]).out
    assert run("look-alikes", "list", "people", "--json").json == {"look_alikes": []}


def test_a_backup_holds_look_alikes_and_rules(home: Home, run: Run) -> None:
    """What was changed later is as it was, and who was removed later takes the pair along."""
    ids = home.fill()
    run("look-alikes", "add", "people", ids[0], ids[1])
    run("look-alikes", "add", "people", ids[2], ids[3])
    run("rules", "people", "--max-templates", "4")
    assert run("backup", home.folder / "saved").code == 0
    run("look-alikes", "remove", "people", ids[0], ids[1])
    run("rules", "people", "--max-templates", "9")
    with home.open() as galleries:
        galleries.get("people").remove_subject(ids[3])
    assert run("restore", home.folder / "saved", "--replace").code == 0
    listed = run("look-alikes", "list", "people", "--json").json["look_alikes"]
    assert listed == [[ids[0], ids[1]]]
    assert run("rules", "people", "--json").json["max_templates"] == 4


def test_whose_photos_are_due_is_listed(any_home: Home, run: Run) -> None:
    """By age and by change, with figures and no names."""
    ids = any_home.fill()
    with any_home.open() as galleries:
        gallery = galleries.get("people")
        changed = gallery.enroll(
            [
                new_template(at_similarity(VECTORS[one], 0.95, seed=seed))
                for one in (0, 2)
                for seed in (1, 2)
            ]
        ).subject_id
        assert identify(gallery, VECTORS[5]).decision == "match"
    due = run("ageing", "people", "--json").json["due"]
    assert [each["subject_id"] for each in due] == [changed]
    assert due[0]["gap"] > 0.2
    assert len(due[0]["mated"]) == 3
    every = run("ageing", "people", "--older-than-days", "0", "--json").json["due"]
    assert [each["subject_id"] for each in every] == [*ids, changed]
    assert "nobody" in run("ageing", "people", "--gap-over", "2").out


def test_looking_for_ageing_leaves_the_audit_log_s_anchor(home: Home, run: Run) -> None:
    """It goes on with the anchor that the environment names, and begins no second one."""
    anchor = home.folder / "audit.anchor"
    home.set("FACEGALLERY_AUDIT_ANCHOR", str(anchor))
    with home.open(audit_anchor=anchor) as galleries:
        galleries.create("people", fingerprint=FINGERPRINT)
    assert run("ageing", "people").code == 0
    assert not (home.data / "audit.anchor").exists()
