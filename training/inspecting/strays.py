"""Images that seem to stand under a wrong name, and images that are of little use.

The rule of a stray, for an image x of DATA and the images of its identity, copies that are left
out not counted:

- identities of one image have no strays: nothing contradicts the name;
- x does not match its identity: the mean similarity of x to the others is below the pair
  threshold; and
- x belongs elsewhere rather: the nearest image of another identity, of any set, is nearer to x
  than the nearest of its own; and
- it is x that is wrong, and not the others: the others match one another, as their mean
  similarity among themselves reaches the pair threshold (three images or more), or the nearest
  image of another identity reaches the threshold.

So of two images that differ one is a stray only if it is found elsewhere. Where two people share
an identity half and half, strays are only those who are found elsewhere, too.

Shape legend: N images, M images of DATA, K neighbours.
"""

import numpy as np
from numpy.typing import NDArray

from training.inspecting.findings import Finding, Kind, Limits, nearest_row, own_similarities
from training.inspecting.gathered import Gathered
from training.inspecting.search import Neighbours


def stray_findings(
    gathered: Gathered, neighbours: Neighbours, stays_for_N: NDArray[np.int64], limits: Limits
) -> list[Finding]:
    """A finding for each stray: those that match another identity first, then the farthest.

    The nearest other identities are looked for among the K of the search, again without copies
    that are left out.

    Args:
        gathered: the sets.
        neighbours: of DATA's images.
        stays_for_N: for each image the one that stays in its place.
        limits: the thresholds.
    """
    unit_ND = gathered.features.unit_ND
    stays_N = stays_for_N == np.arange(len(gathered))
    own_N, rest_N = own_similarities(unit_ND, gathered.first_rows, stays_N)
    findings = []
    # NaN, for images without others, is not below anything.
    for row in np.flatnonzero(own_N[: gathered.num_data] < limits.pair_threshold).tolist():
        own_rows = gathered.rows(int(gathered.labels_N[row]))
        own_rows = own_rows[stays_N[own_rows] & (own_rows != row)]
        other_rows = [gathered.rows(one) for one in neighbours.identities_MK[row].tolist()]
        others = np.concatenate([rows[stays_N[rows]] for rows in other_rows])
        if not len(others):
            continue
        row_own, best_own = nearest_row(unit_ND, row, own_rows)
        row_other, best_other = nearest_row(unit_ND, row, others)
        is_found_elsewhere = best_other >= limits.threshold
        others_match = bool(rest_N[row] >= limits.pair_threshold)
        if best_other > best_own and (is_found_elsewhere or others_match):
            elsewhere = "matches" if is_found_elsewhere else "is nearer to"
            findings.append(
                Finding(
                    kind=Kind.STRAY,
                    row_a=row,
                    row_b=row_other,
                    similarity=best_other,
                    mean_similarity=float(own_N[row]),
                    row_own=row_own,
                    proposed=(row,),
                    reason=f"does not match the rest of its identity; {elsewhere} another one",
                )
            )
    return sorted(
        findings,
        key=lambda finding: (
            (finding.similarity or 0.0) < limits.threshold,
            finding.mean_similarity,
            finding.row_a,
        ),
    )


def low_quality_findings(gathered: Gathered, limits: Limits) -> list[Finding]:
    """A finding for each image of DATA whose raw embedding is below the floor, shortest first.

    Nothing is proposed: hard images teach, too.
    """
    norms = gathered.features.norms_N[: gathered.num_data]
    rows = np.flatnonzero(norms < limits.norm_floor)
    return [
        Finding(
            kind=Kind.LOW_QUALITY,
            row_a=row,
            reason=f"raw embedding of length {norms[row]:.2f}, below {limits.norm_floor:.2f}",
        )
        for row in rows[np.argsort(norms[rows], kind="stable")].tolist()
    ]
