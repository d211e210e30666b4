"""What a gallery's operator has chosen about how it decides, kept with the gallery."""

from dataclasses import dataclass

from embedding.errors import RequestInvalid
from index.decision import check_doubts
from index.fusion import MAXIMUM, FusionRule, fusion_rule

MAX_CAP = 10_000
"""No gallery is told to keep more templates of one subject."""

NEW_GALLERY_LEAD = 0.05
"""Turned a third to a half of the strangers who were named into reviews, and 0.4 to 0.7 % of the
right matches; see docs/decisions/0014-fusion-cap-and-lead.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRules:
    """How a gallery decides; the defaults hold where nothing was chosen.

    Attributes:
        fusion: name of the rule that makes one similarity of a subject's templates, one of
            `index.fusion.FUSION_RULES`. A threshold holds for one rule: that of a model card for
            the maximum, any other needs a calibration.
        max_templates: so many templates of a subject stay after an enroll to it, those of the
            best quality, of equal quality the later ones; None for all.
        smallest_lead: in [0, 2]; by how much a ``match`` must lead over the second candidate. A
            new gallery begins with `NEW_GALLERY_LEAD`; 0 is what holds in one from before.

    Raises:
        RequestInvalid: there is no such rule, or a figure is out of range.
    """

    fusion: str = MAXIMUM.name
    max_templates: int | None = None
    smallest_lead: float = 0.0

    def __post_init__(self) -> None:
        fusion_rule(self.fusion)
        check_doubts(smallest_lead=self.smallest_lead, look_alikes=())
        if self.max_templates is not None and not 1 <= self.max_templates <= MAX_CAP:
            raise RequestInvalid(
                f"the most templates of a subject must be 1 to {MAX_CAP}, but are "
                f"{self.max_templates}; give none to keep all"
            )

    @property
    def rule(self) -> FusionRule:
        """The fusion rule."""
        return fusion_rule(self.fusion)
