"""What is kept of an identification for those who act on it: events, and reviews for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from embedding.crop_file import crop_png
from embedding.errors import FeatureOff
from embedding.faces import Face
from index.decision import Identification
from index.events import NewEvent, NewReview
from index.galleries import Galleries
from index.gallery import Gallery
from index.store.ids import new_ids
from service.logs import request_in_hand
from service.settings import ENV_PREFIX, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the caller of an identification says beside the photo.

    Attributes:
        source: what the caller calls itself, such as a door; None for nothing.
        queue_reviews: have a person look at faces that are a ``review``.
    """

    source: str | None = None
    queue_reviews: bool = False


class Recorder:
    """Writes what was decided, in one commit, before it is answered; thread safe."""

    def __init__(self, galleries: Galleries, *, settings: Settings) -> None:
        self._galleries = galleries
        self._settings = settings

    def check(self, asked: Asked) -> None:
        """Passes where what is asked for is on.

        Raises:
            FeatureOff: it is not.
        """
        if asked.queue_reviews:
            check_on(self._settings, "reviews")

    def record(
        self,
        gallery: Gallery,
        faces: Sequence[Face],
        answers: Sequence[Identification],
        asked: Asked,
    ) -> tuple[str | None, ...]:
        """The id of the review of each face, None for none; all is on disk then.

        Args:
            gallery: that the faces were compared with.
            faces: of the photo.
            answers: one for each face.
            asked: by the caller.

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
            if asked.queue_reviews and answer.decision == "review" and subject_id is not None:
                review_id = new_ids(1)[0]
                reviews.append(
                    NewReview(
                        id=review_id,
                        gallery_id=gallery.id,
                        subject_id=subject_id,
                        similarity=answer.similarity or 0.0,
                        reasons=tuple(answer.reasons),
                        face=face,
                        source=asked.source,
                        request_id=request_id,
                        expires_at=self._expires_at(),
                        crop=crop_of(faces[face], settings=self._settings),
                    )
                )
            ids.append(review_id)
            if self._settings.events:
                events.append(
                    NewEvent(
                        kind="identified",
                        gallery_id=gallery.id,
                        subject_id=subject_id,
                        decision=answer.decision,
                        face=face,
                        source=asked.source,
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
