"""Measures a model on everything that was given: the whole of ``python -m training evaluate``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data.identity_folder import IdentityFolder
from training.data.opening import open_store
from training.data.split import Selection, select_all
from training.evaluation.groups import check_identities, read_groups
from training.evaluation.identification import SetIdentification, identify
from training.evaluation.images import Embed, EmbeddedImages, ModelInfo, embed_images
from training.evaluation.open_set import check_protocol, plan_open_set
from training.evaluation.pairs import PairSet, bin_pair_set, lfw_pair_set, pair_list
from training.evaluation.report import EvaluationReport, warnings_of
from training.evaluation.searches import FUSIONS
from training.evaluation.verification import SetVerification, verify_embedded, verify_pairs

NUM_TEMPLATES = 3  # three photos are what people enroll
LFW_STRANGER_MAX_IMAGES = 1
HOLDOUT_NAME = "held-out people"


@dataclass(frozen=True, slots=True, kw_only=True)
class _People:
    """A set of identities to search among.

    Attributes:
        name: of the set.
        selection: its images.
        num_templates: images of a subject that are enrolled.
        stranger_max_images: who has at most as many is a stranger.
        pairs: LFW's, which are made of the same images; else None.
        pair_images: the position in the selection of each image of the pairs; -1 for none.
    """

    name: str
    selection: Selection
    num_templates: int
    stranger_max_images: int
    pairs: PairSet | None = None
    pair_images: NDArray[np.int64] | None = None


def evaluate_model(
    embed: Embed,
    *,
    model: ModelInfo,
    lfw: Path | None = None,
    pairs: Sequence[Path] = (),
    bins: Sequence[Path] = (),
    folders: Sequence[Path] = (),
    holdout: Selection | None = None,
    groups: Path | None = None,
    num_templates: int = NUM_TEMPLATES,
    stranger_max_images: int | None = None,
    skip_missing: bool = False,
) -> EvaluationReport:
    """Measures 1:1 and open-set 1:N, after checking everything that can be checked at once.

    Args:
        embed: the model.
        model: what the report says of it.
        lfw: folder with ``pairs.txt`` and ``aligned/``: both kinds of figures.
        pairs: lists of pairs (see `pair_list`).
        bins: InsightFace ``.bin`` sets.
        folders: sets of identities: folders, records or tars.
        holdout: people whom a run held out; where they are too few, a warning says so.
        groups: CSV file ``identity,group`` for the people of LFW and of the folders.
        num_templates: images of a subject that are enrolled.
        stranger_max_images: who has at most as many is a stranger; None takes one for LFW and
            the number of templates elsewhere.
        skip_missing: leave out, and count, pairs whose images are missing.

    Raises:
        DataInvalid: nothing to measure, or a set that cannot be measured.
    """
    if lfw is None and not (pairs or bins or folders or holdout):
        raise DataInvalid(
            "there is nothing to measure on: give --lfw, --pairs, --bin or --folder, or a run "
            "that held people out"
        )
    max_images = num_templates if stranger_max_images is None else stranger_max_images
    lfw_max_images = LFW_STRANGER_MAX_IMAGES if stranger_max_images is None else max_images
    check_protocol(num_templates, max_images)
    pair_sets = [pair_list(file, skip_missing=skip_missing) for file in pairs]
    for file in bins:
        bin_pair_set(file)  # only checked: its encoded images may fill a gigabyte
    people = [] if lfw is None else [_open_lfw(lfw, num_templates, lfw_max_images, skip_missing)]
    people += [_open_folder(folder, num_templates, max_images) for folder in folders]
    group_of = _open_groups(groups, people)
    verification: list[SetVerification] = []
    identification: list[SetIdentification] = []
    for one in people:
        embedded = _embed_selection(embed, one.selection)
        if one.pairs is not None:
            verification.append(_verify(one, embedded, skip_missing=skip_missing))
        identification += _identify(embedded, one, group_of, model)
    for pair_set in pair_sets:
        verification.append(verify_pairs(embed, pair_set, skip_missing=skip_missing))
    for file in bins:
        verification.append(verify_pairs(embed, bin_pair_set(file), skip_missing=skip_missing))
    found, warnings = _measure_holdout(embed, holdout, model, num_templates, max_images)
    identification += found
    if group_of and not model.norm_floor:
        warnings.append("The model has no norm floor, so no image counts as refused.")
    return EvaluationReport(
        model=model,
        created=datetime.now(UTC).date().isoformat(),
        verification=tuple(verification),
        identification=tuple(identification),
        warnings=(*warnings_of(verification, identification), *warnings),
    )


def _open_lfw(
    folder: Path, num_templates: int, stranger_max_images: int, skip_missing: bool
) -> _People:
    """LFW's people and pairs; images are embedded once for both."""
    pairs, paths = lfw_pair_set(folder)
    store = IdentityFolder(folder / "aligned")
    selection = select_all(store)
    image_of = {store.path(image): image for image in range(len(selection))}
    pair_images = np.array([image_of.get(path, -1) for path in paths], np.int64)
    people = _People(
        name=pairs.name,
        selection=selection,
        num_templates=num_templates,
        stranger_max_images=stranger_max_images,
        pairs=pairs.without(pair_images < 0, skip_missing=skip_missing),
        pair_images=pair_images,
    )
    return _checked(people)


def _open_folder(folder: Path, num_templates: int, stranger_max_images: int) -> _People:
    return _checked(
        _People(
            name=folder.resolve().name,
            selection=select_all(open_store(folder)),
            num_templates=num_templates,
            stranger_max_images=stranger_max_images,
        )
    )


def _checked(people: _People) -> _People:
    """The same, once enough of them are known to have enough images."""
    plan_open_set(
        people.selection.labels_N,
        num_templates=people.num_templates,
        stranger_max_images=people.stranger_max_images,
        name=people.name,
    )
    return people


def _open_groups(file: Path | None, people: Sequence[_People]) -> Mapping[str, str]:
    """Groups by identity, none of them unknown."""
    if file is None:
        return {}
    if not people:
        raise DataInvalid(f"{file} gives groups of people; give --lfw or --folder to measure them")
    groups = read_groups(file)
    check_identities(groups, [name for one in people for name in one.selection.names], file)
    return groups


def _embed_selection(embed: Embed, selection: Selection) -> EmbeddedImages:
    return embed_images(embed, selection.crop, len(selection))


def _verify(people: _People, embedded: EmbeddedImages, *, skip_missing: bool) -> SetVerification:
    if people.pairs is None or people.pair_images is None:
        raise AssertionError("only a set with pairs is verified")
    # One place more: an image that is missing is -1 and so finds the last one, which is no row.
    row_N = np.full(len(people.selection) + 1, -1)
    row_N[embedded.images_B] = np.arange(len(embedded.images_B))
    return verify_embedded(
        people.pairs, embedded, row_N[people.pair_images], skip_missing=skip_missing
    )


def _identify(
    embedded: EmbeddedImages, people: _People, groups: Mapping[str, str], model: ModelInfo
) -> list[SetIdentification]:
    return identify(
        embedded,
        people.selection,
        name=people.name,
        fusions=FUSIONS,
        num_templates=people.num_templates,
        stranger_max_images=people.stranger_max_images,
        groups=groups,
        norm_floor=model.norm_floor,
    )


def _measure_holdout(
    embed: Embed,
    holdout: Selection | None,
    model: ModelInfo,
    num_templates: int,
    stranger_max_images: int,
) -> tuple[list[SetIdentification], list[str]]:
    """Figures of a run's held-out people, or a warning that says why there are none."""
    if not holdout:
        return [], []
    try:
        people = _checked(
            _People(
                name=HOLDOUT_NAME,
                selection=holdout,
                num_templates=num_templates,
                stranger_max_images=stranger_max_images,
            )
        )
    except DataInvalid as error:
        return [], [f"The people whom the run held out were not measured: {error}."]
    return _identify(_embed_selection(embed, holdout), people, {}, model), []
