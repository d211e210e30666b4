"""People who are known not to be in a gallery, and their embeddings.

Shapes: P probes, B crops, D embedding dimension.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX
from embedding.embedder import FaceEmbedder
from embedding.errors import ModelMismatch, PhotoError, RequestInvalid
from embedding.photo import PhotoLimits, decode_photo
from index.checks import check_unit_vectors
from index.records import EMBEDDING_DIMENSION
from index.tracks import track_embedding

logger = logging.getLogger(__name__)

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_CHUNK: Final = 64

NO_FACE: Final = "no_face"
NOT_ALIGNED: Final = "not_aligned"
POOR_FRAME: Final = "poor_frame"

Unit = Literal["photo", "track"]
"""What one search, and so one decision, is made of: a photo, or all frames of a track."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strangers:
    """Probes of people who are not in the gallery.

    Attributes:
        vectors_PD: float32, unit length, in the model's own space.
        person_P: whose probe it is, any numbers.
        left_out: photos that gave no probe, counted by reason.
        unit: what each probe was made of.
    """

    vectors_PD: NDArray[np.float32]
    person_P: NDArray[np.int64]
    left_out: Mapping[str, int] = field(default_factory=dict)
    unit: Unit = "photo"

    def __post_init__(self) -> None:
        check_unit_vectors(self.vectors_PD, dimension=EMBEDDING_DIMENSION)
        if self.person_P.shape != (len(self.vectors_PD),):
            raise RequestInvalid(
                f"expected one person for each of {len(self.vectors_PD)} probes, got shape "
                f"{self.person_P.shape}"
            )
        if not len(self.vectors_PD):
            reasons = ", ".join(f"{name} {num}" for name, num in self.left_out.items())
            raise RequestInvalid(
                f"there is no stranger to search for; left out: {reasons or 'nothing'}"
            )

    def of_people(self, people: NDArray[np.int64]) -> "Strangers":
        """Return the probes of these people alone."""
        own_P = np.isin(self.person_P, people)
        return replace(self, vectors_PD=self.vectors_PD[own_P], person_P=self.person_P[own_P])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    """One face; the track is the folder that its photo lies in."""

    person: int
    track: Path
    vector_D: NDArray[np.float32]
    is_good: bool


def strangers_of_photos(
    folder: Path, embedder: FaceEmbedder, *, unit: Unit = "photo"
) -> Strangers:
    """Return the largest face of each photo, or one probe a track.

    Args:
        folder: of JPEG, PNG and WebP files. The photos in one of its folders, however deep, show
            one person; those that lie in it directly show one each.
        embedder: of the gallery's model.
        unit: as tracks, the photos that lie directly in one folder are the frames of one track,
            those in the outermost folder a track each; a frame with a reason of
            `embedding.quality` does not count.

    Raises:
        RequestInvalid: no such folder, or not one usable photo in it.
    """
    left_out: Counter[str] = Counter()

    def embedded() -> Iterator[_Frame]:
        for person, file in _photos(folder):
            try:
                faces = embedder.analyze(_bytes(file), turns=True).faces
            except PhotoError as error:
                left_out[error.code] += 1
                continue
            if not faces:
                left_out[NO_FACE] += 1
                continue
            largest = faces[0]
            yield _Frame(
                person=person,
                track=file if file.parent == folder else file.parent,
                vector_D=largest.embedding,
                is_good=not largest.quality.reasons,
            )

    return _gathered(embedded(), left_out, unit=unit)


def strangers_of_crops(folder: Path, embedder: FaceEmbedder, *, unit: Unit = "photo") -> Strangers:
    """Return the embedding of each aligned crop, or one probe a track; nothing is detected.

    Args:
        folder: as `strangers_of_photos`, every file 112x112 pixels.
        embedder: of the gallery's model.
        unit: as `strangers_of_photos`; every crop is a good frame.

    Raises:
        RequestInvalid: no such folder, or not one usable crop in it.
    """
    left_out: Counter[str] = Counter()

    def embedded() -> Iterator[_Frame]:
        waiting: list[tuple[int, Path, NDArray[np.uint8]]] = []
        for person, file in _photos(folder):
            try:
                crop_HWC = decode_photo(_bytes(file))
            except PhotoError as error:
                left_out[error.code] += 1
                continue
            if crop_HWC.shape != (CROP_SIZE_PX, CROP_SIZE_PX, 3):
                left_out[NOT_ALIGNED] += 1
                continue
            waiting.append((person, file if file.parent == folder else file.parent, crop_HWC))
            if len(waiting) == _CHUNK:
                yield from _embed(waiting, embedder)
                waiting = []
        yield from _embed(waiting, embedder)

    return _gathered(embedded(), left_out, unit=unit)


def strangers_of_file(
    file: Path,
    *,
    fingerprint: str,
    expected: str,
    people: Path | None = None,
    unit: Unit = "photo",
) -> Strangers:
    """Return the embeddings of an .npy file.

    Args:
        file: float32 (P, 512), unit length, in the model's own space.
        fingerprint: of the model that made them; the file itself cannot say it.
        expected: of the gallery's model.
        people: an .npy file with one whole number for each embedding, the same for all of one
            person; without it each is taken for a person of its own.
        unit: as tracks, each embedding is that of a track (`index.tracks`).

    Raises:
        EmbeddingInvalid: another shape or type, or a vector that is not of unit length.
        ModelMismatch: of another model than the gallery.
        RequestInvalid: a file that cannot be read, or that does not fit the other one.
    """
    if fingerprint != expected:
        raise ModelMismatch(
            f"the gallery holds embeddings of model {expected[:12]}, but the strangers' are of "
            f"model {fingerprint[:12]}; embed them with the gallery's model"
        )
    vectors_PD = _array(file)
    person_P = np.arange(len(vectors_PD)) if people is None else _array(people)
    if not np.issubdtype(person_P.dtype, np.integer):
        raise RequestInvalid(f"expected whole numbers for people, got {person_P.dtype}")
    return Strangers(vectors_PD=vectors_PD, person_P=person_P.astype(np.int64), unit=unit)


def _array(file: Path) -> NDArray[np.float32]:
    try:
        content = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RequestInvalid(f"cannot read {file} as an .npy file of numbers") from error
    if not isinstance(content, np.ndarray) or not content.ndim:
        raise RequestInvalid(f"{file} must hold one array, as numpy.save writes it")
    return content


def _photos(folder: Path) -> Iterator[tuple[int, Path]]:
    """Every photo with the number of its person, in the order of names; links are not followed.

    Raises:
        RequestInvalid: no such folder.
    """
    if not folder.is_dir():
        raise RequestInvalid(f"there is no folder {folder}")
    number = 0
    for entry in _sorted(folder):
        if entry.is_dir(follow_symlinks=False):
            walked = os.walk(entry, onerror=_refuse)
            files = [Path(root, name) for root, _, names in walked for name in names]
            of_one = [each for each in sorted(files) if _is_photo(each)]
            yield from ((number, each) for each in of_one)
            number += bool(of_one)
        elif _is_photo(Path(entry)):
            yield number, Path(entry)
            number += 1


def _sorted(folder: Path) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """A folder that is left out unseen would be taken for one without faces."""
    raise RequestInvalid(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and file.is_file() and not file.is_symlink()


def _bytes(file: Path) -> bytes:
    """The bytes of a file, as many as a photo may have and one more."""
    try:
        with file.open("rb") as opened:
            return opened.read(PhotoLimits().max_bytes + 1)
    except OSError as error:
        raise RequestInvalid(f"cannot read {file}: {error.strerror}") from error


def _embed(
    waiting: Sequence[tuple[int, Path, NDArray[np.uint8]]], embedder: FaceEmbedder
) -> Iterator[_Frame]:
    if waiting:
        crops_BHWC = np.stack([crop_HWC for _, _, crop_HWC in waiting])
        vectors_BD = embedder.embed_crops(crops_BHWC).vectors
        for (person, track, _), vector_D in zip(waiting, vectors_BD, strict=True):
            yield _Frame(person=person, track=track, vector_D=vector_D, is_good=True)


def _gathered(embedded: Iterable[_Frame], left_out: Counter[str], *, unit: Unit) -> Strangers:
    found = list(embedded)
    if unit == "track":
        left_out[POOR_FRAME] += sum(not each.is_good for each in found)
        found = list(_by_track(each for each in found if each.is_good))
    left_out = +left_out
    if left_out:
        logger.warning("left out of the strangers: %s", dict(left_out))
    empty_PD = np.empty((0, EMBEDDING_DIMENSION), np.float32)
    return Strangers(
        vectors_PD=np.stack([each.vector_D for each in found]) if found else empty_PD,
        person_P=np.array([each.person for each in found], dtype=np.int64),
        left_out=dict(left_out),
        unit=unit,
    )


def _by_track(frames: Iterable[_Frame]) -> Iterator[_Frame]:
    """One frame for each track, with the track's embedding."""
    tracks: dict[Path, list[_Frame]] = {}
    for frame in frames:
        tracks.setdefault(frame.track, []).append(frame)
    for track in tracks.values():
        vectors_FD = np.stack([each.vector_D for each in track])
        vector_D = track_embedding(vectors_FD, is_good_F=np.ones(len(track), bool))
        yield replace(track[0], vector_D=vector_D)
