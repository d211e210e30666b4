"""Open-set 1:N figures of one set of identities.

Shape legend: B images, I identities, M mated searches, S subjects, C points of a curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RateAtThreshold
from training.data.split import Selection
from training.evaluation.gallery_sizes import SizeFigures, draw_galleries, figures_by_size
from training.evaluation.groups import GroupFigures, figures_by_group
from training.evaluation.images import EmbeddedImages
from training.evaluation.open_set import OpenSet, plan_open_set
from training.evaluation.points import (
    FPIRS,
    DetCurve,
    Interval,
    OperatingPoint,
    det_curve,
    det_levels,
    operating_points,
    rate_interval,
    rates_at,
)
from training.evaluation.resampling import hit_similarities, resample
from training.evaluation.searches import Fusion, Searches, search_all

# Half of all searches is more than anybody would refuse.
DISCARDED_SHARES = tuple(step / 40 for step in range(21))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardCurve:
    """FNIR when the mated searches of the lowest quality are refused.

    The quality is the length of the raw embedding; the threshold stays that of all searches.

    Attributes:
        fpir_wanted: of the threshold.
        threshold: similarity from which a candidate is returned.
        share: of the mated searches that is discarded.
        fnir: of those that remain.
        num_left: how many remain.
    """

    fpir_wanted: float
    threshold: float
    share: tuple[float, ...]
    fnir: tuple[float, ...]
    num_left: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIdentification:
    """What a model reaches on one set of identities under one fusion.

    Attributes:
        name: of the set.
        fusion: of a subject's templates.
        protocol: who is enrolled, who is searched for and who is a stranger, in words.
        num_subjects: N.
        num_templates: of each subject.
        num_mated: searches of enrolled people.
        num_strangers: searches of strangers.
        num_stranger_people: who they are.
        num_left_out: images that cannot be read.
        rank1: share of mated searches whose own subject is first (`num_errors` counts these).
        rank1_interval: 95 %, over resampled people.
        points: at FPIR 1 % and 0.1 %.
        det: FNIR against FPIR.
        by_size: of random smaller galleries, and of the whole one.
        discard: FNIR against the share of searches refused for their quality.
        groups: by group, where groups are known.
    """

    name: str
    fusion: Fusion
    protocol: str
    num_subjects: int
    num_templates: int
    num_mated: int
    num_strangers: int
    num_stranger_people: int
    num_left_out: int
    rank1: RateAtThreshold
    rank1_interval: Interval
    points: tuple[OperatingPoint, ...]
    det: DetCurve
    by_size: tuple[SizeFigures, ...]
    discard: DiscardCurve
    groups: tuple[GroupFigures, ...]


def identify(
    embedded: EmbeddedImages,
    selection: Selection,
    *,
    name: str,
    fusions: Sequence[Fusion],
    num_templates: int,
    stranger_max_images: int,
    groups: Mapping[str, str],
    norm_floor: float,
    seed: int = 0,
) -> list[SetIdentification]:
    """Measures a set whose images are embedded already, under each fusion.

    Args:
        embedded: the readable images of the selection.
        selection: whose images they are.
        name: of the set.
        fusions: of a subject's templates.
        num_templates: images of a subject that are enrolled; who has more is enrolled.
        stranger_max_images: who has at most as many is a stranger.
        groups: group of identities by name; may be empty.
        norm_floor: raw embeddings shorter than this count as refused.
        seed: of all draws.

    Raises:
        DataInvalid: too few people with enough images.
    """
    # Identities whose images all are unreadable are gone.
    present, identity_B = np.unique(selection.labels_N[embedded.images_B], return_inverse=True)
    open_set = plan_open_set(
        identity_B,
        num_templates=num_templates,
        stranger_max_images=stranger_max_images,
        name=name,
    )
    groups_I = [groups.get(selection.names[one]) for one in present]
    galleries = draw_galleries(open_set.num_subjects, seed=seed)
    found = []
    for fusion in fusions:
        searches = search_all(embedded.unit_BD, open_set, fusion=fusion, galleries=galleries)
        found.append(
            _figures(
                open_set,
                searches,
                galleries,
                embedded,
                name=name,
                fusion=fusion,
                groups_I=groups_I,
                identity_B=identity_B,
                norm_floor=norm_floor,
                seed=seed,
            )
        )
    return found


def _figures(
    open_set: OpenSet,
    searches: Searches,
    galleries: Sequence[NDArray[np.int64]],
    embedded: EmbeddedImages,
    *,
    name: str,
    fusion: Fusion,
    groups_I: Sequence[str | None],
    identity_B: NDArray[np.int64],
    norm_floor: float,
    seed: int,
) -> SetIdentification:
    mated, strangers = open_set.is_mated_R, open_set.is_stranger_R
    levels = det_levels(searches.best_other_R[strangers])
    # An FPIR of 1 occurs only where all strangers are equal; there is no threshold below them.
    wanted_F = np.minimum(np.append(FPIRS, levels[0]), np.nextafter(1.0, 0.0))
    resamples = resample(open_set, searches, wanted_F, seed=seed)
    points = operating_points(open_set, searches, resamples)
    rank1 = rates_at(open_set, searches, points[0].threshold).rank1
    return SetIdentification(
        name=name,
        fusion=fusion,
        protocol=open_set.protocol,
        num_subjects=open_set.num_subjects,
        num_templates=open_set.templates_ST.shape[1],
        num_mated=int(mated.sum()),
        num_strangers=int(strangers.sum()),
        num_stranger_people=open_set.num_stranger_people,
        num_left_out=len(embedded.unreadable),
        rank1=rank1,
        rank1_interval=rate_interval(rank1, resamples.rank1_V),
        points=points,
        det=det_curve(open_set, searches, levels, fnir_VF=resamples.fnir_VF[:, len(FPIRS) :]),
        by_size=figures_by_size(open_set, searches, galleries, resamples, seed=seed),
        discard=discard_curve(
            hit_similarities(searches.own_R[mated], searches.best_other_R[mated]),
            embedded.norms_B[open_set.probes_R[mated]],
            fpir_wanted=points[0].fpir_wanted,
            threshold=points[0].threshold,
        ),
        groups=figures_by_group(
            groups_I,
            open_set,
            searches,
            identity_B=identity_B,
            norms_B=embedded.norms_B,
            norm_floor=norm_floor,
            threshold=points[0].threshold,
        ),
    )


def discard_curve(
    hits_M: NDArray[np.float64],
    quality_M: NDArray[np.float32],
    *,
    fpir_wanted: float,
    threshold: float,
    shares: Sequence[float] = DISCARDED_SHARES,
) -> DiscardCurve:
    """FNIR of the mated searches that remain when the worst are discarded.

    Args:
        hits_M: see `hit_similarities`.
        quality_M: of each mated search; of equal ones the first are discarded first.
        fpir_wanted: of the threshold.
        threshold: stays as it is.
        shares: to discard, below 1; rounded down to whole searches.
    """
    is_miss_M = hits_M[np.argsort(quality_M, kind="stable")] < threshold
    num_left = [len(is_miss_M) - int(share * len(is_miss_M) + 1e-9) for share in shares]
    return DiscardCurve(
        fpir_wanted=fpir_wanted,
        threshold=threshold,
        share=tuple(shares),
        fnir=tuple(float(is_miss_M[-left:].mean()) for left in num_left),
        num_left=tuple(num_left),
    )
