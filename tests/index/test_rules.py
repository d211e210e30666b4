"""How a gallery decides is its operator's choice, kept with it."""

import numpy as np
import pytest

from embedding.errors import GalleryNotFound, RequestInvalid
from index.fusion import FUSION_RULES
from index.galleries import Galleries
from index.gallery import Gallery
from index.rules import MAX_CAP, NEW_GALLERY_LEAD, GalleryRules
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, at_similarity, identify, new_template, unit_vectors

_PROBE = unit_vectors(1)[0]


def test_a_new_gallery_takes_the_maximum_keeps_all_and_wants_a_lead(gallery: Gallery) -> None:
    """Nothing else is chosen for the operator."""
    assert gallery.rules() == GalleryRules(
        fusion="maximum", max_templates=None, smallest_lead=NEW_GALLERY_LEAD
    )
    anna = at_similarity(_PROBE, 0.8)
    for similarity, seed in ((0.8, 1), (0.8 - NEW_GALLERY_LEAD + 0.01, 2)):
        gallery.enroll([new_template(at_similarity(_PROBE, similarity, seed=seed))])
    assert identify(gallery, _PROBE).reasons == ("close_runner_up",)
    assert identify(gallery, anna).decision == "match"


def test_a_choice_survives_a_restart(open_galleries: OpenGalleries) -> None:
    """All of it, and another gallery keeps its own."""
    chosen = GalleryRules(fusion="vote", max_templates=7, smallest_lead=0.125)
    with open_galleries() as galleries:
        galleries.create("people", fingerprint=FINGERPRINT).set_rules(chosen)
        plain = galleries.create("others", fingerprint=FINGERPRINT).rules()
    with open_galleries() as galleries:
        assert galleries.get("people").rules() == chosen
        assert galleries.get("others").rules() == plain
        galleries.get("people").set_rules(GalleryRules())
        assert galleries.get("people").rules() == GalleryRules()


def test_what_changes_answers_is_in_the_log(gallery: Gallery) -> None:
    """Whoever keeps answers up to a number of the log keeps none that would be others now."""
    pair = [gallery.enroll([new_template(each)]).subject_id for each in unit_vectors(2)]
    numbers = [gallery.sequence]

    def moved(by: int) -> bool:
        numbers.append(gallery.sequence)
        return numbers[-1] - numbers[-2] == by == gallery.catch_up() + by

    gallery.set_rules(GalleryRules(fusion="mean"))
    assert moved(1)
    gallery.set_rules(GalleryRules(fusion="mean"))
    assert moved(0)
    gallery.declare_look_alikes(*pair)
    assert moved(1)
    gallery.declare_look_alikes(*pair)
    assert moved(0)
    gallery.withdraw_look_alikes(*pair)
    assert moved(1)
    gallery.withdraw_look_alikes(*pair)
    assert moved(0)


@pytest.mark.parametrize("name", FUSION_RULES)
def test_an_identification_takes_the_gallerys_rule(gallery: Gallery, name: str) -> None:
    """Unless another one is asked for."""
    vectors = np.stack([at_similarity(_PROBE, 0.3 * n, seed=n) for n in (1, 2, 3)])
    gallery.enroll([new_template(each) for each in vectors])
    gallery.set_rules(GalleryRules(fusion=name))
    expected = FUSION_RULES[name].fuse(_PROBE, vectors, np.full(3, 0.75))
    assert identify(gallery, _PROBE).similarity == pytest.approx(expected, abs=1e-6)
    asked = gallery.identify(
        _PROBE,
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        fusion=FUSION_RULES["maximum"],
    )
    assert asked.similarity == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"fusion": "best"},
        {"max_templates": 0},
        {"max_templates": MAX_CAP + 1},
        {"smallest_lead": -0.1},
        {"smallest_lead": float("nan")},
    ],
)
def test_a_senseless_choice_is_refused(bad: dict[str, object]) -> None:
    """Before anything is written."""
    with pytest.raises(RequestInvalid):
        GalleryRules(**bad)  # type: ignore[arg-type]


def test_a_deleted_gallery_has_no_rules(galleries: Galleries, gallery: Gallery) -> None:
    """Neither to read nor to choose."""
    galleries.delete("people")
    with pytest.raises(GalleryNotFound):
        gallery.rules()
    with pytest.raises(GalleryNotFound):
        gallery.set_rules(GalleryRules())
