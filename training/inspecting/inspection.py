"""``inspect``: from the folders to the three files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedding.errors import DataInvalid, RequestInvalid
from embedding.model import ModelCard, ModelDirectory, find_model
from embedding.runtime import EmbeddingNet
from training.inspecting.contact_sheet import contact_sheet
from training.inspecting.copies import CopyFinder, copy_findings
from training.inspecting.findings import Finding, Kind, Limits
from training.inspecting.gathered import Gathered, NamedSet, measure, open_sets
from training.inspecting.kept_features import FILE_NAME, measure_or_load
from training.inspecting.lists import proposed_keys, write_keys, write_pairs
from training.inspecting.people import people_findings
from training.inspecting.search import search_neighbours
from training.inspecting.strays import low_quality_findings, stray_findings

FPIR: Final = 0.01  # of the thresholds that are taken from the card
NUM_SHOWN: Final = 100

PAIRS_FILE: Final = "pairs.csv"
SHEET_FILE: Final = "contact-sheet.html"
EXCLUDE_FILE: Final = "exclude.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectOptions:
    """What a user may choose.

    Attributes:
        model: a model directory or the name of a shipped one; None for the default.
        threshold: see `Limits`; None for the card's at FPIR 1 % and as many subjects as all
            sets have identities.
        pair_threshold: see `Limits`; None for the card's at FPIR 1 % and one subject, or for
            ``threshold`` where that is lower.
        num_shown: findings of each kind on the contact sheet.
        keep_embeddings: write embeddings.npz, and read it where it fits.
    """

    model: str | None = None
    threshold: float | None = None
    pair_threshold: float | None = None
    num_shown: int = NUM_SHOWN
    keep_embeddings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found and where it was written.

    Attributes:
        findings: sorted by kind, then the clearest first.
        limits: that they were found with.
        keys: proposed to be left out.
        folder: with the files.
        summary: for people: counts, thresholds and what to do next.
    """

    findings: tuple[Finding, ...]
    limits: Limits
    keys: tuple[str, ...]
    folder: Path
    summary: str


def inspect_data(
    data: Path, folder: Path, *, against: Sequence[Path] = (), options: InspectOptions
) -> Inspection:
    """Looks for copies, shared and doubled people, strays and images of low quality.

    Args:
        data: the set to be cleaned: identity folders, a .rec or tars of aligned crops.
        folder: for the files; made if it does not exist, files of an earlier run are replaced.
        against: other sets that must not share people with it; nothing of theirs is proposed.
        options: what a user may choose.

    Raises:
        ModelNotFound: no such model.
        ModelInvalid: a model directory that cannot be used.
        DataInvalid: a set that cannot be read or is not aligned, limits that mean nothing, or a
            card without thresholds where none were given.
    """
    if options.num_shown < 1:
        raise DataInvalid(f"--limit is {options.num_shown}; show at least 1 of each kind")
    directory = ModelDirectory.open(find_model(options.model))
    sets = open_sets(data, against)
    num_identities = sum(one.images.num_identities for one in sets)
    limits = choose_limits(directory.card, num_identities, options)
    net = EmbeddingNet(directory)
    # Faces and names go there: for the owner's eyes alone.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.keep_embeddings:
        file, fingerprint = folder / FILE_NAME, directory.card.fingerprint
        features = measure_or_load(sets, net, fingerprint=fingerprint, file=file)
    else:
        features = measure(sets, net)
    gathered = Gathered(sets, features)
    findings = find_all(gathered, limits)
    keys = proposed_keys(gathered, findings)
    summary = _summary(gathered, findings, limits, len(keys), directory.card.name)
    write_pairs(folder / PAIRS_FILE, gathered, findings)
    write_keys(folder / EXCLUDE_FILE, keys)
    page = contact_sheet(gathered, findings, num_shown=options.num_shown, facts=summary)
    (folder / SHEET_FILE).write_bytes(page.encode("ascii", "xmlcharrefreplace"))
    return Inspection(
        findings=tuple(findings),
        limits=limits,
        keys=tuple(keys),
        folder=folder,
        summary=_advice(summary, folder),
    )


def choose_limits(card: ModelCard, num_identities: int, options: InspectOptions) -> Limits:
    """The limits that were asked for, and the card's where nothing was.

    Raises:
        DataInvalid: the card has no thresholds for FPIR 1 % and they were not given, or they
            mean nothing.
    """
    try:
        threshold = options.threshold
        if threshold is None:
            threshold = card.threshold(fpir=FPIR, num_subjects=num_identities).value
        pair_threshold = options.pair_threshold
        if pair_threshold is None:
            pair_threshold = min(threshold, card.threshold(fpir=FPIR, num_subjects=1).value)
    except RequestInvalid as error:
        raise DataInvalid(f"{error}; give --threshold and --pair-threshold") from error
    return Limits(threshold=threshold, pair_threshold=pair_threshold, norm_floor=card.norm_floor)


def find_all(gathered: Gathered, limits: Limits) -> list[Finding]:
    """All findings, sorted by kind, then the clearest first."""
    copies = CopyFinder(gathered, limits)
    neighbours = search_neighbours(
        gathered.features.unit_ND,
        gathered.first_rows,
        num_data=gathered.num_data,
        copy_similarity=limits.copy_similarity,
        is_copy=copies.is_copy(),
    )
    stays_for_N = copies.stays_for(neighbours)
    strays = stray_findings(gathered, neighbours, stays_for_N, limits)
    people = people_findings(gathered, neighbours, (one.row_a for one in strays), limits)
    return [
        *copy_findings(gathered, stays_for_N),
        *(one for one in people if one.kind is Kind.SHARED),
        *(one for one in people if one.kind is Kind.MERGE),
        *strays,
        *low_quality_findings(gathered, limits),
    ]


def _summary(
    gathered: Gathered, findings: Sequence[Finding], limits: Limits, num_keys: int, model: str
) -> list[str]:
    counts = Counter(finding.kind for finding in findings)
    return [
        *(_size(one) for one in gathered.sets),
        f"model {model}; threshold {limits.threshold:.3f}, pair threshold "
        f"{limits.pair_threshold:.3f}",
        ", ".join(f"{counts[kind]} {kind}" for kind in Kind),
        f"{num_keys} of {gathered.num_data} images are proposed to be left out",
    ]


def _size(one: NamedSet) -> str:
    return f"{one.name}: {one.images.num_identities} identities, {len(one.images)} images"


def _advice(summary: Sequence[str], folder: Path) -> str:
    lines = [
        *summary,
        f"Look at {folder / SHEET_FILE} before you use {folder / EXCLUDE_FILE}: hard images and "
        "people who look alike are among these, and only a person can tell. The page holds "
        "faces: keep it like the data.",
    ]
    return "\n".join(lines)
