"""Pairs for 1:1: LFW's list, a user's own list, InsightFace's ``.bin`` sets.

Shape legend: P pairs, I images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data.bin_set import read_bin
from training.data.decoding import decode_crop
from training.evaluation.images import NUM_NAMED
from training.protocols import read_lfw_pairs

NUM_FOLDS = 10
_LINE = "path_a<TAB>path_b<TAB>0|1, with <TAB>fold after it in every line or in none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSet:
    """Pairs of images, whether they show one person, and their fold.

    Attributes:
        name: of the set, for a report.
        images: what each image is called in a message.
        crop: the (112, 112, 3) RGB uint8 crop of an image; raises `DataInvalid` where it cannot
            be read.
        left_P: first image of each pair.
        right_P: second image.
        same_P: whether they show one person.
        fold_P: fold of each pair.
        num_left_out: pairs that were taken out because an image was missing.
    """

    name: str
    images: tuple[str, ...]
    crop: Callable[[int], NDArray[np.uint8]]
    left_P: NDArray[np.int64]
    right_P: NDArray[np.int64]
    same_P: NDArray[np.bool_]
    fold_P: NDArray[np.int64]
    num_left_out: int = 0

    def without(self, is_missing_I: NDArray[np.bool_], *, skip_missing: bool) -> "PairSet":
        """Without the pairs of images that are missing or cannot be read; they are counted.

        Raises:
            DataInvalid: there are such images and nobody asked to leave their pairs out, or a
                fold then lacks pairs of one kind.
        """
        if not is_missing_I.any():
            return self
        missing = np.flatnonzero(is_missing_I)
        if not skip_missing:
            named = ", ".join(self.images[one] for one in missing[:NUM_NAMED])
            raise DataInvalid(
                f"{len(missing)} of {len(self.images)} images of {self.name} are missing or "
                f"cannot be read, such as {named}; bring them back, or leave their pairs out with "
                "--skip-missing"
            )
        kept_P = ~(is_missing_I[self.left_P] | is_missing_I[self.right_P])
        return _checked(
            replace(
                self,
                left_P=self.left_P[kept_P],
                right_P=self.right_P[kept_P],
                same_P=self.same_P[kept_P],
                fold_P=self.fold_P[kept_P],
                num_left_out=self.num_left_out + int((~kept_P).sum()),
            )
        )


def lfw_pair_set(folder: Path, *, name: str = "LFW") -> tuple[PairSet, tuple[Path, ...]]:
    """The pairs of LFW's ``pairs.txt``, and the file of each image under ``aligned/``.

    Raises:
        DataInvalid: no such list, one of another form, or a fold with pairs of one kind only.
    """
    found = read_lfw_pairs(folder)
    pairs = PairSet(
        name=name,
        images=tuple(path.relative_to(folder).as_posix() for path in found.paths),
        crop=lambda image: _crop_of_file(found.paths[image]),
        left_P=found.left,
        right_P=found.right,
        same_P=found.same,
        fold_P=found.fold,
    )
    return _checked(pairs), found.paths


def pair_list(file: Path, *, skip_missing: bool = False) -> PairSet:
    """A user's own list: ``path_a<TAB>path_b<TAB>0|1[<TAB>fold]``, 1 for one person.

    Paths are relative to the list's folder. Without a fold column the pairs form ten folds in
    their order.

    Raises:
        DataInvalid: no such file, a line of another form, missing images, fewer than two folds,
            or a fold with pairs of one kind only.
    """
    rows = _rows(file)
    has_folds = len(rows[0]) == 4
    image_of: dict[str, int] = {}
    left, right = (
        np.array([image_of.setdefault(row[side], len(image_of)) for row in rows], np.int64)
        for side in (0, 1)
    )
    if has_folds:
        fold_P = np.unique([row[3] for row in rows], return_inverse=True)[1]
    else:
        fold_P = _folds_in_order(len(rows), file)
    paths = tuple(file.parent / name for name in image_of)
    pairs = PairSet(
        name=file.stem,
        images=tuple(image_of),
        crop=lambda image: _crop_of_file(paths[image]),
        left_P=left,
        right_P=right,
        same_P=np.array([row[2] == "1" for row in rows]),
        fold_P=fold_P.astype(np.int64),
    )
    if int(fold_P.max()) == 0:
        raise DataInvalid(
            f"{file} has one fold; the threshold of each fold is chosen on the others, so give at "
            "least two in the fourth column, or no fourth column for ten folds in order"
        )
    _checked(pairs)
    # Before hours of embedding, not after them.
    return pairs.without(
        np.array([not path.is_file() for path in paths]), skip_missing=skip_missing
    )


def bin_pair_set(file: Path) -> PairSet:
    """An InsightFace ``.bin`` set: ten folds in the order of its pairs.

    Raises:
        DataInvalid: no such set, fewer than ten pairs, or a fold with pairs of one kind only.
    """
    found = read_bin(file)
    places_P = np.arange(len(found.same)) * 2
    images = tuple(f"{file.name}#{one}" for one in range(len(found.images)))
    return _checked(
        PairSet(
            name=file.stem,
            images=images,
            crop=lambda image: decode_crop(found.images[image], images[image]),
            left_P=places_P,
            right_P=places_P + 1,
            same_P=found.same,
            fold_P=_folds_in_order(len(found.same), file),
        )
    )


def _rows(file: Path) -> list[list[str]]:
    """The fields of each line that is not blank, checked."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataInvalid(f"{file} cannot be read as a list of pairs: {error}") from error
    numbered = [(n, line.split("\t")) for n, line in enumerate(text.splitlines(), start=1)]
    numbered = [(n, row) for n, row in numbered if any(field.strip() for field in row)]
    if not numbered:
        raise DataInvalid(f"{file} holds not one pair; write lines {_LINE}")
    width = len(numbered[0][1])
    rows = []
    for n, row in numbered:
        fields = [field.strip() for field in row]
        is_good = len(row) == width and width in (3, 4) and all(fields)
        if not is_good or fields[2] not in ("0", "1"):
            raise DataInvalid(f"line {n} of {file} is {chr(9).join(row)[:60]!r}; expected {_LINE}")
        rows.append(fields)
    return rows


def _folds_in_order(num_pairs: int, file: Path) -> NDArray[np.int64]:
    if num_pairs < NUM_FOLDS:
        raise DataInvalid(f"{file} holds {num_pairs} pairs; ten folds need at least ten")
    return np.arange(num_pairs) * NUM_FOLDS // num_pairs


def _checked(pairs: PairSet) -> PairSet:
    """The same pairs, once every fold is known to hold both kinds."""
    folds = np.unique(pairs.fold_P)
    for fold in folds:
        same_P = pairs.same_P[pairs.fold_P == fold]
        if same_P.all() or not same_P.any():
            kind = "one person" if same_P.all() else "two people"
            raise DataInvalid(
                f"fold {int(fold) + 1} of {len(folds)} of {pairs.name} holds only pairs of {kind}"
                "; each fold needs pairs of one person and of two: mix the lines, or give folds "
                "in a fourth column"
            )
    if len(folds) < 2:
        raise DataInvalid(
            f"{pairs.name} has {len(folds)} folds with pairs; measuring needs at least two"
        )
    return pairs


def _crop_of_file(path: Path) -> NDArray[np.uint8]:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise DataInvalid(f"{path} cannot be read: {error}") from error
    return decode_crop(encoded, str(path))
