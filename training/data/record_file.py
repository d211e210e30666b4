"""InsightFace's training sets: a ``.rec`` file of image records and its ``.idx``.

The usual form has a meta record with key 0. Its two labels bound the keys of the identity records,
and the two labels of each of those bound the keys of a person's images; every range leaves its end
out. Meta and identity records hold no image. Files made by mxnet's im2rec have none of this: there
each image's first label is its identity.

Source of the usual form: ``face2rec2.py`` and ``face_image_iter.py`` of the insightface project.
Shape legend: R records in the index, I identities, N images (rows).
"""

import logging
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data.record_io import ImageRecord, RecordReader, read_head, read_index

logger = logging.getLogger(__name__)

META_KEY = 0
MAX_LOST_SHARE = 0.01  # a file cut short by more is the wrong file, not a damaged one
NUM_NAMED = 5  # names in a message that speaks of many

# Labels are float32: from here on they skip whole numbers, and 2**24 may have been 2**24 + 1.
# Glint360K, with 17.1 million images, is beyond it.
FIRST_INEXACT = 1 << 24


class RecordFile:
    """The images of one ``.rec`` file (see `CropStore`), in 16 bytes of memory each.

    Identities come in the order of their records or, without such records, of their labels; an
    identity's images in the order of their keys. Images that lie beyond the end of a truncated
    file are left out and named in the log if they are at most 1 % of all, and so are images whose
    label cannot be read. Identities without an image are left out too.

    Args:
        path: the ``.rec`` file, or a folder that holds exactly one. The index is the ``.idx`` file
            of the same name; without it every record is looked up once and its key is its place.

    Raises:
        DataInvalid: no such file, several of them, more than 1 % of the images unreadable, or
            records that contradict each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = _record_path(path)
        self._reader = RecordReader(self.path)
        index = _read_entries(self._reader)
        opened = _OpenedFile(self._reader, index, _lies_inside(self._reader, index.offsets))
        meta = opened.meta()
        groups = opened.by_meta(meta) if meta else opened.by_label_alone()
        groups = groups.without_empty()
        if not len(groups.rows):
            raise DataInvalid(f"{self.path} holds not one image that belongs to an identity")
        self._keys = index.keys[groups.rows]
        self._offsets = index.offsets[groups.rows]
        self._names = [f"identity-{number:07d}" for number in groups.numbers]
        self._first_rows = np.concatenate([[0], np.cumsum(groups.counts)]).astype(np.int64)

    @property
    def names(self) -> list[str]:
        """``identity-0000123``: by the place of the identity record, from 0, or by the label."""
        return self._names

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """(I + 1,) where each identity's rows begin."""
        return self._first_rows

    def read(self, row: int) -> bytes:
        """The encoded image.

        Raises:
            DataInvalid: the record is damaged; names the file and the key.
        """
        try:
            payload = self._reader.read_at(int(self._offsets[row]))
        except DataInvalid as error:
            raise DataInvalid(f"{self.key(row)} cannot be read: {error}") from error
        image = ImageRecord.from_payload(payload, f"{self.path}, record {self.key(row)},").image
        if not image:
            raise DataInvalid(f"{self.path}: record {self.key(row)} holds no image")
        return image

    def key(self, row: int) -> str:
        """``train.rec#17``: the file's name and the record's key."""
        return f"{self.path.name}#{self._keys[row]}"

    def num_bytes(self, row: int) -> int:
        """Size of the encoded image, from the record's length.

        Raises:
            DataInvalid: the record is damaged; names the file and the key.
        """
        try:
            return read_head(self._reader, int(self._offsets[row])).num_image_bytes
        except DataInvalid as error:
            raise DataInvalid(f"{self.key(row)} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Index:
    """Keys, ascending and unique, and offsets in bytes, (R,) int64 each."""

    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows of the index, (N,), an identity's side by side; numbers and counts (I,) of images."""

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    counts: NDArray[np.int64]

    def without_empty(self) -> "_Groups":
        filled = self.counts > 0
        if not filled.all():
            logger.warning("%d identities hold no image and are left out", (~filled).sum())
        return _Groups(self.rows, self.numbers[filled], self.counts[filled])


@dataclass(frozen=True, slots=True)
class _OpenedFile:
    """A file while its identities are worked out; inside is (R,) bool: not cut off."""

    reader: RecordReader
    index: _Index
    inside: NDArray[np.bool_]

    def by_label_alone(self) -> _Groups:
        """Groups all records as a file without meta record does."""
        return self.by_label(np.arange(len(self.index.keys)), len(self.index.keys))

    def meta(self) -> tuple[int, int] | None:
        """The range of keys of the identity records, or None without a meta record."""
        if self.index.keys[0] != META_KEY:
            return None
        if not self.inside[0]:
            num_cut = int((~self.inside).sum())
            raise DataInvalid(
                f"{self.reader.path} is truncated: {num_cut} of the {len(self.inside)} records of "
                "its index lie beyond its end, among them the first"
            )
        head = read_head(self.reader, int(self.index.offsets[0]))
        if head.num_labels != 2 or head.num_image_bytes:
            return None
        return self._range(0)

    def by_label(self, rows: NDArray[np.int64], num_images: int) -> _Groups:
        """Groups records by the label that each carries itself, and skips those without image."""
        logger.info("%s: reading the label of each of %d records", self.reader.path, len(rows))
        labels, labelled, lost = array("q"), array("q"), array("q", rows[~self.inside[rows]])
        candidates = rows[self.inside[rows]]
        # In the order of the file, which a disk reads many times faster than any other.
        for row in candidates[np.argsort(self.index.offsets[candidates])]:
            try:
                head = read_head(self.reader, int(self.index.offsets[row]))
            except DataInvalid as error:
                logger.debug("left out: %s", error)
                lost.append(row)
                continue
            if head.num_image_bytes:
                labels.append(self._whole_label(head.label, row))
                labelled.append(row)
        self._report_lost(np.array(lost, np.int64), num_images)
        found, numbers = np.array(labelled, np.int64), np.array(labels, np.int64)
        order = np.lexsort((found, numbers))
        unique, counts = np.unique(numbers, return_counts=True)
        return _Groups(found[order], unique, counts.astype(np.int64))

    def by_meta(self, bounds: tuple[int, int]) -> _Groups:
        """Groups images by the ranges that the identity records give."""
        identity_rows, ranges = self._identity_records(bounds)
        is_image = np.ones(len(self.index.keys), np.bool_)
        is_image[0] = False
        is_image[identity_rows] = False
        images = np.flatnonzero(is_image)
        exact = ranges[:, 1] < FIRST_INEXACT
        firsts, stops = np.searchsorted(self.index.keys[images], ranges[exact]).T
        counts = stops - firsts
        begins = np.cumsum(counts) - counts
        rows = images[np.repeat(firsts - begins, counts) + np.arange(counts.sum())]
        is_image[rows] = False
        rest = np.flatnonzero(is_image)
        if not exact.all():
            # The ranges of the others are rounded, and would hand images to their neighbours.
            tail = self.by_label(rest, len(images))
            rows = np.concatenate([rows, tail.rows])
            counts = np.concatenate([counts, tail.counts])
        elif len(rest):
            logger.warning(
                "%s: %d images belong to no identity record and are left out",
                self.reader.path,
                len(rest),
            )
        return self._without_cut(_Groups(rows, np.arange(len(counts)), counts), len(images))

    def _identity_records(
        self, bounds: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the identity records, and the ranges (I, 2) of keys of their images."""
        slack = int(np.spacing(np.float32(bounds[1]))) if bounds[1] >= FIRST_INEXACT else 0
        first, stop = np.searchsorted(
            self.index.keys, [max(bounds[0] - slack, META_KEY + 1), bounds[1] + slack]
        )
        if not slack and stop - first != bounds[1] - bounds[0]:
            raise DataInvalid(
                f"{self.reader.path}: its meta record speaks of {bounds[1] - bounds[0]} identity "
                f"records, its index has {stop - first} of them: the index is incomplete or "
                "belongs to another file"
            )
        num_cut = int((~self.inside[first:stop]).sum())
        if num_cut:
            raise DataInvalid(
                f"{self.reader.path} is truncated: {num_cut} of its {stop - first} identity "
                "records lie beyond its end"
            )
        rows, ranges = array("q"), array("q")
        for row in range(first, stop):
            if slack and read_head(self.reader, int(self.index.offsets[row])).num_image_bytes:
                continue
            rows.append(row)
            ranges.extend(self._range(row))
        found = np.array(ranges, np.int64).reshape(-1, 2)
        filled = found[found[:, 0] < found[:, 1]]
        ordered = filled[np.argsort(filled[:, 0])]
        overlap = np.flatnonzero(ordered[1:, 0] < ordered[:-1, 1])
        if len(overlap):
            raise DataInvalid(
                f"{self.reader.path}: two identity records claim the image with key "
                f"{ordered[overlap[0] + 1, 0]}"
            )
        return np.array(rows, np.int64), found

    def _range(self, row: int) -> tuple[int, int]:
        """The half-open range of keys that a record's two labels give."""
        payload = self.reader.read_at(int(self.index.offsets[row]))
        record = ImageRecord.from_payload(payload, self._name(row))
        if len(record.labels) != 2 or record.image:
            raise DataInvalid(
                f"{self._name(row)} should be an identity record, two labels and no image; it has "
                f"{len(record.labels)} labels and {len(record.image)} bytes of image"
            )
        first, stop = record.labels
        if not (first.is_integer() and stop.is_integer() and META_KEY < first <= stop):
            raise DataInvalid(
                f"{self._name(row)} gives the range {first} to {stop}; expected two keys, the "
                f"first above {META_KEY} and not above the second"
            )
        return int(first), int(stop)

    def _whole_label(self, label: float, row: int) -> int:
        if not (label.is_integer() and 0 <= label < FIRST_INEXACT):
            raise DataInvalid(
                f"{self._name(row)} has label {label}; expected an identity's number, a whole "
                f"one from 0 to {FIRST_INEXACT - 1}"
            )
        return int(label)

    def _without_cut(self, groups: _Groups, num_images: int) -> _Groups:
        """Leaves out images beyond the end of the file."""
        inside = self.inside[groups.rows]
        self._report_lost(groups.rows[~inside], num_images)
        owners = np.repeat(np.arange(len(groups.counts)), groups.counts)
        counts = np.bincount(owners[inside], minlength=len(groups.counts))
        return _Groups(groups.rows[inside], groups.numbers, counts)

    def _report_lost(self, lost: NDArray[np.int64], num_images: int) -> None:
        if not len(lost):
            return
        cut = int((~self.inside[lost]).sum())
        message = (
            f"{self.reader.path} is {'truncated' if cut else 'damaged'}: {len(lost)} of "
            f"{num_images} images cannot be read, {cut} of them because they lie beyond its end"
        )
        if len(lost) > MAX_LOST_SHARE * num_images:
            raise DataInvalid(f"{message}; copy the file again")
        names = ", ".join(
            f"{self.reader.path.name}#{self.index.keys[row]}" for row in lost[:NUM_NAMED]
        )
        logger.warning("%s; they are left out, such as %s", message, names)

    def _name(self, row: int) -> str:
        return f"{self.reader.path}, record {self.index.keys[row]},"


def _record_path(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.rec"))
    if len(found) != 1:
        raise DataInvalid(
            f"{path} holds {len(found)} .rec files; give the file, or a folder with exactly one"
        )
    return found[0]


def _read_entries(reader: RecordReader) -> _Index:
    path = reader.path.with_suffix(".idx")
    if path.exists():
        keys, offsets = read_index(path)
    else:
        logger.info("%s is missing: scanning %s for its records", path, reader.path)
        offsets = reader.scan()
        keys = np.arange(len(offsets))
    if not len(keys):
        raise DataInvalid(f"{reader.path} and its index hold not one record")
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise DataInvalid(f"{path} has the key {keys[twice[0]]} twice")
    return _Index(keys, offsets)


def _lies_inside(reader: RecordReader, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(R,) bool: which records lie in the file whole. Only the last one can be cut in two."""
    inside = offsets < reader.size
    if inside.any():
        last = int(np.argmax(np.where(inside, offsets, -1)))
        inside[last] = not reader.is_cut_off(int(offsets[last]))
    return inside
