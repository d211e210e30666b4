"""How the templates of one subject become one similarity: rules behind one protocol.

A rule sees one subject at a time, so who else is in the gallery changes nothing. All of them give
a figure on the scale of a cosine that one threshold decides on, but not the same figure: a
threshold holds for the rule that it was calibrated with. Of one template, and of templates that
are all equal, every rule gives the similarity to it.

Shapes: N templates of one subject, D embedding dimension.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid

NO_DIRECTION = 1e-6
"""Templates whose weighted mean is shorter than this cancel each other out."""

VOTERS = 5
"""As many templates as are usual for a subject: more than the five closest have no say."""


class FusionRule(Protocol):
    """From a probe and all templates of a subject to the subject's similarity."""

    @property
    def name(self) -> str:
        """Unique among the rules; lower-case letters and hyphens."""

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],
    ) -> float:
        """Return the subject's similarity in [-1, 1]; the order of the templates is no matter.

        Args:
            probe_D: (D,), unit length.
            templates_ND: (N, D), unit length, in the space of the probe; N is at least 1.
            qualities_N: (N,) quality figures of the templates, in [0, 1].

        Raises:
            RequestInvalid: there are no templates.
        """


@dataclass(frozen=True, slots=True)
class Maximum:
    """The similarity to the closest template, whatever the others say."""

    name: str = "maximum"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],  # noqa: ARG002 (the protocol's)
    ) -> float:
        """Return the largest similarity."""
        return float(template_similarities(probe_D, templates_ND).max())


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the similarities to all templates."""

    name: str = "mean"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],  # noqa: ARG002 (the protocol's)
    ) -> float:
        """Return the mean similarity."""
        return float(template_similarities(probe_D, templates_ND).mean())


@dataclass(frozen=True, slots=True)
class BestTwo:
    """The mean of the two largest similarities; of one template, its similarity."""

    name: str = "best-two"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],  # noqa: ARG002 (the protocol's)
    ) -> float:
        """Return the mean of the best two."""
        return float(np.sort(template_similarities(probe_D, templates_ND))[-2:].mean())


@dataclass(frozen=True, slots=True)
class Centroid:
    """The similarity to the direction of the templates' mean, weighted by their quality.

    Where all qualities are 0 the weights are equal. Templates that cancel each other out, so that
    their weighted mean is shorter than `NO_DIRECTION`, have no direction: the similarity is 0.
    Unlike the others this rule can give more than the similarity to the closest template: a
    mean is nearer to the middle of a person than any photo.
    """

    name: str = "centroid"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],
    ) -> float:
        """Return the similarity to the centroid."""
        _check_some(templates_ND)
        weights_N = np.asarray(qualities_N, np.float64)
        total = weights_N.sum()
        weights_N = (
            weights_N / total if total > 0.0 else np.full(len(weights_N), 1 / len(weights_N))
        )
        mean_D = weights_N @ templates_ND.astype(np.float64)
        length = float(np.linalg.norm(mean_D))
        if length < NO_DIRECTION:
            return 0.0
        return min(1.0, max(-1.0, float(mean_D @ probe_D.astype(np.float64)) / length))


@dataclass(frozen=True, slots=True)
class CentroidAndBestTwo:
    """Half `Centroid` and half `BestTwo`: the middle of a person, and the photos most alike."""

    name: str = "centroid-best-two"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],
    ) -> float:
        """Return the mean of the two rules."""
        centroid = Centroid().fuse(probe_D, templates_ND, qualities_N)
        return (centroid + BestTwo().fuse(probe_D, templates_ND, qualities_N)) / 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A majority of the subject's closest templates must say yes.

    At a threshold T each of the k = min(`num_voters`, N) closest templates votes yes when its
    similarity >= T, and the subject has T when more than half of the k do: floor(k / 2) + 1.
    The similarity is the largest such T: that of the voter at this rank, counted from the
    closest. Of one template it is its similarity, of two the smaller one, of three the middle
    one, of four the third, and of five or more the third of the closest five.

    Other subjects have no vote: counted over the gallery, somebody with many templates would
    outvote somebody with few, and there would be no figure for a threshold.
    """

    num_voters: int = VOTERS
    name: str = "vote"

    def __post_init__(self) -> None:
        if self.num_voters < 1:
            raise RequestInvalid(f"a vote needs at least 1 voter, but got {self.num_voters}")

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],  # noqa: ARG002 (the protocol's)
    ) -> float:
        """Return the largest threshold that a majority reaches."""
        similarities_N = np.sort(template_similarities(probe_D, templates_ND))[::-1]
        num_voters = min(self.num_voters, len(similarities_N))
        return float(similarities_N[num_voters // 2])


MAXIMUM: Final = Maximum()
"""What the thresholds of the model cards are calibrated for (`fusion` of the card: ``max``)."""

_RULES: tuple[FusionRule, ...] = (
    MAXIMUM,
    Mean(),
    BestTwo(),
    Centroid(),
    CentroidAndBestTwo(),
    Vote(),
)

FUSION_RULES: Final[dict[str, FusionRule]] = {rule.name: rule for rule in _RULES}
"""The rules by name."""


def fusion_rule(name: str) -> FusionRule:
    """Return the rule of this name.

    Raises:
        RequestInvalid: there is none; the message names those there are.
    """
    if name not in FUSION_RULES:
        names = ", ".join(FUSION_RULES)
        raise RequestInvalid(f"no fusion rule is called {name!r}; there are: {names}")
    return FUSION_RULES[name]


def template_similarities(
    probe_D: NDArray[np.float32], templates_ND: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (N,) float64 similarities of a probe to templates, in [-1, 1].

    Args:
        probe_D: (D,), unit length.
        templates_ND: (N, D), unit length; N is at least 1.

    Raises:
        RequestInvalid: there are no templates.
    """
    _check_some(templates_ND)
    similarities_N = templates_ND.astype(np.float64) @ probe_D.astype(np.float64)
    clamped_N: NDArray[np.float64] = np.clip(similarities_N, -1.0, 1.0)
    return clamped_N


def _check_some(templates_ND: NDArray[np.float32]) -> None:
    if len(templates_ND) == 0:
        raise RequestInvalid("a subject without templates has no similarity")
