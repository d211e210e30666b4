"""People who are enrolled twice by hand, looked for among thousands of others.

They are people of the training set, whom the shipped model has learned: others are told apart
less well. Some are in the set twice already, under two numbers; those count as false here, and
those of them are told apart that share the very file.
"""

import csv
import hashlib
import random
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.batch_sources import GALLERY, Work
from embedding.model import CARD_FILE, find_model, read_card
from index.batch.build import BuildOptions, build, state_path
from index.batch.dedupe_command import FPIR, SURE_FPIR, card_thresholds
from index.batch.sources.manifest import Manifest
from index.batch.stages import FaceRules
from index.dedupe import find_duplicates
from index.galleries import Galleries
from index.store.batch_state import BatchState

_MIN_PHOTOS = 4
"""Of somebody who is split: two on each side."""

_SECOND = " again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What `find_duplicates` found.

    Attributes:
        num_subjects: in the gallery.
        num_split: people who are two of them.
        num_found: of those, in a pair.
        num_false: other pairs.
        num_false_sharing: of those, subjects that share a file.
        num_false_without_lead: other pairs at the same threshold where no lead is asked for.
        threshold: smallest similarity, with a lead.
        seconds: of the search.
    """

    num_subjects: int
    num_split: int
    num_found: int
    num_false: int
    num_false_sharing: int
    num_false_without_lead: int
    threshold: float
    seconds: float

    def figures(self) -> dict[str, object]:
        """For the last line."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_duplicates(work: Work, root: Path, *, num_people: int | None, num_split: int) -> Found:
    """Enroll people, some of them as two subjects, and look for those."""
    photos = _photos(root, num_people)
    # Chosen once and for all: the same people in every run.
    choice = random.Random(5)  # noqa: S311
    many = [name for name, files in photos.items() if len(files) >= _MIN_PHOTOS]
    split = set(choice.sample(many, min(num_split, len(many))))
    manifest, files_of = work.folder / "split.csv", defaultdict[str, set[bytes]](set)
    with manifest.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["path", "subject"])
        for name, files in photos.items():
            for number, file in enumerate(choice.sample(files, len(files))):
                subject = name + _SECOND * (name in split and number % 2)
                lines.writerow([str(file.relative_to(root)), subject])
                files_of[subject].add(hashlib.sha256(file.read_bytes()).digest())
    data = work.folder / "split"
    with Galleries.open(data) as galleries:
        gallery = galleries.create(GALLERY, fingerprint=work.embedder.fingerprint)
        with BatchState(state_path(data, gallery), gallery_id=gallery.id) as state:
            build(
                Manifest(manifest, root=root),
                gallery,
                embedder=work.embedder,
                state=state,
                secret=galleries.secret("service"),
                options=BuildOptions(faces=FaceRules(aligned=True, force=True)),
            )
        card = read_card(find_model(None) / CARD_FILE)
        threshold, sure = card_thresholds(card, gallery, fpir=FPIR, sure_fpir=SURE_FPIR)
        found = find_duplicates(gallery, threshold=threshold, sure=sure)
        plain = find_duplicates(gallery, threshold=threshold, min_lead=-2.0)
    shutil.rmtree(data)
    names = [(each.first.name or "", each.second.name or "") for each in found.pairs]
    false = [each for each in names if not _is_split(*each)]
    num_found = len(names) - len(false)
    return Found(
        num_subjects=found.num_subjects,
        num_split=len(split),
        num_found=num_found,
        num_false=len(false),
        num_false_sharing=sum(not files_of[a].isdisjoint(files_of[b]) for a, b in false),
        num_false_without_lead=plain.num_pairs
        - sum(_is_split(each.first.name or "", each.second.name or "") for each in plain.pairs),
        threshold=threshold,
        seconds=found.seconds,
    )


def _is_split(first: str, second: str) -> bool:
    return first != second and first.removesuffix(_SECOND) == second.removesuffix(_SECOND)


def _photos(root: Path, num_people: int | None) -> dict[str, list[Path]]:
    """The photos of each person, by name."""
    people = sorted(each for each in root.iterdir() if each.is_dir())
    if num_people is not None and num_people < len(people):
        people = [people[number * len(people) // num_people] for number in range(num_people)]
    return {each.name: sorted(each.glob("*.jpg")) for each in people}
