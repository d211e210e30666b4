"""Open-set figures equal slow counting; intervals hold the truth of a simulated world."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.error_rates import smallest_threshold
from embedding.errors import DataInvalid
from tests.training.evaluation_samples import People, simulate
from training.data.identity_folder import IdentityFolder
from training.data.split import Selection
from training.evaluation.gallery_sizes import draw_galleries, figures_by_size, smaller_sizes
from training.evaluation.identification import SetIdentification, discard_curve, identify
from training.evaluation.open_set import OpenSet, plan_open_set
from training.evaluation.points import (
    det_levels,
    operating_point,
    operating_points,
    rate_interval,
)
from training.evaluation.resampling import (
    draw_weights,
    resample,
    weighted_fnir,
    weighted_thresholds,
)
from training.evaluation.searches import FUSIONS, Fusion, search_all

COUNTS = [5] * 40 + [1] * 200
# Few distinct values, so that ties are common.
VALUES = st.lists(st.integers(-5, 5).map(lambda value: value / 5), min_size=1, max_size=30)


class NoStore(IdentityFolder):
    """Nothing is read here: all images are embedded already."""

    def __init__(self) -> None:
        pass


def selection_of(people: People) -> Selection:
    """Names for simulated people."""
    return Selection(
        store=NoStore(),
        names=tuple(f"person{number}" for number in range(int(people.labels_B[-1]) + 1)),
        rows_N=np.arange(len(people.labels_B)),
        labels_N=people.labels_B,
    )


def identified(people: People, *, fusion: Fusion = "maximum") -> SetIdentification:
    """The figures of simulated people under LFW's protocol."""
    (found,) = identify(
        people.embedded,
        selection_of(people),
        name="simulated",
        fusions=(fusion,),
        num_templates=3,
        stranger_max_images=1,
        groups={},
        norm_floor=0.0,
    )
    return found


def plan(people: People) -> OpenSet:
    """LFW's protocol."""
    return plan_open_set(people.labels_B, num_templates=3, stranger_max_images=1, name="simulated")


def fused_by_hand(people: People, probe: int, subject: int, fusion: Fusion) -> float:
    """Similarity of an image to the first three of a person."""
    unit_BD = people.embedded.unit_BD.astype(np.float64)
    templates = np.flatnonzero(people.labels_B == subject)[:3]
    if fusion == "maximum":
        return max(float(unit_BD[probe] @ unit_BD[one]) for one in templates)
    mean = sum(unit_BD[one] for one in templates)
    return float(unit_BD[probe] @ mean / np.linalg.norm(mean))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_rates_equal_a_loop_over_searches(fusion: Fusion) -> None:
    """FPIR, FNIR and rank-1 of both points, search by search and subject by subject."""
    counts = [5] * 12 + [1] * 110
    people = simulate(counts, spread=1.2)
    found = identified(people, fusion=fusion)
    best_of_strangers, mated = [], []
    for probe, person in enumerate(people.labels_B):
        fused = [fused_by_hand(people, probe, subject, fusion) for subject in range(12)]
        if person >= 12:
            best_of_strangers.append(max(fused))
        elif probe % 5 >= 3:
            others = [value for subject, value in enumerate(fused) if subject != person]
            mated.append((fused[person], max(others)))
    assert found.num_mated == len(mated) == 24
    assert found.rank1.num_errors == sum(own > other for own, other in mated)
    for point, num_allowed in zip(found.points, (1, 0), strict=True):
        threshold = smallest_threshold(best_of_strangers, point.fpir_wanted)
        assert point.threshold == pytest.approx(threshold, abs=1e-6)
        accepted = sum(value >= threshold for value in best_of_strangers)
        assert (point.fpir.num_errors, point.fpir.num_trials) == (accepted, 110)
        assert accepted == num_allowed
        misses = sum(own <= other or own < threshold for own, other in mated)
        assert (point.fnir.num_errors, point.fnir.num_trials) == (misses, 24)
        assert 0 < misses < 24
        assert not point.is_reliable


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0.2, 3.0))
def test_no_fpir_exceeds_what_is_wanted(seed: int, num_strangers: int, spread: float) -> None:
    """At the threshold of every point, and of every point of the curve, and counts add up."""
    people = simulate([4] * 3 + [1] * num_strangers, seed=seed, spread=spread, dimension=4)
    found = identified(people)
    assert found.num_strangers == found.num_stranger_people == num_strangers
    for point in found.points:
        assert point.fpir.rate <= point.fpir_wanted
        assert point.fnir_interval[0] <= point.fnir.rate <= point.fnir_interval[1]
        assert point.threshold_interval[0] <= point.threshold <= point.threshold_interval[1]
    assert found.rank1_interval[0] <= found.rank1.rate <= found.rank1_interval[1]


@given(values=VALUES, data=st.data(), rate=st.floats(0, 0.99))
def test_weighted_rates_equal_rates_of_repeated_searches(
    values: list[float], data: st.DataObject, rate: float
) -> None:
    """A weight of three is the same search three times; a weight of zero is none."""
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    if not any(weights):
        weights[0] = 1
    best_N, weight_N, rates_F = np.array(values), np.array(weights), np.array([rate, 0.5])
    repeated = np.repeat(best_N, weight_N)
    thresholds_F = weighted_thresholds(best_N, weight_N, rates_F)
    assert thresholds_F[0] == smallest_threshold(repeated, rate)
    fnir_F = weighted_fnir(best_N, weight_N, thresholds_F)
    for fnir, threshold in zip(fnir_F, thresholds_F, strict=True):
        assert fnir == (repeated < threshold).mean()


def test_people_are_drawn_as_wholes() -> None:
    """As many as there are, each from among them, some several times."""
    rng = np.random.default_rng(0)
    weights = draw_weights(np.array([2, 3, 5, 7]), 9, rng)
    assert weights.sum() == 4
    assert weights[[0, 1, 4, 6, 8]].sum() == 0
    assert draw_weights(np.array([], np.int64), 3, rng).tolist() == [0, 0, 0]
    drawn = np.mean([draw_weights(np.arange(50), 50, rng) > 0 for _ in range(100)])
    assert drawn == pytest.approx(0.632, abs=0.02)


def test_one_resample_equals_a_world_of_the_people_who_were_drawn() -> None:
    """Built anew from repeated images, searched from the start, and counted."""
    people = simulate(COUNTS, spread=1.2)
    open_set = plan(people)
    searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum")
    found = resample(open_set, searches, np.array([0.05]), num_resamples=1, seed=3)
    rng = np.random.default_rng(3)
    weights = draw_weights(np.arange(40), 240, rng)
    weights += draw_weights(np.arange(40, 240), 240, rng)
    drawn = np.flatnonzero(weights[:40])
    best_N, mated = [], []
    for row, probe in enumerate(open_set.probes_R):
        person = int(open_set.person_R[row])
        fused = {int(one): fused_by_hand(people, probe, int(one), "maximum") for one in drawn}
        own = fused.pop(person, None)
        best = max(fused.values())
        if person >= 40:
            best_N += [best] * weights[person]
        elif own is not None:
            mated += [(own, best)] * weights[person]
    threshold = smallest_threshold(best_N, 0.05)
    assert found.thresholds_VF[0, 0] == pytest.approx(threshold, abs=1e-6)
    misses = [own <= best or own < threshold for own, best in mated]
    assert found.fnir_VF[0, 0] == pytest.approx(np.mean(misses))
    assert found.rank1_V[0] == pytest.approx(np.mean([own > best for own, best in mated]))


def test_intervals_hold_the_truth_of_a_simulated_world() -> None:
    """Over sixty worlds the mean figures lie within at least 85 % of the 95 % intervals.

    Intervals that take searches as independent hold the mean FNIR in fewer: people differ.
    """
    thresholds, fnirs = [], []
    counts = [9] * 40 + [1] * 100
    for world in range(60):
        people = simulate(counts, seed=world, spread=1.0, spread_of_people=0.6)
        open_set = plan(people)
        searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum")
        found = resample(open_set, searches, np.array([0.05]), num_resamples=60, seed=world)
        point = operating_point(
            open_set,
            searches,
            0.05,
            thresholds_V=found.thresholds_VF[:, 0],
            fnir_V=found.fnir_VF[:, 0],
        )
        thresholds.append((point.threshold, *point.threshold_interval))
        fnirs.append((point.fnir.rate, *point.fnir_interval, point.fnir.low, point.fnir.high))
    threshold_WV, fnir_WV = np.array(thresholds), np.array(fnirs)
    assert _share_that_holds(threshold_WV[:, 0], threshold_WV[:, 1:3]) >= 0.85
    assert _share_that_holds(fnir_WV[:, 0], fnir_WV[:, 1:3]) >= 0.85
    assert _share_that_holds(fnir_WV[:, 0], fnir_WV[:, 3:5]) < 0.85


def _share_that_holds(values_W: NDArray[np.float64], ends_W2: NDArray[np.float64]) -> float:
    """How many worlds' intervals hold the mean over worlds."""
    truth = values_W.mean()
    return float(((ends_W2[:, 0] <= truth) & (truth <= ends_W2[:, 1])).mean())


def test_an_interval_of_no_errors_is_not_certainty() -> None:
    """All resamples agree, and still the interval is that of independent trials."""
    found = identified(simulate(COUNTS, spread=0.1))
    fnir = found.points[0].fnir
    assert fnir.num_errors == 0
    assert found.points[0].fnir_interval == (0.0, fnir.high)
    assert rate_interval(fnir, np.zeros(10)) == (fnir.low, fnir.high)


def test_the_same_seed_gives_the_same_figures() -> None:
    """A report can be made again."""
    people = simulate(COUNTS)
    one, other = identified(people), identified(people)
    assert one.points == other.points
    assert one.by_size == other.by_size


def test_each_point_of_the_curve_is_counted_and_falls() -> None:
    """Both rates at its threshold; FPIR rises, FNIR never does, the band holds the curve."""
    people = simulate(COUNTS, spread=1.2)
    found = identified(people)
    open_set = plan(people)
    searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum")
    best_N = searches.best_other_R[open_set.is_stranger_R]
    mated = open_set.is_mated_R
    own_M, other_M = searches.own_R[mated], searches.best_other_R[mated]
    det = found.det
    for fpir, fnir, threshold in zip(det.fpir, det.fnir, det.threshold, strict=True):
        assert fpir == (best_N >= threshold).mean()
        assert fnir == ((own_M < threshold) | (own_M <= other_M)).mean()
    assert (np.diff(det.fpir) > 0).all()
    assert (np.diff(det.fnir) <= 0).all()
    assert det.fpir[0] > 0
    assert (det.fnir_low <= det.fnir).all()
    assert (det.fnir <= det.fnir_high).all()
    assert (det.fnir_low < det.fnir_high).all()


@given(VALUES)
def test_levels_of_a_curve_are_exact(values: list[float]) -> None:
    """Ties leave fewer levels; equal similarities leave one."""
    fpir_F, threshold_F = det_levels(np.array(values))
    for fpir, threshold in zip(fpir_F, threshold_F, strict=True):
        assert fpir == (np.array(values) >= threshold).mean() > 0
    assert len(fpir_F) == max(1, len(set(values)) - 1)


def test_a_long_curve_keeps_200_points() -> None:
    """Both ends among them."""
    best_N = np.random.default_rng(0).normal(size=20_000)
    fpir_F, _ = det_levels(best_N)
    assert 100 < len(fpir_F) <= 200
    assert (fpir_F[0], fpir_F[-1]) == (1 / 20_000, 19_999 / 20_000)


def test_sizes_are_ten_and_thirty_times_powers_of_ten() -> None:
    """Below the gallery's own size."""
    assert smaller_sizes(10) == []
    assert smaller_sizes(11) == [10]
    assert smaller_sizes(439) == [10, 30, 100, 300]
    assert smaller_sizes(3000) == [10, 30, 100, 300, 1000]


def test_galleries_hold_distinct_subjects() -> None:
    """A hundred of each small size."""
    galleries = draw_galleries(120)
    assert [len(one) for one in galleries] == [10] * 100 + [30] * 100 + [100] * 100
    assert all(len(set(one)) == len(one) and max(one) < 120 for one in galleries)


def test_figures_of_smaller_galleries_equal_a_loop_over_them() -> None:
    """Each gallery searched alone; counts added, thresholds averaged; the whole one comes last."""
    people = simulate(COUNTS, spread=1.2)
    open_set = plan(people)
    galleries = draw_galleries(40)[95:105]  # five of ten subjects, five of thirty
    searches = search_all(people.embedded.unit_BD, open_set, fusion="maximum", galleries=galleries)
    resamples = resample(open_set, searches, np.array([0.01, 0.001]), num_resamples=20)
    found = figures_by_size(open_set, searches, galleries, resamples)
    assert [one.num_subjects for one in found] == [10, 30, 40]
    thresholds, num_missed, num_mated, num_first = [], 0, 0, 0
    for gallery in galleries[:5]:
        best_N, mated = [], []
        for row, probe in enumerate(open_set.probes_R):
            person = int(open_set.person_R[row])
            fused = {int(s): fused_by_hand(people, probe, int(s), "maximum") for s in gallery}
            if person >= 40:
                best_N.append(max(fused.values()))
            elif person in fused:
                own = fused.pop(person)
                mated.append((own, max(fused.values())))
        thresholds.append(smallest_threshold(best_N, 0.01))
        num_missed += sum(own <= best or own < thresholds[-1] for own, best in mated)
        num_first += sum(own > best for own, best in mated)
        num_mated += len(mated)
    point = found[0].points[0]
    assert point.threshold == pytest.approx(np.mean(thresholds), abs=1e-6)
    assert (point.fnir.num_errors, point.fnir.num_trials) == (num_missed, num_mated)
    assert found[0].rank1 == num_first / num_mated
    assert point.fpir.num_trials == 5 * 200
    assert point.fnir_interval[0] <= point.fnir.rate <= point.fnir_interval[1]
    assert found[2].points == operating_points(open_set, searches, resamples)


def test_a_larger_gallery_needs_a_higher_threshold() -> None:
    """More subjects, more chances to be taken for one."""
    found = identified(simulate(COUNTS, spread=1.2))
    thresholds = [one.points[0].threshold for one in found.by_size]
    assert [one.num_subjects for one in found.by_size] == [10, 30, 40]
    assert thresholds == sorted(thresholds)
    assert found.by_size[-1].points == found.points


@given(
    hits=st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    seed=st.integers(0, 2**32),
)
def test_the_discard_curve_equals_counting_again(hits: list[float], seed: int) -> None:
    """Sorted by quality, the worst removed, the rest counted at the same threshold."""
    quality = np.random.default_rng(seed).integers(0, 9, len(hits)).astype(np.float32)
    curve = discard_curve(np.array(hits), quality, fpir_wanted=0.01, threshold=0.25)
    by_quality = sorted(range(len(hits)), key=lambda place: quality[place])
    for share, fnir, num_left in zip(curve.share, curve.fnir, curve.num_left, strict=True):
        rest = by_quality[int(share * len(hits) + 1e-9) :]
        assert num_left == len(rest) > 0
        assert fnir == pytest.approx(np.mean([hits[place] < 0.25 for place in rest]))


def test_the_discard_curve_begins_with_the_figure_itself() -> None:
    """Nothing discarded is the FNIR at FPIR 1 %."""
    found = identified(simulate(COUNTS, spread=1.2))
    assert found.discard.fnir[0] == found.points[0].fnir.rate
    assert found.discard.threshold == found.points[0].threshold
    assert found.discard.num_left[0] == found.num_mated


def test_people_whose_images_are_all_unreadable_are_gone() -> None:
    """The others keep their names and parts."""
    people = simulate([1, *COUNTS])
    kept = np.flatnonzero(people.labels_B != 0)
    embedded = people.embedded
    part = type(embedded)(
        unit_BD=embedded.unit_BD[kept],
        norms_B=embedded.norms_B[kept],
        images_B=kept,
        unreadable=("the first image is damaged",),
    )
    (found,) = identify(
        part,
        selection_of(people),
        name="simulated",
        fusions=("maximum",),
        num_templates=3,
        stranger_max_images=1,
        groups={"person1": "a", "person0": "b"},
        norm_floor=0.0,
    )
    assert (found.num_subjects, found.num_strangers, found.num_left_out) == (40, 200, 1)
    assert [group.name for group in found.groups] == ["a", "(none)"]
    assert found.groups[0].num_subjects == 1


def test_one_identity_cannot_be_measured() -> None:
    """There is nobody to tell it from."""
    with pytest.raises(DataInvalid, match="simulated has 1 identities"):
        identified(simulate([9]))


def test_a_set_like_lfw_is_measured_in_seconds() -> None:
    """439 subjects and 5,000 searches, the bootstrap included."""
    people = simulate([9] * 439 + [1] * 2722, dimension=64)
    start = time.process_time()
    found = identified(people)
    assert found.num_mated + found.num_strangers > 5000
    assert time.process_time() - start < 20.0
