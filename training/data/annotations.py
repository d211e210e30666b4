"""Annotations: which person a photo shows, and where in the photo.

They come from folders named for a person, from CSV files with a header, and from MATLAB files that
hold one struct, as those of IMDB-WIKI do.
"""

import csv
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedding.detect import Box
from embedding.errors import DataInvalid
from training.data.decoding import IMAGE_SUFFIXES
from training.worker_pool import each_in_processes

logger = logging.getLogger(__name__)

# Of several columns that fit, the first counts.
PHOTO_COLUMNS: Final = ("photo", "path", "file")
IDENTITY_COLUMNS: Final = ("identity", "subject", "name")
BOX_COLUMNS: Final = ("left", "top", "right", "bottom")

_MAT_PHOTO_FIELDS: Final = (*PHOTO_COLUMNS, "full_path")
# Two people may share a name; an id is one person's.
_MAT_IDENTITY_FIELDS: Final = ("identity", "subject", "celeb_id", "name")
_MAT_BOX_FIELD: Final = "face_location"
_NUM_NAMED: Final = 5  # names in a message that speaks of many


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One line of a list.

    Attributes:
        photo: path below the folder of photos, with forward slashes; never leaves the folder.
        identity: whom the photo shows; not empty.
        box: around the face, in the frame of the upright photo; None where none was given.
    """

    photo: str
    identity: str
    box: Box | None


class _EntryInvalid(ValueError):
    """What is wrong with one entry; its reader adds where it stands."""


def read_annotations(path: Path) -> list[Annotation]:
    """The entries of an annotation list, in its order.

    A CSV file needs a header with a column for the photo (`PHOTO_COLUMNS`), one for the person
    (`IDENTITY_COLUMNS`) and, if boxes are known, all of `BOX_COLUMNS` (pixels, xyxy), which may
    be empty in a line. A ``.mat`` file needs one struct with fields of the same names, or
    ``full_path``, ``celeb_id`` and ``face_location`` (x1, y1, x2, y2, counted from 1). Of a
    ``.mat`` file, entries are left out and counted that have no face (``face_score`` not
    finite), a second face (``second_face_score`` is a number), no person or no proper box.

    Raises:
        DataInvalid: no such file, a file of another kind, missing columns, a photo outside the
            folder of photos, no entries; in CSV also a bad number or an empty person. The
            message says in which line.
    """
    try:
        is_matlab = path.suffix.lower() == ".mat"
        annotations = _read_mat(path) if is_matlab else list(_read_csv(path))
    except OSError as error:
        raise DataInvalid(f"the list {path} cannot be read: {error}") from error
    if not annotations:
        raise DataInvalid(f"the list {path} holds no entries that can be used")
    return annotations


def annotate_folders(source: Path) -> list[Annotation]:
    """The photos in the subfolders of a folder, each subfolder a person, without boxes.

    Hidden files and folders are left out; subfolders without a photo are named in the log.

    Raises:
        DataInvalid: no such folder, or not one photo in it.
    """
    if not source.is_dir():
        raise DataInvalid(f"{source} is not a folder; give one with a subfolder for each person")
    entries: list[Annotation] = []
    empty: list[str] = []
    for person in sorted(source.iterdir()):
        if not person.is_dir() or person.name.startswith("."):
            continue
        photos = [
            f"{person.name}/{photo.name}"
            for photo in person.iterdir()
            if photo.suffix.lower() in IMAGE_SUFFIXES and not photo.name.startswith(".")
        ]
        entries += [Annotation(photo=name, identity=person.name, box=None) for name in photos]
        if not photos:
            empty.append(person.name)
    if empty:
        logger.warning(
            "%d subfolders hold no photo and are left out, such as %s",
            len(empty),
            ", ".join(empty[:_NUM_NAMED]),
        )
    if not entries:
        raise DataInvalid(
            f"{source} holds no subfolder with photos ({', '.join(IMAGE_SUFFIXES)}); it needs "
            "one for each person"
        )
    return entries


def _read_csv(path: Path) -> Iterator[Annotation]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = [column.strip().lower() for column in next(lines, [])]
            photo_at = _column(header, PHOTO_COLUMNS, path)
            identity_at = _column(header, IDENTITY_COLUMNS, path)
            boxes_at = [header.index(column) for column in BOX_COLUMNS if column in header]
            if len(boxes_at) not in (0, len(BOX_COLUMNS)):
                raise DataInvalid(
                    f"{path}, line 1: boxes need all of the columns {', '.join(BOX_COLUMNS)}"
                )
            for fields in lines:
                if not any(field.strip() for field in fields):
                    continue
                if len(fields) != len(header):
                    raise _EntryInvalid(f"{len(fields)} fields, the header has {len(header)}")
                yield Annotation(
                    photo=_safe_path(fields[photo_at]),
                    identity=_person(fields[identity_at]),
                    box=_box_of_texts([fields[at].strip() for at in boxes_at]),
                )
        except (_EntryInvalid, csv.Error) as error:
            raise DataInvalid(f"{path}, line {lines.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise DataInvalid(
                f"{path}, after line {lines.line_num}: not UTF-8 text; save it as UTF-8"
            ) from error


def _column(header: Sequence[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise DataInvalid(
        f"{path}, line 1: needs a column {' or '.join(names)}, separated by commas; it has "
        f"{', '.join(header) or 'nothing'}"
    )


def _safe_path(text: str) -> str:
    """The path below the folder of photos, checked: a list may come from anywhere."""
    slashed = text.strip().replace("\\", "/")
    path = PurePosixPath(slashed)
    if path.is_absolute() or PureWindowsPath(slashed).drive or ".." in path.parts:
        raise _EntryInvalid(f"the photo {text!r} must be a path below the folder of photos")
    if not path.name or "\0" in slashed:
        raise _EntryInvalid(f"{text!r} is no path of a photo")
    return path.as_posix()


def _person(text: str) -> str:
    if not text.strip():
        raise _EntryInvalid("the person is empty")
    return text.strip()


def _box_of_texts(texts: Sequence[str]) -> Box | None:
    if not any(texts):
        return None
    try:
        left, top, right, bottom = (float(text) for text in texts)
    except ValueError:
        raise _EntryInvalid(f"{', '.join(texts)} is no box: four numbers are needed") from None
    return _box(left, top, right, bottom)


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    if not all(math.isfinite(edge) for edge in (left, top, right, bottom)):
        raise _EntryInvalid("a box needs finite numbers")
    if right <= left or bottom <= top:
        raise _EntryInvalid(
            f"the box {left:g}, {top:g}, {right:g}, {bottom:g} is empty: left < right and "
            "top < bottom are needed"
        )
    return Box(left=left, top=top, right=right, bottom=bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MatList:
    """The entries of a file that can be used, and how many cannot, by reason."""

    annotations: list[Annotation]
    left_out: Counter[str]


def _read_mat(path: Path) -> list[Annotation]:
    """Reads in a process of its own: a damaged file can crash SciPy, not only make it raise."""
    ((_, contents),) = each_in_processes([path], _mat_parser, num_processes=1)
    if contents is None:
        raise DataInvalid(f"{path} cannot be read as a MATLAB file: it is damaged")
    for reason, number in contents.left_out.items():
        logger.warning("%s: left out %d entries: %s", path, number, reason)
    return contents.annotations


def _mat_parser() -> Callable[[Path], _MatList]:
    return _parse_mat


def _parse_mat(path: Path) -> _MatList:
    fields = _mat_fields(path)
    photos = fields[_first(_MAT_PHOTO_FIELDS, fields)]
    nothing: list[Any] = [None] * len(photos)
    columns = (
        photos,
        fields[_first(_MAT_IDENTITY_FIELDS, fields)],
        _mat_boxes(fields) or nothing,
        fields.get("face_score", nothing),
        fields.get("second_face_score", nothing),
    )
    if len({len(column) for column in columns}) != 1:
        raise DataInvalid(f"{path}: its fields have different numbers of entries")
    contents = _MatList(annotations=[], left_out=Counter())
    for entry, (photo, person, edges, score, second) in enumerate(zip(*columns, strict=True), 1):
        try:
            name = _safe_path(_text(photo))
        except _EntryInvalid as error:
            raise DataInvalid(f"{path}, entry {entry}: {error}") from error
        if score is not None and not math.isfinite(_number(score)):
            contents.left_out["no face"] += 1
        elif second is not None and not math.isnan(_number(second)):
            contents.left_out["a second face"] += 1
        else:
            try:
                box = None if edges is None else _box(*edges)
                identity = _person(_text(person))
            except _EntryInvalid:
                contents.left_out["no person or no proper box"] += 1
            else:
                contents.annotations.append(Annotation(photo=name, identity=identity, box=box))
    return contents


def _first(names: Sequence[str], fields: Mapping[str, object]) -> str:
    return next(name for name in names if name in fields)


def _mat_fields(path: Path) -> dict[str, list[Any]]:
    """The fields of the one struct that fits, each with one value an entry."""
    fitting = {}
    for name, value in _load_mat(path).items():
        if not isinstance(value, np.ndarray) or value.dtype.names is None or not value.size:
            continue
        has_photo, has_identity = (
            any(alias in value.dtype.names for alias in aliases)
            for aliases in (_MAT_PHOTO_FIELDS, _MAT_IDENTITY_FIELDS)
        )
        if has_photo and has_identity:
            fitting[name] = value
    if len(fitting) != 1:
        raise DataInvalid(
            f"{path} must hold exactly one struct with a field {' or '.join(_MAT_PHOTO_FIELDS)} "
            f"and a field {' or '.join(_MAT_IDENTITY_FIELDS)}; found "
            f"{', '.join(fitting) or 'none'}"
        )
    (struct,) = fitting.values()
    return {field: _entries(struct[field].ravel(), field) for field in struct.dtype.names}


def _load_mat(path: Path) -> dict[str, Any]:
    # Here, for every process that aligns imports this module, and SciPy takes time and memory.
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise DataInvalid(f"the list {path} cannot be read: {error}") from error
    if start.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in start:
        raise DataInvalid(
            f"{path} is a MATLAB 7.3 file; save it in MATLAB as version 7: save(..., '-v7')"
        )
    try:
        loaded: dict[str, Any] = loadmat(path, squeeze_me=False, struct_as_record=True)
    # What SciPy raises on a broken file has no common base class.
    except Exception as error:
        raise DataInvalid(f"{path} cannot be read as a MATLAB file: {error}") from error
    return loaded


def _entries(values: NDArray[Any], field: str) -> list[Any]:
    """One value an entry: of an array of structs, or of one struct that holds columns."""
    if len(values) != 1:
        return list(values)
    column = np.asarray(values[0])
    if field == _MAT_BOX_FIELD and column.dtype != np.object_:
        return list(column.reshape(-1, 4)) if column.size % 4 == 0 else [column]
    return list(column.ravel())


def _mat_boxes(fields: Mapping[str, list[Any]]) -> list[tuple[float, float, float, float]] | None:
    """The edges of each entry's box, NaN where there is none; None for a list without boxes."""
    if _MAT_BOX_FIELD in fields:
        boxes = []
        for value in fields[_MAT_BOX_FIELD]:
            numbers = np.ravel(value)
            usable = numbers.size == len(BOX_COLUMNS) and numbers.dtype.kind in "fiu"
            x1, y1, x2, y2 = numbers.astype(float).tolist() if usable else [math.nan] * 4
            # Pixel 1 of MATLAB covers [0, 1) here, and the last pixel belongs to the box.
            boxes.append((x1 - 1.0, y1 - 1.0, x2, y2))
        return boxes
    if not all(name in fields for name in BOX_COLUMNS):
        return None
    left, top, right, bottom = ([*map(_number, fields[name])] for name in BOX_COLUMNS)
    return list(zip(left, top, right, bottom, strict=False))


def _text(value: object) -> str:
    """The text of a cell, or its whole number; empty where it holds neither."""
    cell = np.ravel(np.asarray(value))
    if cell.size != 1:
        return ""
    if cell.dtype.kind == "U":
        return str(cell[0])
    if cell.dtype == np.object_:
        return "" if cell[0] is value else _text(cell[0])
    number = _number(cell)
    return str(int(number)) if number.is_integer() else ""


def _number(value: object) -> float:
    """The number in a cell; NaN where it holds none."""
    cell = np.ravel(np.asarray(value))
    return float(cell[0]) if cell.size == 1 and cell.dtype.kind in "fiub" else math.nan
