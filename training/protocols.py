"""What is measured: LFW's verification folds and open-set search among held-out people.

Pure NumPy on embeddings; who makes them (torch or a model directory) does not matter here.
Shape legend: B images, D embedding dimension, P probes, S subjects, T templates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import (
    FoldAccuracy,
    IdentificationRates,
    TarAtFar,
    fold_accuracy,
    identification_rates,
    smallest_threshold,
    tar_at_far,
)
from embedding.errors import DataInvalid
from training.data.bin_set import read_bin
from training.data.decoding import decode_crop, load_crops
from training.data.split import Selection

EmbedCrops = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Similarity = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

# Templates a subject in open-set figures: three photos are what people enroll.
NUM_TEMPLATES = 3
CHUNK = 256
NUM_BIN_FOLDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LfwPairs:
    """LFW's pairs: rows into `paths`, whether they show one person, and their fold."""

    paths: tuple[Path, ...]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]


def read_lfw_pairs(folder: Path) -> LfwPairs:
    """Reads ``pairs.txt`` and finds its images under ``aligned/``.

    Raises:
        DataInvalid: a missing file, or a list that is not what its first line announces.
    """
    file = folder / "pairs.txt"
    if not file.is_file():
        raise DataInvalid(f"no {file}; give a folder that holds pairs.txt and aligned/")
    header, *lines = file.read_text(errors="replace").splitlines() or [""]
    words = header.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise DataInvalid(f"{file} begins with {header[:40]!r}, not with folds and pairs")
    num_folds, num_pairs = int(words[0]), int(words[1])
    if len(lines) != num_folds * 2 * num_pairs:
        raise DataInvalid(
            f"{file} announces {num_folds} folds of 2 x {num_pairs} pairs and has {len(lines)}"
        )
    rows: dict[Path, int] = {}
    pairs = []
    for number, line in enumerate(lines):
        words = line.split("\t")
        numbers = (words[1], words[-1]) if len(words) in (3, 4) else ("",)
        if not all(number.strip().isdecimal() for number in numbers):
            raise DataInvalid(f"{file} has a line of another form: {line[:60]!r}")
        first, second = (words[0], words[0]) if len(words) == 3 else (words[0], words[2])
        paths = (
            _lfw_image(folder, first, words[1]),
            _lfw_image(folder, second, words[-1]),
        )
        left, right = (rows.setdefault(path, len(rows)) for path in paths)
        pairs.append((left, right, len(words) == 3, number // (2 * num_pairs)))
    left_, right_, same, fold = (np.array(column) for column in zip(*pairs, strict=True))
    return LfwPairs(paths=tuple(rows), left=left_, right=right_, same=same, fold=fold)


def _lfw_image(folder: Path, name: str, number: str) -> Path:
    return folder / "aligned" / name / f"{name}_{int(number):04d}.jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """1:1 figures on LFW's protocol."""

    accuracy: FoldAccuracy
    tar: tuple[TarAtFar, ...]


def verify_lfw(embed: EmbedCrops, folder: Path) -> Verification:
    """10-fold accuracy, and TAR at FAR 1e-2 and 1e-3 over all pairs."""
    pairs = read_lfw_pairs(folder)
    unit_BD = embed_paths(embed, pairs.paths)
    similarities = (unit_BD[pairs.left] * unit_BD[pairs.right]).sum(axis=1)
    return _verification(similarities, pairs.same, pairs.fold)


def verify_bin(embed: EmbedCrops, file: Path) -> Verification:
    """The same for an InsightFace ``.bin`` set: ten folds in the order of its pairs.

    Raises:
        DataInvalid: no such set, a damaged image, or fewer than ten pairs.
    """
    pairs = read_bin(file)
    if len(pairs.same) < NUM_BIN_FOLDS:
        raise DataInvalid(f"{file} holds {len(pairs.same)} pairs; ten folds need at least ten")
    chunks = []
    for start in range(0, len(pairs.images), CHUNK):
        encoded = pairs.images[start : start + CHUNK]
        crops = [decode_crop(one, f"{file}#{start + n}") for n, one in enumerate(encoded)]
        chunks.append(embed(np.stack(crops)))
    unit_BD = np.concatenate(chunks)
    similarities = (unit_BD[0::2] * unit_BD[1::2]).sum(axis=1)
    fold = np.arange(len(pairs.same)) * NUM_BIN_FOLDS // len(pairs.same)
    return _verification(similarities, pairs.same, fold)


def _verification(
    similarities: NDArray[np.float32], same: NDArray[np.bool_], fold: NDArray[np.int64]
) -> Verification:
    mated, non_mated = similarities[same], similarities[~same]
    return Verification(
        accuracy=fold_accuracy(similarities, same, fold),
        tar=tuple(tar_at_far(mated, non_mated, far) for far in (1e-2, 1e-3)),
    )


def embed_paths(embed: EmbedCrops, paths: tuple[Path, ...]) -> NDArray[np.float32]:
    """(B, D) embeddings of image files, in their order, in bounded memory."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    return np.concatenate([embed(load_crops(chunk)) for chunk in chunks])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSetTable:
    """Every image searched against every subject's templates.

    Attributes:
        similarities_PS: fused by maximum over the subject's templates.
        own_subject_P: the column of the probe's own subject.
        is_mated_P: whether the probe may serve as a mated one: it is no template itself.
    """

    similarities_PS: NDArray[np.float32]
    own_subject_P: NDArray[np.int64]
    is_mated_P: NDArray[np.bool_]

    def of_subjects(self, subjects: NDArray[np.int64]) -> "OpenSetTable":
        """Some subjects and their own probes alone, as if there were nobody else.

        Args:
            subjects: columns, rising, at least one.
        """
        kept_P = np.isin(self.own_subject_P, subjects)
        return OpenSetTable(
            similarities_PS=self.similarities_PS[np.ix_(kept_P, subjects)],
            own_subject_P=np.searchsorted(subjects, self.own_subject_P[kept_P]),
            is_mated_P=self.is_mated_P[kept_P],
        )


def inner_product(
    probes_PD: NDArray[np.float32], templates_TD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(P, T) similarity of embeddings: of unit ones the cosine."""
    similarities_PT: NDArray[np.float32] = probes_PD @ templates_TD.T
    return similarities_PT


def open_set_table(
    unit_BD: NDArray[np.float32],
    subject_B: NDArray[np.int64],
    *,
    num_templates: int = NUM_TEMPLATES,
    similarity: Similarity = inner_product,
) -> OpenSetTable:
    """Enrolls the first images of each subject and searches with all of them.

    The last image of a subject is never a template, so that everybody is searched for.

    Args:
        unit_BD: embeddings; of unit length, unless the similarity takes others.
        subject_B: whose they are, 0 to S - 1.
        num_templates: of a subject, at most.
        similarity: of embeddings (P, D) and templates (T, D), as (P, T).
    """
    num_subjects = int(subject_B.max()) + 1
    columns, is_template_B = [], np.zeros(len(subject_B), bool)
    for subject in range(num_subjects):
        images = np.flatnonzero(subject_B == subject)
        rows = images[: max(1, min(num_templates, len(images) - 1))]
        is_template_B[rows] = True
        columns.append(similarity(unit_BD, unit_BD[rows]).max(axis=1))
    return OpenSetTable(
        similarities_PS=np.stack(columns, axis=1),
        own_subject_P=subject_B,
        is_mated_P=~is_template_B,
    )


def open_set_rates(table: OpenSetTable, *, fpir: float) -> IdentificationRates:
    """FNIR at the smallest threshold that keeps a wanted FPIR, leaving one subject out.

    Each image is a stranger to the gallery of everybody else; each image that is no template is
    a mated probe of the whole gallery.
    """
    rows = np.arange(len(table.own_subject_P))
    own_P = table.similarities_PS[rows, table.own_subject_P]
    others_PS = table.similarities_PS.copy()
    others_PS[rows, table.own_subject_P] = -np.inf
    best_other_P = others_PS.max(axis=1)
    mated = table.is_mated_P
    if not mated.any():
        raise DataInvalid("no identity has an image beyond its templates; add images")
    return identification_rates(
        mated_similarity_M=own_P[mated],
        mated_is_first_M=own_P[mated] > best_other_P[mated],
        best_non_mated_N=best_other_P,
        threshold=smallest_threshold(best_other_P, fpir),
        num_subjects=table.similarities_PS.shape[1],
    )


def embed_selection(embed: EmbedCrops, selection: Selection) -> NDArray[np.float32]:
    """(B, D) embeddings of a selection's crops, in their order, in bounded memory."""
    return np.concatenate([embed(chunk) for chunk in selection.chunks(CHUNK)])


def holdout_figures(embed: EmbedCrops, holdout: Selection) -> dict[str, float]:
    """What a run watches: open-set and verification figures on people who never train.

    Names begin with ``sharp/`` (identities of sharp images only) and ``all/``.
    """
    figures: dict[str, float] = {}
    sharp = [one for one, is_sharp in enumerate(holdout.sharp) if is_sharp]
    groups = {"all": holdout, "sharp": holdout.of_identities(sharp)}
    for group, members in groups.items():
        if members.num_identities < 2:
            continue
        subject_B = members.labels_N
        unit_BD = embed_selection(embed, members)
        rates = open_set_rates(open_set_table(unit_BD, subject_B), fpir=0.01)
        left, right = np.triu_indices(len(unit_BD), k=1)
        same = subject_B[left] == subject_B[right]
        cosines = (unit_BD @ unit_BD.T)[left, right]
        figures |= {
            f"{group}/fnir_at_fpir_1e-2": rates.fnir.rate,
            f"{group}/rank1": rates.rank1.rate,
            f"{group}/tar_at_far_1e-3": tar_at_far(cosines[same], cosines[~same], 1e-3).tar.rate,
        }
    return {name: round(value, 4) for name, value in figures.items()}
