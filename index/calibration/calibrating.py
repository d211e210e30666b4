"""A calibration from end to end: whom to search for, whether to normalise, which thresholds.

Shapes: P probes, M mated searches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from embedding.errors import ModelMismatch, RequestInvalid
from embedding.model import ModelCard
from index.calibration.floor import MIN_PROBES, card_fpirs
from index.calibration.judging import Judgement, Parts, deciding_fpir, judge, split
from index.calibration.mated import Mated, search_mated
from index.calibration.measuring import calibrated_points
from index.calibration.normalisation import CohortNormalisation, digest_of
from index.calibration.records import Calibration
from index.calibration.rules import ManyProbesFusion, MaxFusion
from index.calibration.searches import NonMated, search_itself, search_strangers
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates

_ERRORS_AIMED_AT = 100
"""Known to a tenth of itself by one deviation: a larger gallery is not searched through."""

_MAX_SEARCHES = 100_000
"""However small the FPIR: in a million templates so many take some twenty minutes on two cores."""

_MAX_MATED = 3_000
"""In each round; a miss rate of 10 % is known to one per cent then."""

_SAME_IMAGE = 0.9995
"""Two embeddings closer than this are of one image: no two photos of a person come near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a calibration.

    Attributes:
        fpirs: each between 0 and 1.
        rule: how a subject's templates become one similarity.
        normalise: try a normalisation against a cohort, and keep it if it misses fewer people.
        max_probes: at most so many searches of a gallery that searches itself; None for as many
            as give a hundred errors at the smallest FPIR, from 3,000 to 100,000.
        num_future: how many new searches the prediction is for; None for as many as were made.
        seed: of what is drawn at random.
    """

    fpirs: Sequence[float] = (0.01, 0.05)
    rule: ManyProbesFusion = field(default_factory=MaxFusion)
    normalise: bool = False
    max_probes: int | None = None
    num_future: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        bad = [each for each in self.fpirs if not 0.0 < each < 1.0]
        if bad or not self.fpirs:
            raise RequestInvalid(
                f"an FPIR to calibrate for lies between 0 and 1, both left out, but "
                f"{', '.join(f'{each:g}' for each in bad) or 'none'} was given: 0 would refuse "
                f"everybody and 1 accept everybody"
            )
        if self.max_probes is not None and self.max_probes < 1:
            raise RequestInvalid(f"max_probes is at least 1, but was {self.max_probes}")
        if self.num_future is not None and self.num_future < 1:
            raise RequestInvalid(f"num_future is at least 1, but was {self.num_future}")

    @property
    def num_searches(self) -> int:
        """At most so many searches of a gallery that searches itself."""
        enough = max(MIN_PROBES, math.ceil(_ERRORS_AIMED_AT / min(self.fpirs)))
        return self.max_probes or min(enough, _MAX_SEARCHES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """A calibration with what it was made of, for a plot.

    Attributes:
        calibration: what is kept.
        searches: of people who are not in the gallery that they search.
        mated: of people who are; None where nobody has two templates.
        normalisation: None where similarities decide; the searches then hold similarities, and
            figures otherwise.
    """

    calibration: Calibration
    searches: NonMated
    mated: Mated | None
    normalisation: CohortNormalisation | None


def calibrate(
    gallery: GalleryTemplates,
    *,
    card: ModelCard,
    fingerprint: str,
    strangers: Strangers | None = None,
    wanted: Wanted | None = None,
) -> Calibration:
    """Return thresholds for a gallery as it is, measured now; see `measure`."""
    return measure(
        gallery, card=card, fingerprint=fingerprint, strangers=strangers, wanted=wanted
    ).calibration


def measure(
    gallery: GalleryTemplates,
    *,
    card: ModelCard,
    fingerprint: str,
    strangers: Strangers | None = None,
    wanted: Wanted | None = None,
) -> Measurement:
    """Return thresholds for a gallery as it is, measured now, with the searches behind them.

    Args:
        gallery: all of its templates.
        card: of the gallery's model.
        fingerprint: the gallery's.
        strangers: people who are not in it; None where it searches itself, each template in the
            gallery without its own subject.
        wanted: what is asked for; None for the defaults.

    Raises:
        ModelMismatch: the card is of another model.
        RequestInvalid: fewer than two people in a gallery that searches itself, a stranger's very
            image is enrolled, a card without thresholds, or normalising without strangers, with
            too few, or in a gallery where nobody has two templates.
    """
    if card.fingerprint != fingerprint:
        raise ModelMismatch(
            f"the gallery holds embeddings of model {fingerprint[:12]}, but the card is of model "
            f"{card.fingerprint[:12]}"
        )
    wanted = wanted or Wanted()
    mated = search_mated(gallery, rule=wanted.rule, max_probes=_MAX_MATED, seed=wanted.seed)
    if strangers is None:
        if wanted.normalise:
            raise RequestInvalid("normalising needs strangers, some of whom become the cohort")
        searches = search_itself(
            gallery, rule=wanted.rule, max_probes=wanted.num_searches, seed=wanted.seed
        )
    else:
        searches = search_strangers(strangers, gallery, rule=wanted.rule, seed=wanted.seed)
        _check_disjoint(searches)
    close = card.threshold(fpir=card_fpirs(card)[0], num_subjects=gallery.num_subjects).value
    num_close = int((searches.best_P >= close).sum())
    tried = None
    if wanted.normalise and strangers is not None:
        tried = _normalised(strangers, searches, gallery, mated, card=card, wanted=wanted)
    normalisation = None
    if tried is not None and tried.judgement.kept:
        normalisation, searches, mated = tried.normalisation, tried.searches, tried.mated
    points = calibrated_points(
        searches,
        card=card,
        fpirs=wanted.fpirs,
        num_subjects=gallery.num_subjects,
        num_future=wanted.num_future,
        mated=mated,
    )
    calibration = Calibration(
        made_at=datetime.now(UTC),
        fingerprint=fingerprint,
        rule=wanted.rule.name,
        source="gallery" if strangers is None else "strangers",
        num_subjects=gallery.num_subjects,
        num_templates=len(gallery.vectors_TD),
        num_probes=searches.num_probes,
        num_people=searches.num_people,
        num_mated=0 if mated is None else len(mated.own_M),
        num_close=num_close,
        points=points,
        unit="photo" if strangers is None else strangers.unit,
        left_out={} if strangers is None else dict(strangers.left_out),
        normalisation=None if tried is None else tried.judgement,
        cohort_digest="" if normalisation is None else digest_of(normalisation.to_bytes()),
    )
    return Measurement(
        calibration=calibration, searches=searches, mated=mated, normalisation=normalisation
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Normalised:
    normalisation: CohortNormalisation
    judgement: Judgement
    searches: NonMated
    mated: Mated


def _normalised(
    strangers: Strangers,
    searches: NonMated,
    gallery: GalleryTemplates,
    mated: Mated | None,
    *,
    card: ModelCard,
    wanted: Wanted,
) -> _Normalised:
    """The figures of the calibrating strangers, and whether they are to be used."""
    if mated is None:
        raise RequestInvalid(
            "nobody in the gallery has two templates, so whether normalising misses fewer people "
            "cannot be measured"
        )
    parts: Parts = split(strangers, seed=wanted.seed)
    normalisation = CohortNormalisation.of_cohort(parts.cohort)
    judging = searches.of_people(parts.judging.person_P)
    figures = normalisation.of_mated(mated, gallery.vectors_TD[mated.template_M])
    judgement = judge(
        plain=(judging, mated),
        normalised=(normalisation.of_strangers(judging, parts.judging.vectors_PD), figures),
        fpir=deciding_fpir(wanted.fpirs, judging.num_probes),
        num_cohort=len(normalisation.vectors_CD),
        seed=wanted.seed,
    )
    calibrating = normalisation.of_strangers(
        searches.of_people(parts.calibrating.person_P), parts.calibrating.vectors_PD
    )
    points = calibrated_points(
        calibrating, card=card, fpirs=wanted.fpirs, num_subjects=gallery.num_subjects
    )
    if judgement.kept and any(each.floor is not None for each in points):
        # The card's thresholds are for similarities: under figures they would promise nothing.
        judgement = replace(
            judgement,
            kept=False,
            reason="the strangers left to calibrate with are too few to do without the model card",
        )
    return _Normalised(
        normalisation=normalisation, judgement=judgement, searches=calibrating, mated=figures
    )


def _check_disjoint(searches: NonMated) -> None:
    num_same = int((searches.best_P > _SAME_IMAGE).sum())
    if num_same:
        raise RequestInvalid(
            f"{num_same} of the strangers' images are enrolled in the gallery; whoever "
            f"calibrates it must not be in it: leave these people out"
        )
