"""Tests of normalising against a cohort, and of keeping it only where it helps."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import RequestInvalid, StoreCorrupt
from index.calibration.calibrating import Wanted, calibrate, measure
from index.calibration.in_force import thresholds_in_force
from index.calibration.judging import deciding_fpir, judge, split
from index.calibration.kept import calibrate_gallery, measure_gallery, read_normalisation
from index.calibration.mated import Mated
from index.calibration.normalisation import (
    MAX_COHORT,
    NUM_NEIGHBOURS,
    CohortNormalisation,
    digest_of,
    normalisation_of_bytes,
)
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates
from index.encryption import AesGcmSealer
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing
from tests.index.calibration.samples import (
    NO_FLOOR,
    new_card,
    searches,
    soft_people,
    soft_strangers,
)
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

COHORT = unit_vectors(150, seed=50)
PROBES = unit_vectors(5, seed=51)
WANTED = Wanted(normalise=True)


def test_figures_are_those_of_a_slow_loop() -> None:
    """Half of the mean of the ten closest, less what the cohort's own people have."""
    made = CohortNormalisation.of_vectors(COHORT)

    def closeness(probe_D: NDArray[np.float32], others: list[NDArray[np.float32]]) -> float:
        found = sorted((float(probe_D @ each) for each in others), reverse=True)
        return sum(found[:NUM_NEIGHBOURS]) / NUM_NEIGHBOURS

    people = list(COHORT)
    centre = np.mean(
        [closeness(each, people[:at] + people[at + 1 :]) for at, each in enumerate(people)]
    )
    expected = [0.5 - (closeness(each, people) - centre) / 2 for each in PROBES]
    np.testing.assert_allclose(made.figures(PROBES, np.full(5, 0.5)), expected, atol=1e-6)


def test_a_threshold_for_figures_is_one_for_similarities() -> None:
    """What reaches the one reaches the other, for every probe."""
    made = CohortNormalisation.of_vectors(COHORT)
    for probe_D in PROBES:
        similarity = 0.4 + made.shift(probe_D)
        assert made.figures(probe_D[np.newaxis], [similarity])[0] == pytest.approx(0.4)


def test_a_cohort_is_kept_as_it_is() -> None:
    """It comes back bit for bit; another content, or none, is an error that says what to do."""
    made = CohortNormalisation.of_vectors(COHORT)
    content = made.to_bytes()
    back = normalisation_of_bytes(content, digest=digest_of(content))
    np.testing.assert_array_equal(back.vectors_CD, made.vectors_CD)
    assert back.centre == made.centre
    for damaged in (None, b"", content[:-1], content + b"x"):
        with pytest.raises(StoreCorrupt, match="calibrate it again"):
            normalisation_of_bytes(damaged, digest=digest_of(content))


def test_a_cohort_has_one_image_of_each_of_many_people() -> None:
    """A hundred people at least, a thousand at most."""
    vectors_PD, person_P = soft_people(120, 2, seed=1)
    made = CohortNormalisation.of_cohort(Strangers(vectors_PD=vectors_PD, person_P=person_P))
    np.testing.assert_array_equal(made.vectors_CD, vectors_PD[::2])
    assert len(CohortNormalisation.of_cohort(soft_strangers(1200)).vectors_CD) == MAX_COHORT
    with pytest.raises(RequestInvalid, match="at least 100 people, not 99"):
        CohortNormalisation.of_cohort(soft_strangers(99))


def test_nobody_plays_two_parts() -> None:
    """Cohort, judging and calibrating people are disjoint, and together all there are."""
    vectors_PD, person_P = soft_people(500, 2, seed=2)
    parts = split(Strangers(vectors_PD=vectors_PD, person_P=person_P), seed=0)
    people = [set(each.person_P.tolist()) for each in _all(parts.cohort, parts.judging)]
    people.append(set(parts.calibrating.person_P.tolist()))
    assert [len(each) for each in people] == [125, 125, 250]
    assert len(set.union(*people)) == 500
    with pytest.raises(RequestInvalid, match="there are 399 strangers"):
        split(soft_strangers(399), seed=0)


def _all(*each: Strangers) -> tuple[Strangers, ...]:
    return each


def judged(gain: float, *, num: int = 2000) -> tuple[bool, str]:
    """Judge a normalisation that takes this share of what blurs the similarities away."""
    rng = np.random.default_rng(3)
    blur_P, blur_M = (0.1 * rng.standard_normal(each) for each in (num, 400))
    best_P, own_M = 0.3 + 0.05 * rng.standard_normal(num), 0.5 + 0.05 * rng.standard_normal(400)
    mated = Mated(
        own_M=own_M + blur_M,
        other_M=np.full(400, -1.0),
        subject_M=np.arange(400) // 2,
        template_M=np.arange(400),
    )
    found = judge(
        plain=(searches(best_P + blur_P), mated),
        normalised=(
            searches(best_P + (1 - gain) * blur_P),
            replace(mated, own_M=own_M + (1 - gain) * blur_M),
        ),
        fpir=0.02,
        num_cohort=100,
        seed=0,
    )
    assert found.low <= found.fnir_normalised - found.fnir <= found.high
    return found.kept, found.reason


def test_it_is_kept_only_if_it_misses_fewer_people() -> None:
    """Not if it changes nothing, does harm, or is judged by too few strangers."""
    assert judged(0.8) == (True, "")
    for useless in (0.0, -0.5):
        kept, reason = judged(useless)
        assert not kept
        assert "does not miss fewer" in reason
    kept, reason = judged(0.8, num=1000)
    assert not kept
    assert "too few strangers" in reason


def test_the_rate_that_decides_is_one_that_the_judging_support() -> None:
    """The smallest with thirty errors, or the largest of all."""
    assert deciding_fpir((0.001, 0.01, 0.05), 3000) == 0.01
    assert deciding_fpir((0.001, 0.01, 0.05), 100) == 0.05


def soft_gallery() -> GalleryTemplates:
    """Sixty people with three images each, some of them soft."""
    vectors_TD, person_T = soft_people(60, 3, seed=40)
    return GalleryTemplates.of_subjects(person_T.tolist(), vectors_TD)


def test_calibrating_with_it_misses_fewer_people() -> None:
    """It is told what it did; the same strangers without it miss more at the same FPIR."""
    gallery, strangers = soft_gallery(), soft_strangers(6200)
    plain = calibrate(gallery, card=NO_FLOOR, fingerprint=FINGERPRINT, strangers=strangers)
    found = measure(
        gallery, card=NO_FLOOR, fingerprint=FINGERPRINT, strangers=strangers, wanted=WANTED
    )
    made = found.calibration
    assert made.normalisation is not None
    assert made.normalisation.kept
    assert made.cohort_digest
    assert (made.num_probes, plain.num_probes) == (3100, 6200)
    for with_it, without in zip(made.points, plain.points, strict=True):
        assert with_it.num_missed < without.num_missed / 2
    assert plain.normalisation is None
    assert plain.cohort_digest == ""


def test_it_is_not_kept_under_the_card_s_floor() -> None:
    """With too few strangers the plain similarities of all of them calibrate."""
    made = calibrate(
        soft_gallery(),
        card=NO_FLOOR,
        fingerprint=FINGERPRINT,
        strangers=soft_strangers(5000),
        wanted=WANTED,
    )
    assert made.normalisation is not None
    assert not made.normalisation.kept
    assert "too few to do without the model card" in made.normalisation.reason
    assert (made.num_probes, made.cohort_digest) == (5000, "")


def test_what_it_needs_is_told() -> None:
    """Strangers, and somebody with two templates."""
    card = new_card()
    with pytest.raises(RequestInvalid, match="needs strangers"):
        calibrate(soft_gallery(), card=card, fingerprint=FINGERPRINT, wanted=WANTED)
    lonely = GalleryTemplates.of_subjects(list(range(5)), unit_vectors(5, seed=9))
    with pytest.raises(RequestInvalid, match="two templates"):
        calibrate(
            lonely,
            card=card,
            fingerprint=FINGERPRINT,
            strangers=soft_strangers(500),
            wanted=WANTED,
        )


def fill(gallery: Gallery) -> None:
    """Enroll the people of the soft gallery."""
    vectors_TD, person_T = soft_people(60, 3, seed=40)
    for number in range(60):
        gallery.enroll([new_template(each) for each in vectors_TD[person_T == number]])


def check_in_force(gallery: Gallery) -> None:
    """Each probe has a threshold of its own: softer ones a higher one."""
    found = thresholds_in_force(gallery, card=NO_FLOOR, fpir=0.01, review_fpir=0.05)
    assert found.normalisation is not None
    softness_D = np.random.default_rng(0).standard_normal(512)
    probes_PD, _ = soft_people(40, 1, seed=60)
    softness_P = probes_PD @ (softness_D / np.linalg.norm(softness_D))
    values = [found.for_probe(each) for each in probes_PD]
    assert all(match > review for match, review in values)
    matches = np.array([match for match, _ in values])
    assert np.corrcoef(matches, softness_P)[0, 1] > 0.9
    figures = found.normalisation.figures(probes_PD, matches)
    np.testing.assert_allclose(figures, found.match.value, atol=1e-6)


def test_it_decides_and_goes_with_the_gallery(gallery: Gallery, galleries: Galleries) -> None:
    """It is in force after calibrating, gone after calibrating without, and after a deletion."""
    fill(gallery)
    strangers = soft_strangers(6200)
    made = measure_gallery(gallery.store, card=NO_FLOOR, strangers=strangers, wanted=WANTED)
    assert made.normalisation is not None
    kept = read_normalisation(gallery.store, made.calibration)
    np.testing.assert_array_equal(kept.vectors_CD, made.normalisation.vectors_CD)
    check_in_force(gallery)
    calibrate_gallery(gallery.store, card=NO_FLOOR, strangers=strangers)
    assert gallery.store.fact("normalisation") is None
    plain = thresholds_in_force(gallery, card=NO_FLOOR, fpir=0.01, review_fpir=0.05)
    assert plain.for_probe(PROBES[0]) == (plain.match.value, plain.review.value)
    measure_gallery(gallery.store, card=NO_FLOOR, strangers=strangers, wanted=WANTED)
    galleries.delete(gallery.name)
    assert gallery.store.fact("normalisation") is None


def test_a_damaged_cohort_is_an_error(gallery: Gallery) -> None:
    """Nobody is named by a threshold that means something else."""
    fill(gallery)
    calibrate_gallery(
        gallery.store, card=NO_FLOOR, strangers=soft_strangers(6200, seed=42), wanted=WANTED
    )
    gallery.store.write_facts({"normalisation": None})
    with pytest.raises(StoreCorrupt, match="calibrate it again"):
        thresholds_in_force(gallery, card=NO_FLOOR, fpir=0.01, review_fpir=0.05)


def test_a_cohort_is_sealed_on_disk(open_galleries: Callable[..., Galleries]) -> None:
    """Its embeddings are not in the database in the clear, and a rotation seals them anew."""
    with open_galleries() as plain:
        folder = plain.path.with_name("sealed")
    ring_file = folder.with_name("facts.keys")
    first = AesGcmSealer(KeyRing.generate(ring_file))
    with Galleries.open(folder, sealer=first) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        fill(gallery)
        made = measure_gallery(
            gallery.store, card=NO_FLOOR, strangers=soft_strangers(6200), wanted=WANTED
        )
    assert made.normalisation is not None
    # Short pieces: a longer one may lie across two pages of the database.
    pieces = [vector_D[:16].tobytes() for vector_D in made.normalisation.vectors_CD[::50]]
    on_disk = b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    assert not any(piece in on_disk for piece in pieces)
    with Galleries.open(folder, sealer=first) as galleries:
        check_in_force(galleries.get("people"))
