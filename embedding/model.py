"""The model directory: ``model.onnx`` and ``card.json``, which says what the file is.

The fingerprint binds embeddings to everything that made them: two embeddings may be compared
only if their fingerprints are equal.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from embedding.align import ARCFACE_TEMPLATE
from embedding.card_fields import CardFields
from embedding.errors import ModelInvalid, ModelNotFound, RequestInvalid
from embedding.thresholds import Threshold as Threshold
from embedding.thresholds import threshold_at

MODEL_FILE: Final = "model.onnx"
CARD_FILE: Final = "card.json"
CARD_FORMAT: Final = 1
MODELS_FOLDER: Final = Path(__file__).parent / "models"

EMBEDDING_DIMENSION: Final = 512

NO_LIVENESS: Final = (
    "There is no liveness detection: a printed photo may pass as the person. Never let a match be "
    "the sole factor at a door."
)
"""The notes of every card begin with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What the net takes: (v - mean) / std of an aligned crop.

    Attributes:
        name: of the ONNX input.
        layout: of the tensor; only "NCHW".
        size_px: side of the square crop; only 112.
        color: channel order; only "RGB".
        mean: subtracted from each value in [0, 255].
        std: what the difference is divided by.
    """

    name: str = "crops"
    layout: str = "NCHW"
    size_px: int = 112
    color: str = "RGB"
    mean: float = 127.5
    std: float = 127.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model is, what it was trained on, and what it reaches.

    Attributes:
        name: of the model; also the folder's name for a shipped one.
        model_sha256: hex digest of ``model.onnx``.
        fingerprint: see ``model_fingerprint``.
        mirrored: the embedding is the sum of the crop's and its mirror image's.
        licence: under which terms the weights may be used.
        thresholds: for each FPIR a grid over gallery sizes.
        dimension: of the embedding; only 512.
        input: what the net takes.
        precision: of inference; only "float32".
        detector: name of the detector that made the crops of the calibration.
        training: how and on what it was trained; free form, for people.
        accuracy: measured figures; free form, for people.
        fusion: how template similarities of a subject become one; only "max".
        norm_floor: raw embeddings shorter than this are of no use; 0 when not calibrated.
        notes: for people.
    """

    name: str
    model_sha256: str
    fingerprint: str
    mirrored: bool
    licence: str
    thresholds: tuple[Threshold, ...]
    dimension: int = EMBEDDING_DIMENSION
    input: InputSpec = field(default_factory=InputSpec)
    precision: str = "float32"
    detector: str = "mtcnn"
    training: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    fusion: str = "max"
    norm_floor: float = 0.0
    notes: str = ""

    def threshold(self, *, fpir: float, num_subjects: int) -> Threshold:
        """The threshold for a wanted FPIR at a gallery size.

        Linear in ln(N) between the grid entries of the same FPIR; the smallest entry's below
        the smallest N; beyond the largest N continued by the slope of the last two entries,
        but never downwards, and marked as extrapolated. An empty gallery counts as one subject.
        It is at least that of every larger FPIR, of which more errors were counted: continued
        far enough, their lines would cross, and fewer strangers need more similarity.

        Raises:
            RequestInvalid: the card holds no entries for this FPIR, or the size is negative.
        """
        if num_subjects < 0:
            raise RequestInvalid(f"a gallery size is at least 0, not {num_subjects}")
        if not any(math.isclose(t.fpir, fpir, rel_tol=1e-9) for t in self.thresholds):
            held = ", ".join(f"{f:g}" for f in sorted({t.fpir for t in self.thresholds}))
            raise RequestInvalid(
                f"model {self.name!r} has no threshold for FPIR {fpir:g}; "
                f"it has them for: {held or 'none'}"
            )
        fpirs = sorted({t.fpir for t in self.thresholds if t.fpir >= fpir * (1 - 1e-9)})
        found = [self._of_fpir(one, max(1, num_subjects)) for one in fpirs]
        # Of equal ones the first: that of the wanted FPIR.
        return replace(max(found, key=lambda one: one.value), fpir=fpirs[0])

    def _of_fpir(self, fpir: float, num_subjects: int) -> Threshold:
        grid = sorted((t for t in self.thresholds if t.fpir == fpir), key=lambda t: t.num_subjects)
        return threshold_at(grid, num_subjects)


def model_fingerprint(
    *,
    model_sha256: str,
    input_spec: InputSpec,
    mirrored: bool,
    precision: str,
    detector_fingerprint: str,
    dimension: int = EMBEDDING_DIMENSION,
) -> str:
    """SHA-256 hex over weights, preprocessing, detector, template, mirroring and precision."""
    parts = {
        "model_sha256": model_sha256,
        "input": asdict(input_spec),
        "mirrored": mirrored,
        "precision": precision,
        "detector": detector_fingerprint,
        "dimension": dimension,
        "template": [[f"{v:.4f}" for v in point] for point in ARCFACE_TEMPLATE.tolist()],
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDirectory:
    """A folder whose files exist and fit each other.

    Attributes:
        path: the folder.
        card: its ``card.json``.
    """

    path: Path
    card: ModelCard

    @classmethod
    def open(cls, path: Path) -> "ModelDirectory":
        """A checked model directory.

        Raises:
            ModelNotFound: there is no such folder.
            ModelInvalid: a file is missing, the card is not valid, or ``model.onnx`` is not
                the file that the card describes.
        """
        if not path.is_dir():
            raise ModelNotFound(f"no model directory at {path}")
        directory = cls(path=path, card=read_card(path / CARD_FILE))
        directory.read_model()
        return directory

    def read_model(self) -> bytes:
        """The bytes of ``model.onnx``, checked against the card.

        Raises:
            ModelInvalid: the file is missing, unreadable or has another hash.
        """
        file = self.path / MODEL_FILE
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelInvalid(f"cannot read {file}: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.card.model_sha256:
            raise ModelInvalid(
                f"{file} was changed: the card says sha256 {self.card.model_sha256}, "
                f"the file has {found}; fetch or export the model again"
            )
        return data


def read_card(file: Path) -> ModelCard:
    """A model card from its file.

    Raises:
        ModelInvalid: missing, not JSON, or with missing, unknown or ill-typed fields.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelInvalid(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelInvalid(f"{file} is not JSON") from error
    fields = CardFields(content, where=str(file))
    card = _card(fields)
    fields.finish()
    return card


def _card(fields: CardFields) -> ModelCard:
    fields.choice("format", (CARD_FORMAT,))
    return ModelCard(
        name=fields.text("name", max_length=100),
        dimension=fields.choice("dimension", (EMBEDDING_DIMENSION,)),
        input=_input_spec(fields.inner("input")),
        mirrored=fields.flag("mirrored"),
        precision=fields.choice("precision", ("float32",)),
        model_sha256=fields.sha256("model_sha256"),
        detector=fields.text("detector", max_length=100),
        fingerprint=fields.sha256("fingerprint"),
        training=fields.mapping("training"),
        accuracy=fields.mapping("accuracy"),
        thresholds=tuple(_threshold(inner) for inner in fields.inner_list("thresholds")),
        fusion=fields.choice("fusion", ("max",)),
        norm_floor=fields.number("norm_floor", low=0.0),
        licence=fields.text("licence", max_length=2000),
        notes=fields.text("notes", max_length=20_000, may_be_empty=True),
    )


def _input_spec(fields: CardFields) -> InputSpec:
    spec = InputSpec(
        name=fields.text("name", max_length=100),
        layout=fields.choice("layout", ("NCHW",)),
        size_px=fields.choice("size_px", (112,)),
        color=fields.choice("color", ("RGB",)),
        mean=fields.number("mean"),
        std=fields.number("std", low=1e-6),
    )
    fields.finish()
    return spec


def _threshold(fields: CardFields) -> Threshold:
    threshold = Threshold(
        value=fields.number("value", low=-1.0, high=1.0),
        low=fields.number("low", low=-1.0, high=1.0),
        high=fields.number("high", low=-1.0, high=1.0),
        fpir=fields.number("fpir", low=0.0, high=1.0),
        num_subjects=fields.count("num_subjects", low=1),
        num_probes=fields.count("num_probes", low=0),
        extrapolated=fields.flag("extrapolated"),
    )
    fields.finish()
    return threshold


def write_card(path: Path, card: ModelCard) -> None:
    """Write ``card.json`` into a model directory; reading it back gives an equal card."""
    content = {"format": CARD_FORMAT, **asdict(card)}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (path / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def shipped_models() -> dict[str, Path]:
    """The folders of the models that ship with the package, by name."""
    return {card.parent.name: card.parent for card in sorted(MODELS_FOLDER.glob(f"*/{CARD_FILE}"))}


def default_model() -> str:
    """Name of the shipped model that new galleries get.

    Raises:
        ModelNotFound: the package ships no default.
    """
    try:
        return (MODELS_FOLDER / "default").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ModelNotFound("this installation ships no default model") from error


def find_model(path_or_name: Path | str | None) -> Path:
    """The folder of a model: a shipped one by name, any by path, the default for None.

    Raises:
        ModelNotFound: neither a shipped model nor a folder.
    """
    shipped = shipped_models()
    wanted = default_model() if path_or_name is None else path_or_name
    if isinstance(wanted, str) and wanted in shipped:
        return shipped[wanted]
    if Path(wanted).is_dir():
        return Path(wanted)
    names = ", ".join(shipped) or "none"
    raise ModelNotFound(f"{wanted} is neither a folder nor a shipped model ({names})")
