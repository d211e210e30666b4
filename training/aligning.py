"""Photographs of people -> aligned crops to train on, on all cores, resumed after any end.

The report in the target folder is the memory: one line a crop that was wanted, written only by
the parent process. A crop gets its name in one step, and then its line.
"""

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from itertools import chain, count, groupby
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from embedding.align import align_face
from embedding.detect import Box, DetectedFace, MtcnnDetector
from embedding.errors import (
    DataInvalid,
    FaceGalleryError,
    FaceNotAtBox,
    NoFace,
    RequestInvalid,
    SeveralFaces,
)
from embedding.photo import PhotoLimits, decode_photo
from embedding.quality import QualityLimits
from training.align_report import AlignReportFile, WantedCrop
from training.data.annotations import Annotation, annotate_folders, read_annotations
from training.data.tar_shards import folder_name
from training.worker_pool import each_in_processes

logger = logging.getLogger(__name__)

REPORT_NAME: Final = "align-report.jsonl"
# Detectors draw their boxes differently; faces that stand side by side share far less.
MIN_IOU: Final = 0.3

_JPEG_QUALITY: Final = 95
_MISSING: Final = "missing"
_NUM_NAMED: Final = 5  # names in a message that speaks of many
_PARTIALS: Final = ".align-*.partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignReport:
    """What one run of `align_photos` did.

    Attributes:
        num_done: crops made.
        num_skipped: wanted crops that earlier runs made or failed to make.
        failures: how many crops could not be made, by reason: the code of an error about
            photos or faces (``photo_unreadable``, ``no_face``, ``several_faces``,
            ``face_not_at_box``, ...), or ``missing``, ``file_unreadable``, ``too_small``,
            ``worker_died``.
    """

    num_done: int
    num_skipped: int
    failures: Counter[str]


def align_photos(
    source: Path,
    target: Path,
    *,
    annotations: Path | None = None,
    num_processes: int,
    retry_failed: bool = False,
    largest: bool = False,
    jpeg: bool = False,
) -> AlignReport:
    """Cuts faces out of photos into ``<target>/<person>/<name of the photo>.png``.

    Without a list the source holds one folder a person, and photos that show exactly one face
    are taken. With a list it is the detected face that overlaps the given box most, with an
    IoU of at least `MIN_IOU`. Crops that would get the same name get numbers. What has a crop,
    or a line in ``align-report.jsonl``, is not done again: the same call goes on after a kill.

    Args:
        source: folder of photos.
        target: folder for crops and report, outside the source; made if need be.
        annotations: a list for `read_annotations`; boxes in the frame of the upright photo.
        num_processes: each searches on one core; a photo of 50 million pixels takes 800 MB.
        retry_failed: do again what failed before.
        largest: of several faces without a box take the largest.
        jpeg: write JPEG of quality 95 instead of PNG.

    Raises:
        DataInvalid: no photos, an unusable list or report, a target that lies in the source,
            is in use or cannot be written.
        RequestInvalid: fewer than one process.
        TrainingError: worker processes die one after the other.
    """
    if num_processes < 1:
        raise RequestInvalid(f"at least one process is needed, not {num_processes}")
    if target.resolve().is_relative_to(source.resolve()):
        raise DataInvalid(f"the crops cannot go into {target}, inside the folder of photos")
    entries = annotate_folders(source) if annotations is None else _listed(source, annotations)
    work = partial(_Aligner, source, target, largest=largest, jpeg=jpeg)
    with _open_report(target) as report:
        wanted = list(_name_crops(entries, report, suffix=".jpg" if jpeg else ".png"))
        todo = [crop for crop in wanted if not _is_done(crop, report, target, retry_failed)]
        num_skipped = len(wanted) - len(todo)
        failures = _make_all(todo, work, report, num_processes, num_skipped=num_skipped)
    num_done = len(todo) - failures.total()
    return AlignReport(num_done=num_done, num_skipped=num_skipped, failures=failures)


def _make_all(
    todo: Sequence[WantedCrop],
    work: Callable[[], "_Aligner"],
    report: AlignReportFile,
    num_processes: int,
    *,
    num_skipped: int,
) -> Counter[str]:
    """Has all crops made; how many failed, by reason."""
    photos = [tuple(crops) for _, crops in groupby(todo, lambda crop: crop.entry.photo)]
    failures: Counter[str] = Counter()
    missing: list[str] = []
    pairs = each_in_processes(photos, work, num_processes=min(num_processes, len(photos)))
    num_wanted = num_skipped + len(todo)
    with (
        tqdm(total=num_wanted, initial=num_skipped, unit="crop", disable=None) as bar,
        # On Ctrl-C the workers end here and now, not when the garbage is collected.
        contextlib.closing(pairs),
    ):
        for crops, reasons in pairs:
            for crop, reason in zip(crops, reasons or _died(crops), strict=True):
                report.add(crop, reason)
                if reason is not None:
                    failures[reason] += 1
            if reasons == [_MISSING] * len(crops):
                missing.append(crops[0].entry.photo)
            bar.update(len(crops))
    if missing:
        named = ", ".join(missing[:_NUM_NAMED])
        logger.warning("%d photos are missing: %s", len(missing), named)
    return failures


def _died(crops: Sequence[WantedCrop]) -> list[str | None]:
    logger.warning("the worker process died over the photo %s", crops[0].entry.photo)
    return ["worker_died"] * len(crops)


def _listed(source: Path, annotations: Path) -> list[Annotation]:
    if not source.is_dir():
        raise DataInvalid(f"{source} is not a folder; give the one that the list's paths are in")
    listed = read_annotations(annotations)
    entries = list(dict.fromkeys(listed))
    if len(entries) < len(listed):
        logger.warning("%s: %d entries stand twice", annotations, len(listed) - len(entries))
    return entries


@contextlib.contextmanager
def _open_report(target: Path) -> Iterator[AlignReportFile]:
    """The report of a target folder, held by this run alone, and no leftovers in the folder."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        report = AlignReportFile(target / REPORT_NAME)
    except OSError as error:
        raise DataInvalid(f"{target} cannot be written: {error}") from error
    with report:
        try:
            _remove_partials(target)
            yield report
        finally:
            _remove_partials(target)


def _remove_partials(target: Path) -> None:
    for leftover in target.glob(_PARTIALS):
        leftover.unlink(missing_ok=True)


def _name_crops(
    entries: list[Annotation], report: AlignReportFile, *, suffix: str
) -> Iterator[WantedCrop]:
    """Each entry with its crop's file, sorted by photo.

    Entries in the report keep their file. The others take the first free one in order, and so
    get the same file in every run, however much of the report a kill left.
    """
    # Without suffix and case: no second crop beside one of another format, and file systems
    # exist that take "A" for "a".
    taken = {_bare(fate.file) for fate in report.fates.values()}
    for entry in sorted(entries, key=_order):
        fate = report.fates.get(entry)
        if fate is not None:
            yield WantedCrop(entry=entry, file=fate.file)
            continue
        stem = f"{folder_name(entry.identity)}/{PurePosixPath(entry.photo).stem}"
        numbered = (f"{stem}-{number}{suffix}" for number in count(2))
        file = next(file for file in chain([stem + suffix], numbered) if _bare(file) not in taken)
        taken.add(_bare(file))
        yield WantedCrop(entry=entry, file=file)


def _bare(file: str) -> str:
    return file.rpartition(".")[0].casefold()


def _order(entry: Annotation) -> tuple[str, str, tuple[float, ...]]:
    return entry.photo, entry.identity, () if entry.box is None else astuple(entry.box)


def _is_done(crop: WantedCrop, report: AlignReportFile, target: Path, retry_failed: bool) -> bool:
    fate = report.fates.get(crop.entry)
    if fate is not None:
        return fate.is_made or not retry_failed
    if not (target / crop.file).exists():
        return False
    # Made by a run that was killed before it could say so.
    report.add(crop, None)
    return True


class _Aligner:
    """Makes the crops of one photo; every worker process has its own.

    Args:
        source: folder of photos.
        target: folder for crops.
        largest: of several faces without a box take the largest.
        jpeg: write JPEG instead of PNG.
    """

    def __init__(self, source: Path, target: Path, *, largest: bool, jpeg: bool) -> None:
        self._source = source
        self._target = target
        self._largest = largest
        self._jpeg = jpeg
        self._partial = target / _PARTIALS.replace("*", str(os.getpid()))
        self._detector = MtcnnDetector(num_threads=1)

    def __call__(self, crops: tuple[WantedCrop, ...]) -> list[str | None]:
        """Why each crop of one photo could not be made; None for those that were.

        Raises:
            DataInvalid: a crop cannot be written.
        """
        try:
            photo_HWC = decode_photo(_read(self._source / crops[0].entry.photo))
        except (FileNotFoundError, NotADirectoryError):
            return [_MISSING] * len(crops)
        except OSError:
            return ["file_unreadable"] * len(crops)
        except FaceGalleryError as error:
            return [error.code] * len(crops)
        faces = self._detector.detect(photo_HWC)
        return [self._make(crop, photo_HWC, faces) for crop in crops]

    def _make(
        self, crop: WantedCrop, photo_HWC: NDArray[np.uint8], faces: list[DetectedFace]
    ) -> str | None:
        try:
            face = choose_face(faces, crop.entry.box, largest=self._largest)
            if min(face.box.width, face.box.height) < QualityLimits().min_size_px:
                return "too_small"
            pixels_HWC = align_face(photo_HWC, face.landmarks)
        except FaceGalleryError as error:
            return error.code
        self._write(Image.fromarray(pixels_HWC), self._target / crop.file)
        return None

    def _write(self, image: Image.Image, file: Path) -> None:
        try:
            if self._jpeg:
                image.save(self._partial, format="JPEG", quality=_JPEG_QUALITY)
            else:
                image.save(self._partial, format="PNG")
            file.parent.mkdir(parents=True, exist_ok=True)
            self._partial.replace(file)
        except OSError as error:
            raise DataInvalid(f"{file} cannot be written: {error}") from error


def choose_face(faces: Sequence[DetectedFace], box: Box | None, *, largest: bool) -> DetectedFace:
    """The face that an annotation means.

    Args:
        faces: of one photo, largest first.
        box: the face that overlaps it most, by IoU; None for the only face.
        largest: without a box, take the largest of several.

    Raises:
        NoFace: there is none.
        FaceNotAtBox: none overlaps the box by `MIN_IOU` or more.
        SeveralFaces: more than one, without a box, and not the largest is wanted.
    """
    if not faces:
        raise NoFace("no face was found")
    if box is not None:
        best = max(faces, key=lambda face: face.box.iou(box))
        if best.box.iou(box) < MIN_IOU:
            raise FaceNotAtBox("no face was found at the box")
        return best
    if len(faces) > 1 and not largest:
        raise SeveralFaces(f"{len(faces)} faces were found where one was expected")
    return faces[0]


def _read(photo: Path) -> bytes:
    """The bytes of a photo, and never many more than the limit: it says that there are more.

    Raises:
        FileNotFoundError: no such file, or something that is no file.
    """
    if not photo.is_file():
        raise FileNotFoundError(photo)
    with photo.open("rb") as file:
        return file.read(PhotoLimits().max_bytes + 1)
