"""The models of this installation, opened when a gallery first needs one."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedding.cores import num_cores
from embedding.detect import Detector, MtcnnDetector
from embedding.embedder import FaceEmbedder
from embedding.errors import ModelInvalid, ModelNotFound, RequestInvalid
from embedding.model import CARD_FILE, ModelCard, default_model, read_card, shipped_models
from embedding.photo import PhotoLimits
from embedding.quality import QualityLimits
from service.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A model directory that a gallery could use.

    Attributes:
        path: of the directory.
        card: what it says of itself; the weights are checked when the model is opened.
        default: new galleries get this one.
    """

    path: Path
    card: ModelCard
    default: bool


class Embedders:
    """Embedders by fingerprint; thread safe."""

    def __init__(self, settings: Settings, *, detector: Detector | None = None) -> None:
        self._settings = settings
        self._detector = detector
        self._opened: dict[str, FaceEmbedder] = {}
        self._opening = threading.Lock()

    @property
    def batch_counts(self) -> tuple[int, int]:
        """Runs of the embedding nets so far, and crops in them."""
        counts = [each.batch_counts for each in tuple(self._opened.values())]
        return sum(runs for runs, _ in counts), sum(crops for _, crops in counts)

    def installed(self) -> tuple[InstalledModel, ...]:
        """Every model directory with a valid card, each fingerprint once, the default first."""
        found: dict[str, InstalledModel] = {}
        default = self._default_path()
        for path in self._paths():
            try:
                card = read_card(path / CARD_FILE)
            except ModelInvalid as error:
                logger.warning("model directory left out: %s", error)
                continue
            entry = InstalledModel(path=path, card=card, default=path == default)
            found.setdefault(card.fingerprint, entry)
        return tuple(sorted(found.values(), key=lambda entry: not entry.default))

    def named(self, wanted: str | None = None) -> FaceEmbedder:
        """The embedder of a model by name, path in the settings, or fingerprint; None: default.

        Raises:
            ModelNotFound: no such model is installed.
            ModelInvalid: its files do not fit each other.
        """
        for model in self.installed():
            if wanted in (model.card.name, model.card.fingerprint) or (
                wanted is None and model.default
            ):
                return self._open(model)
        if wanted is None and (path := self._default_path()) is not None:
            read_card(path / CARD_FILE)  # says what is wrong with it
        names = ", ".join(model.card.name for model in self.installed()) or "none"
        raise ModelNotFound(
            f"no model {wanted or self._settings.model or 'default'} is installed (installed: "
            f"{names}); put its directory into the models folder (FACEGALLERY_MODELS_FOLDER)"
        )

    def of_gallery(self, fingerprint: str) -> FaceEmbedder:
        """The embedder that a gallery's templates were made with.

        Raises:
            ModelNotFound: it is not installed; says what to do.
            ModelInvalid: its files do not fit each other.
        """
        opened = self._opened.get(fingerprint)
        if opened is not None:
            return opened
        for model in self.installed():
            if model.card.fingerprint == fingerprint:
                return self._open(model)
        raise ModelNotFound(
            f"the gallery was made with model {fingerprint[:12]}, which is not installed; put its "
            "directory into the models folder (FACEGALLERY_MODELS_FOLDER)"
        )

    def _open(self, model: InstalledModel) -> FaceEmbedder:
        with self._opening:
            opened = self._opened.get(model.card.fingerprint)
            if opened is None:
                opened = FaceEmbedder.open(
                    model.path,
                    detector=self._shared_detector(),
                    limits=photo_limits(self._settings),
                    quality_limits=quality_limits(self._settings, model.card),
                    num_threads=self._settings.num_threads,
                    batch_wait_s=self._settings.batch_wait_ms / 1000,
                    keep_crops=self._settings.keep_crops,
                )
                # Asked once here, so that a card without these rates fails at the start.
                self._check_rates(opened.card)
                self._opened[model.card.fingerprint] = opened
                logger.info(
                    "model opened name=%s fingerprint=%s",
                    model.card.name,
                    model.card.fingerprint[:12],
                )
        return opened

    def _shared_detector(self) -> Detector:
        """One for all models, that looks for faces in as many photos at a time as are worked on.

        With all cores on one photo they would wait for each other at every layer, and for what
        else the service does.
        """
        if self._detector is None:
            cores, settings = num_cores(), self._settings
            self._detector = MtcnnDetector(
                num_threads=settings.num_threads,
                num_streams=min(settings.num_workers or cores, settings.num_threads or cores),
            )
        return self._detector

    def _check_rates(self, card: ModelCard) -> None:
        """Returns when the card holds thresholds for the rates in the settings."""
        for fpir in (self._settings.fpir, self._settings.review_fpir):
            try:
                card.threshold(fpir=fpir, num_subjects=1)
            except RequestInvalid as error:
                raise ModelInvalid(
                    f"{error}; FACEGALLERY_FPIR and FACEGALLERY_REVIEW_FPIR must be among them"
                ) from error

    def _paths(self) -> Iterator[Path]:
        """Every directory with a card, the default's first; may name one twice."""
        if (default := self._default_path()) is not None:
            yield default
        yield from shipped_models().values()
        folder = self._settings.models_folder
        if folder is not None:
            yield from sorted(card.parent for card in folder.glob(f"*/{CARD_FILE}"))

    def _default_path(self) -> Path | None:
        """The directory of the model for new galleries; None when it is not installed."""
        wanted, shipped = self._settings.model, shipped_models()
        if wanted is None:
            try:
                return shipped.get(default_model())
            except ModelNotFound:
                return None
        if wanted in shipped:
            return shipped[wanted]
        if (Path(wanted) / CARD_FILE).is_file():
            return Path(wanted)
        folder = self._settings.models_folder
        cards = [path / CARD_FILE for path in shipped.values()]
        cards += sorted(folder.glob(f"*/{CARD_FILE}")) if folder is not None else []
        return next((card.parent for card in cards if _is_called(card, wanted)), None)


def _is_called(card_file: Path, wanted: str) -> bool:
    """Whether a card has this name or fingerprint; a damaged card is called nothing."""
    try:
        card = read_card(card_file)
    except ModelInvalid:
        return False  # `installed` reports it
    return wanted in (card.name, card.fingerprint)


def photo_limits(settings: Settings) -> PhotoLimits:
    """What is refused before a pixel is decoded."""
    return PhotoLimits(max_bytes=settings.max_photo_bytes, max_pixels=settings.max_photo_pixels)


def quality_limits(settings: Settings, card: ModelCard) -> QualityLimits:
    """When enroll refuses a face; the norm's floor is the model's own."""
    return QualityLimits(
        min_size_px=settings.min_face_px,
        min_sharpness=settings.min_sharpness,
        max_yaw_deg=settings.max_yaw_deg,
        max_pitch_deg=settings.max_pitch_deg,
        min_confidence=settings.min_confidence,
        min_norm=card.norm_floor,
    )
