"""What is kept of an identification for those who act on it: events, and reviews for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from embedding.crop_file import crop_png
from embedding.errors import FeatureOff, RequestInvalid
from embedding.faces import Face
from index.across import AcrossIdentification
from index.decision import Identification
from index.events import NewEvent, NewReview
from index.galleries import Galleries
from index.store.ids import new_ids
from service.logs import request_in_hand
from service.settings import ENV_PREFIX, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What the caller of an identification says beside the photo.

    Attributes:
        source: what the caller calls itself, such as a door; None for nothing.
        queue_reviews: have a person look at faces that are a ``review``.
    """

    source: str | None = None
    queue_reviews: bool = False


NO_TELLING = Telling()
"""Of a caller who says nothing."""


class Recorder:
    """Writes what was decided, in one commit, before it is answered; thread safe."""

    def __init__(self, galleries: Galleries, *, settings: Settings) -> None:
        self._galleries = galleries
        self._settings = settings

    def check(self, telling: Telling, *, own: bool) -> None:
        """Passes where what is wanted can be done.

        Args:
            telling: of the caller.
            own: a rate or threshold of the caller's own is to decide.

        Raises:
            FeatureOff: a queue is wanted, and there is none.
            RequestInvalid: it is wanted for decisions of the caller's own.
        """
        if telling.queue_reviews:
            check_on(self._settings, "reviews")
            if own:
                raise RequestInvalid(
                    "queue_reviews goes with the gallery's thresholds, not with fpir or threshold"
                )

    def record(
        self,
        gallery_ids: Sequence[str],
        faces: Sequence[Face],
        answers: Sequence[Identification | AcrossIdentification],
        *,
        telling: Telling,
        own: bool,
    ) -> tuple[str | None, ...]:
        """The id of the review of each face, None for none; all is on disk then.

        Args:
            gallery_ids: of the gallery that each answer is of.
            faces: of the photo.
            answers: one for each face.
            telling: of the caller.
            own: a rate or threshold of the caller's own decided: nobody is told, for doors act
                on what the gallery's thresholds say.

        Raises:
            StoreError: it cannot be written.
        """
        events: list[NewEvent] = []
        reviews: list[NewReview] = []
        ids: list[str | None] = []
        request_id = request_in_hand.get()
        for face, answer in enumerate(answers):
            subject_id = None if answer.subject is None else answer.subject.id
            review_id = None
            wanted = telling.queue_reviews and answer.decision == "review"
            if wanted and subject_id is not None and isinstance(answer, Identification):
                review_id = new_ids(1)[0]
                reviews.append(
                    NewReview(
                        id=review_id,
                        gallery_id=gallery_ids[face],
                        subject_id=subject_id,
                        similarity=answer.similarity or 0.0,
                        reasons=tuple(answer.reasons),
                        face=face,
                        source=telling.source,
                        request_id=request_id,
                        expires_at=self._expires_at(),
                        crop=crop_of(faces[face], settings=self._settings),
                    )
                )
            ids.append(review_id)
            if self._settings.events and not own:
                events.append(
                    NewEvent(
                        kind="identified",
                        gallery_id=gallery_ids[face],
                        subject_id=subject_id,
                        decision=answer.decision,
                        face=face,
                        source=telling.source,
                        request_id=request_id,
                        review_id=review_id,
                    )
                )
        self._galleries.events.record(events, reviews=reviews)
        return tuple(ids)

    def _expires_at(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=self._settings.review_hours)


def crop_of(face: Face, *, settings: Settings) -> bytes | None:
    """The face as a PNG file that is to be kept; None where the settings keep none."""
    if not settings.keep_crops or face.crop_HWC is None:
        return None
    return crop_png(face.crop_HWC)


def check_on(settings: Settings, name: str) -> None:
    """Passes where a setting switches a feature on.

    Args:
        settings: of the service.
        name: of the setting.

    Raises:
        FeatureOff: it is off.
    """
    if not getattr(settings, name):
        raise FeatureOff(
            f"this service keeps no {name}; its operator switches them on with "
            f"{ENV_PREFIX}{name.upper()}=true"
        )
