"""Identify: a photo in, who each face is out. No HTTP here."""

import time
from collections.abc import Sequence
from typing import Literal, TypedDict

from embedding.choosing import FaceChoice, choose_position
from embedding.embedder import FaceEmbedder
from embedding.errors import GalleryError, RequestInvalid
from embedding.faces import FoundFaces, PhotoFaces
from index.across import GalleryAnswer, decide_across, name_each_person_once
from index.audit.entries import AuditEvent
from index.calibration.in_force import ThresholdsInForce
from index.decision import Identification, name_each_subject_once
from index.fusion import fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from service.embedders import Embedders
from service.recording import NO_TELLING, Recorder, Telling
from service.results import AcrossRecognition, Recognition, SearchedGallery
from service.settings import Settings
from service.thresholds import NOTHING, Asked, asked_thresholds

MAX_CANDIDATES = 100
"""In one answer; a list for a person to look through is shorter."""

MAX_GALLERIES = 16
"""In one request: each adds its FPIR, and a search; each further model embeds every face."""

FacesChoice = FaceChoice | Literal["all"]


class IdentifyingOptions(TypedDict, total=False):
    """How to identify, in one gallery or several; `Identifying.identify` has the defaults."""

    turns: bool
    num_candidates: int
    face: FacesChoice
    asked: Asked
    telling: Telling


class Identifying:
    """Tells who is in photos; thread safe."""

    def __init__(self, galleries: Galleries, embedders: Embedders, *, settings: Settings) -> None:
        self._galleries = galleries
        self._embedders = embedders
        self._settings = settings
        self._recorder = Recorder(galleries, settings=settings)

    def identify(
        self,
        photo: bytes,
        *,
        gallery: str,
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        asked: Asked = NOTHING,
        telling: Telling = NO_TELLING,
    ) -> Recognition:
        """Who each face of a photo is; of the photo nothing is saved.

        Args:
            photo: encoded.
            gallery: name of the gallery.
            turns: when no face is found, or none that is surely upright, try the quarter turns;
                where a face is chosen they always are.
            num_candidates: at most this many in each answer, 1 to 100.
            face: all of them, the only one, the largest, or the one at a box in pixels of the
                upright photo.
            asked: what is to decide.
            telling: what the caller says of itself, and wants to be done with the answer.

        Raises:
            FeatureOff: a queue is wanted, and there is none.
            PhotoError: the photo is not accepted.
            FaceError: a face was chosen that the photo has not.
            GalleryNotFound: no such gallery.
            ModelError: the gallery's model is not installed or damaged.
            RequestInvalid: num_candidates is out of range, or a queue is wanted for decisions by
                a rate or threshold of the caller's own.
            StoreCorrupt: the gallery's calibration cannot be read.
            StoreError: events or reviews cannot be written.
        """
        check_num_candidates(num_candidates)
        self._recorder.check(telling, own=asked.anything)
        target = self._galleries.get(gallery)
        embedder = self._embedders.of_gallery(target.fingerprint)
        if face == "all":
            found = embedder.analyze(photo, turns=turns)
        else:
            found = embedder.embed([_chosen(embedder, photo, face)])[0]
        start = time.perf_counter()
        thresholds, match_similarities, answers = self._answers(
            target, embedder, found, num_candidates=num_candidates, asked=asked
        )
        review_ids = self._recorder.record(
            [target.id] * len(answers), found.faces, answers, telling=telling, own=asked.anything
        )
        search_ms = (time.perf_counter() - start) * 1000
        return Recognition(
            photo=found,
            answers=answers,
            review_ids=review_ids,
            thresholds=thresholds,
            match_similarities=match_similarities,
            card=embedder.card,
            timings_ms={**found.timings_ms, "search": search_ms},
        )

    def identify_across(
        self,
        photo: bytes,
        *,
        galleries: Sequence[str],
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        asked: Asked = NOTHING,
        telling: Telling = NO_TELLING,
    ) -> AcrossRecognition:
        """Who each face of a photo is, asked of several galleries; nothing is saved.

        Faces are found once, and embedded once by each model that a gallery was made with.

        Args:
            photo: as in `identify`, like all that are not told here.
            galleries: names, each once; up to 16.
            turns: likewise.
            num_candidates: of each gallery, and of all together.
            face: likewise.
            asked: for each gallery.
            telling: likewise, without a queue.

        Raises:
            As `identify`.
            RequestInvalid: no galleries, too many, one of them twice, or a queue is wanted.
        """
        check_num_candidates(num_candidates)
        check_galleries(galleries)
        if telling.queue_reviews:
            raise RequestInvalid("queue_reviews goes with one gallery; ask it alone")
        targets = [self._one_of(galleries, position) for position in range(len(galleries))]
        embedders = {
            each.fingerprint: self._embedders.of_gallery(each.fingerprint) for each in targets
        }
        first = embedders[targets[0].fingerprint]
        # Every model here was made with the same detector, or it would not have been opened.
        cut = first.find(photo, turns=turns) if face == "all" else _chosen(first, photo, face)
        timings_ms = dict(cut.timings_ms)
        embedded = {print_: each.embed([cut])[0] for print_, each in embedders.items()}
        timings_ms["embed"] = sum(each.timings_ms["embed"] for each in embedded.values())
        start = time.perf_counter()
        searched, by_face = [], [list[GalleryAnswer]() for _ in cut.detected]
        for target in targets:
            thresholds, match_similarities, answers = self._answers(
                target,
                embedders[target.fingerprint],
                embedded[target.fingerprint],
                num_candidates=num_candidates,
                asked=asked,
            )
            card = embedders[target.fingerprint].card
            searched.append(SearchedGallery(gallery=target.name, thresholds=thresholds, card=card))
            for of_face, answer, match in zip(by_face, answers, match_similarities, strict=True):
                of_face.append(
                    GalleryAnswer(
                        gallery=target.name,
                        answer=answer,
                        match_similarity=match,
                        smallest_lead=thresholds.smallest_lead,
                    )
                )
        decided = name_each_person_once(
            [decide_across(each, num_candidates=num_candidates) for each in by_face]
        )
        ids = {each.name: each.id for each in targets}
        faces = embedded[first.fingerprint].faces
        self._recorder.record(
            # A stranger is one of the first gallery: an event a face.
            [ids[each.gallery or targets[0].name] for each in decided],
            faces,
            decided,
            telling=telling,
            own=asked.anything,
        )
        timings_ms["search"] = (time.perf_counter() - start) * 1000
        return AcrossRecognition(
            photo=embedded[first.fingerprint],
            answers=decided,
            searched=tuple(searched),
            timings_ms=timings_ms,
        )

    def _one_of(self, galleries: Sequence[str], position: int) -> Gallery:
        """The gallery at a position; an error says at which."""
        try:
            return self._galleries.get(galleries[position])
        except GalleryError as error:
            raise type(error)(f"gallery {position + 1} of {len(galleries)}: {error}") from error

    def _answers(
        self,
        target: Gallery,
        embedder: FaceEmbedder,
        found: PhotoFaces,
        *,
        num_candidates: int,
        asked: Asked,
    ) -> tuple[ThresholdsInForce, tuple[float, ...], tuple[Identification, ...]]:
        """What decided in a gallery, each face's similarity of a match, and each one's answer."""
        target.refresh()
        thresholds = asked_thresholds(target, embedder, settings=self._settings, asked=asked)
        of_faces = [thresholds.for_probe(face.embedding) for face in found.faces]
        answers = name_each_subject_once(
            [
                target.identify(
                    face.embedding,
                    fingerprint=embedder.fingerprint,
                    match_threshold=match,
                    review_threshold=review,
                    num_candidates=num_candidates,
                    fusion=fusion_rule(thresholds.rule),
                    smallest_lead=thresholds.smallest_lead,
                )
                for face, (match, review) in zip(found.faces, of_faces, strict=True)
            ]
        )
        if self._settings.audit_identifies:
            self._galleries.audit.note(_identified(target, answers))
        return thresholds, tuple(match for match, _ in of_faces), answers


def check_num_candidates(num_candidates: int) -> None:
    """Pass a number of candidates that one answer may hold.

    Raises:
        RequestInvalid: it is out of range.
    """
    if not 1 <= num_candidates <= MAX_CANDIDATES:
        raise RequestInvalid(f"num_candidates is 1 to {MAX_CANDIDATES}, but was {num_candidates}")


def check_galleries(galleries: Sequence[str]) -> None:
    """Pass the names of galleries that one request may ask.

    Raises:
        RequestInvalid: none, too many, or one of them twice.
    """
    if not 1 <= len(galleries) <= MAX_GALLERIES:
        raise RequestInvalid(
            f"galleries are 1 to {MAX_GALLERIES}, but {len(galleries)} were given: the FPIR of "
            "all together is the sum of theirs"
        )
    if len(set(galleries)) != len(galleries):
        raise RequestInvalid("a gallery is given twice; it would be asked twice, and say the same")


def _chosen(embedder: FaceEmbedder, photo: bytes, face: FaceChoice) -> FoundFaces:
    """The photo with one face alone, looked for as an enroll does."""
    cut = embedder.find(photo, turns=True)
    return cut.without_others(choose_position([each.box for each in cut.detected], face))


def _identified(gallery: Gallery, answers: Sequence[Identification]) -> AuditEvent:
    """What the audit log keeps of an identification: how it went, and who was named."""
    named = [each.subject.id for each in answers if each.decision == "match" and each.subject]
    counts = {
        f"num_{kind}": sum(each.decision == kind for each in answers)
        for kind in ("match", "review", "unknown")
    }
    return AuditEvent(
        action="identify", gallery_id=gallery.id, subject_ids=tuple(named), facts=counts
    )
