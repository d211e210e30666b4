"""Whether open galleries hold what they must: SQL, memory, counts, answers, and the live files.

Shapes: N vectors, D embedding dimension.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from benchmarks.fault_model import FINGERPRINT, Change, Expected, Person, State, seeds_of, vector
from index.galleries import Galleries
from index.gallery import Gallery
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.store.tables import changes, subjects, templates
from index.store.tables import galleries as gallery_rows

_NUM_IDENTIFIED = 12
_PATTERN = slice(100, 180)


class CheckFailed(Exception):
    """Something is not as it must be; the message says what."""


def check(galleries: Galleries, expected: Expected, *, dice: random.Random) -> tuple[Change, ...]:
    """Return which of the open changes are there; everything else must be as expected.

    Raises:
        CheckFailed: a change was lost, undone or half made, or SQL, memory and answers differ.
    """
    actual, rows_by_gallery = _read(galleries)
    fitting = (made for state, made in expected.candidates() if state == actual)
    made = next(fitting, None)
    if made is None:
        raise CheckFailed(_difference(expected, actual))
    gone = sorted(set(expected.gone) | (seeds_of(expected.state) - seeds_of(actual)))
    for gallery in galleries.list():
        people, rows = actual[gallery.name], rows_by_gallery[gallery.name]
        _check_counts(gallery, people)
        _check_memory(gallery, rows, gone)
        _check_answers(gallery, people, gone, dice)
    return made


def check_files(
    folder: Path, present: Sequence[int], gone: Sequence[int], *, sealed: bool
) -> None:
    """Pass live files that hold nothing of what is gone and, if sealed, nothing in the clear.

    Args:
        folder: the data folder, after an upkeep.
        present: seeds of templates that are there.
        gone: seeds of removed ones.
        sealed: whether vectors are encrypted.
    """
    forbidden = [*gone, *present] if sealed else list(gone)
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for seed in forbidden:
            if vector(seed).tobytes()[_PATTERN] in content:
                what = "a removed" if seed in set(gone) else "an unsealed"
                raise CheckFailed(f"{path.name} holds {what} template ({seed})")


def check_snapshots(galleries: Galleries) -> None:
    """Pass a snapshot folder without anything of a gallery that is gone."""
    folder = galleries.path / SNAPSHOTS_NAME
    there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    left = there - {each.id for each in galleries.list()}
    if left:
        raise CheckFailed(f"snapshots of {len(left)} deleted galleries are left")


def _read(galleries: Galleries) -> tuple[State, dict[str, dict[int, int]]]:
    """Return SQL's state, and row ids by seed for each gallery."""
    query = (
        select(
            gallery_rows.c.name.label("gallery"),
            subjects.c.external_id,
            subjects.c.name,
            templates.c.face_id,
            templates.c.id,
        )
        .outerjoin_from(gallery_rows, subjects)
        .outerjoin(templates, templates.c.subject_id == subjects.c.id)
    )
    state: State = {}
    by_seed: dict[str, dict[int, int]] = {}
    database = galleries._store.database
    with database.transaction() as connection:
        rows = connection.execute(query).all()
        num_rows = connection.scalar(select(func.count()).select_from(templates))
        logs = connection.execute(
            select(
                gallery_rows.c.sequence,
                func.count(changes.c.sequence).label("count"),
                func.max(changes.c.sequence).label("newest"),
            )
            .outerjoin_from(gallery_rows, changes)
            .group_by(gallery_rows.c.id)
        ).all()
    for row in rows:
        people = state.setdefault(row.gallery, {})
        known = by_seed.setdefault(row.gallery, {})
        if row.external_id is None:
            continue
        seeds = people[row.external_id].seeds if row.external_id in people else frozenset()
        if row.face_id is not None:
            seeds |= {int(row.face_id)}
            known[int(row.face_id)] = row.id
        people[row.external_id] = Person(name=row.name, seeds=seeds)
    if sum(map(len, by_seed.values())) != num_rows:
        raise CheckFailed(f"SQL has {num_rows} templates, {len(seeds_of(state))} of somebody")
    if any(not log.sequence == log.count == (log.newest or 0) for log in logs):
        raise CheckFailed("a change log has a gap, or a counter is not at its end")
    if set(state) != {each.name for each in galleries.list()}:
        raise CheckFailed("the galleries in memory are not those in SQL")
    return state, by_seed


def _check_counts(gallery: Gallery, people: dict[str, Person]) -> None:
    num_templates = sum(len(person.seeds) for person in people.values())
    num_subjects = sum(bool(person.seeds) for person in people.values())
    state = gallery._store.state()
    told = (gallery.num_subjects, gallery.num_templates)
    if told != (num_subjects, num_templates):
        raise CheckFailed(f"told (subjects, templates) {told}, are {num_subjects, num_templates}")
    if (state.num_subjects, state.num_templates) != told:
        raise CheckFailed(f"SQL counts {state.num_subjects, state.num_templates}, memory {told}")


def _check_memory(gallery: Gallery, rows: dict[int, int], gone: Sequence[int]) -> None:
    """The matrix has exactly SQL's rows, each with its own vector, and nothing of what is gone."""
    matrix = gallery._memory.matrix
    parts = [ids_N for ids_N, _ in matrix.segments()]
    in_memory = set(np.concatenate(parts).tolist()) if parts else set()
    if in_memory != set(rows.values()):
        raise CheckFailed(f"memory has {len(in_memory)} templates, SQL {len(rows)}, not the same")
    wanted = [*rows, *gone]
    if not wanted:
        return
    probes_ND = gallery._stored_form(np.stack([vector(seed) for seed in wanted]))
    similarities, ids = matrix.search(probes_ND, 1)
    for seed, similarity, row in zip(wanted, similarities[:, 0], ids[:, 0], strict=True):
        if seed in rows and not (row == rows[seed] and similarity > 0.9999):
            raise CheckFailed(f"template {seed} is found as row {row} at {similarity:.4f}")
        if seed not in rows and row >= 0 and similarity > 0.5:
            raise CheckFailed(f"removed template {seed} is found at {similarity:.4f}")


def _check_answers(
    gallery: Gallery, people: dict[str, Person], gone: Sequence[int], dice: random.Random
) -> None:
    """Some, chosen at random, are asked for as a user does."""
    owners = [(seed, key) for key in sorted(people) for seed in sorted(people[key].seeds)]
    asked = dice.sample(owners, min(_NUM_IDENTIFIED, len(owners)))
    strangers = dice.sample(gone, min(_NUM_IDENTIFIED // 2, len(gone)))
    for seed, key in [*asked, *((seed, None) for seed in strangers)]:
        answer = gallery.identify(
            vector(seed), fingerprint=FINGERPRINT, match_threshold=0.9, review_threshold=0.8
        )
        found = answer.candidates[0].subject if answer.decision == "match" else None
        if (None if found is None else found.external_id) != key:
            raise CheckFailed(f"template {seed} of {key} is identified as {found and found.id}")
        if found is not None and key is not None and found.name != people[key].name:
            raise CheckFailed(f"the name of {key} is not the one that was given last")


def _difference(expected: Expected, actual: State) -> str:
    lines = []
    for name in sorted(expected.state.keys() | actual.keys()):
        wanted, there = expected.state.get(name), actual.get(name)
        if wanted is None or there is None:
            lines.append(f"gallery {name} is {'lost' if there is None else 'there'}")
            continue
        lines += [
            f"{name}/{key}: {wanted.get(key)} expected, {there.get(key)} found"
            for key in sorted(wanted.keys() | there.keys())
            if wanted.get(key) != there.get(key)
        ]
    return f"open {expected.open}; " + "; ".join(lines[:10])
