"""The people of the user's own folder who choose the preprocessing and set the thresholds."""

import hashlib
import os
from itertools import pairwise

import numpy as np

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore, is_sharp
from training.data.split import MIN_HOLDOUT_IMAGES, Selection, select_all
from training.model_folder import MIN_PEOPLE

# More people would cost time and change nothing: the largest gallery on a card has 250.
MAX_PEOPLE = 500
MAX_IMAGES = 10
# What the preprocessing is chosen on: each combination embeds all of these images.
MAX_GUESS_PEOPLE = 100
GUESS_IMAGES = 3


def calibration_people(store: CropStore) -> Selection:
    """People with at least three readable images: at most 500, with their first ten images each.

    Who is taken is decided by a hash of the name, so it is the same every time.

    Raises:
        DataInvalid: fewer than ten such people.
    """
    everybody = select_all(store)
    enough = _with_images(everybody)
    enough.sort(key=lambda one: hashlib.sha256(os.fsencode(everybody.names[one])).digest())
    chosen = everybody.of_identities(sorted(enough[:MAX_PEOPLE]))
    readable = first_images(chosen, MAX_IMAGES).without_unreadable()
    people = readable.of_identities(_with_images(readable))
    if people.num_identities < MIN_PEOPLE:
        raise DataInvalid(
            f"--data has {people.num_identities} people with at least {MIN_HOLDOUT_IMAGES} "
            f"readable images, of {len(store.names)}; thresholds need at least {MIN_PEOPLE} such "
            "people, and better hundreds: add people or images"
        )
    bounds = np.searchsorted(people.labels_N, np.arange(people.num_identities + 1))
    rows = [people.rows_N[start:end] for start, end in pairwise(bounds)]
    return Selection(
        store=store,
        names=people.names,
        rows_N=people.rows_N,
        labels_N=people.labels_N,
        sharp=tuple(is_sharp(store, one) for one in rows),
    )


def guessing_people(people: Selection) -> Selection:
    """At most 100 of the people, spread evenly, with three images each."""
    count = min(people.num_identities, MAX_GUESS_PEOPLE)
    some = np.linspace(0, people.num_identities - 1, count).astype(int).tolist()
    return first_images(people.of_identities(some), GUESS_IMAGES)


def first_images(selection: Selection, count: int) -> Selection:
    """The first images of each person."""
    starts = np.searchsorted(selection.labels_N, np.arange(selection.num_identities))
    kept_N = np.arange(len(selection)) - starts[selection.labels_N] < count
    return Selection(
        store=selection.store,
        names=selection.names,
        rows_N=selection.rows_N[kept_N],
        labels_N=selection.labels_N[kept_N],
        sharp=selection.sharp,
    )


def _with_images(selection: Selection) -> list[int]:
    counts_I = np.bincount(selection.labels_N, minlength=selection.num_identities)
    return np.flatnonzero(counts_I >= MIN_HOLDOUT_IMAGES).tolist()
