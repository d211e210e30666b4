"""Subjects that look like one person are found, each pair once, and nobody else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import GalleryNotFound, RequestInvalid
from index import dedupe
from index.dedupe import find_duplicates
from index.encryption import AesGcmSealer
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing, SealKey
from index.records import NewSubject
from tests.index.samples import FINGERPRINT, at_similarity, new_template, unit_vectors


def enroll(gallery: Gallery, *vectors: NDArray[np.float32], name: str | None = None) -> str:
    """Enroll templates of a new subject."""
    return gallery.enroll([new_template(each) for each in vectors], name=name).subject_id


def found(gallery: Gallery, **options: float) -> set[tuple[str, str]]:
    """The ids of the pairs."""
    pairs = find_duplicates(gallery, **({"threshold": 0.5} | options)).pairs  # type: ignore[arg-type]
    return {(each.first.id, each.second.id) for each in pairs}


def test_two_that_are_one(gallery: Gallery) -> None:
    """A pair is given once, who was enrolled first comes first, with the cosine of the means."""
    vectors = unit_vectors(5)
    first = enroll(gallery, vectors[0], name="Ann")
    for each in vectors[1:]:
        enroll(gallery, each)
    second = enroll(gallery, at_similarity(vectors[0], 0.8), name="Anne")
    duplicates = find_duplicates(gallery, threshold=0.5)
    assert [(each.first.id, each.second.id) for each in duplicates.pairs] == [(first, second)]
    assert duplicates.pairs[0].similarity == pytest.approx(0.8, abs=1e-5)
    assert duplicates.pairs[0].second.name == "Anne"
    assert [[each.id for each in cluster] for cluster in duplicates.clusters] == [[first, second]]
    assert (duplicates.num_pairs, duplicates.num_subjects) == (1, 6)


def test_the_mean_counts(gallery: Gallery) -> None:
    """One template that resembles somebody else's does not make two people one."""
    vectors = unit_vectors(6)
    enroll(gallery, *vectors[:3])
    enroll(gallery, *vectors[3:5], at_similarity(vectors[0], 0.95))
    assert found(gallery, threshold=0.5) == set()
    assert len(found(gallery, threshold=0.1, min_lead=-1)) == 1


def test_the_threshold_belongs_to_it(gallery: Gallery) -> None:
    """A pair at the very threshold is one."""
    vectors = unit_vectors(3)
    for each in (*vectors, vectors[0]):
        enroll(gallery, each)
    exact = find_duplicates(gallery, threshold=0.9).pairs[0].similarity
    assert len(found(gallery, threshold=exact)) == 1
    above = float(np.nextafter(np.float32(0.8), np.float32(1)))
    enroll(gallery, at_similarity(vectors[1], 0.8))
    assert len(found(gallery, threshold=0.7999)) == 2
    assert len(found(gallery, threshold=min(above + 1e-4, 1))) == 1


def test_who_resembles_many_resembles_nobody(gallery: Gallery) -> None:
    """Among many who look alike, only those are a pair that are more alike than the rest."""
    middle = unit_vectors(1, seed=7)[0]
    crowd = [at_similarity(middle, 0.85, seed=100 + number) for number in range(24)]
    ids = [enroll(gallery, each) for each in crowd]
    twin = enroll(gallery, at_similarity(crowd[0], 0.97))
    assert len(found(gallery, threshold=0.6, min_lead=-1)) > 200
    assert found(gallery, threshold=0.6) == {(ids[0], twin)}


def test_somebody_who_is_there_many_times(gallery: Gallery) -> None:
    """Who leads nobody, being there too often, is found by similarity alone."""
    anchor = unit_vectors(1)[0]
    for number in range(25):
        enroll(gallery, at_similarity(anchor, 0.99, seed=number + 1))
    assert found(gallery, threshold=0.6) == set()
    duplicates = find_duplicates(gallery, threshold=0.6, sure=0.9)
    assert duplicates.num_pairs == 25 * 24 // 2
    assert [len(each) for each in duplicates.clusters] == [25]


def test_clusters_join_pairs(gallery: Gallery) -> None:
    """Two pairs with a subject in common are one cluster; the largest comes first."""
    vectors = unit_vectors(20, seed=3)
    for each in vectors:
        enroll(gallery, each)
    near = at_similarity(vectors[0], 0.85, seed=1)
    for each in (near, at_similarity(near, 0.85, seed=2), at_similarity(vectors[1], 0.9)):
        enroll(gallery, each)
    clusters = find_duplicates(gallery, threshold=0.8).clusters
    assert [len(each) for each in clusters] == [3, 2]
    assert len({each.id for cluster in clusters for each in cluster}) == 5


def test_only_so_many_are_kept(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most similar are kept; how many there are is told all the same."""
    monkeypatch.setattr(dedupe, "_CHUNK", 3)
    anchor = unit_vectors(1)[0]
    for number in range(9):
        enroll(gallery, at_similarity(anchor, 0.9 + number / 100, seed=number + 1))
    everything = find_duplicates(gallery, threshold=0.1, min_lead=-1)
    some = find_duplicates(gallery, threshold=0.1, min_lead=-1, max_pairs=4)
    assert (len(everything.pairs), some.num_pairs) == (36, 36)
    assert some.pairs == everything.pairs[:4]
    similarities = [each.similarity for each in everything.pairs]
    assert similarities == sorted(similarities, reverse=True)


def test_removed_subjects_are_in_no_pair(gallery: Gallery) -> None:
    """Who was removed, and whose templates were, is compared with nobody."""
    vectors = unit_vectors(2)
    first = enroll(gallery, vectors[0])
    enroll(gallery, vectors[0])
    third = gallery.enroll([new_template(vectors[0])])
    gallery.remove_subject(first)
    gallery.remove_template(third.template_ids[0])
    duplicates = find_duplicates(gallery, threshold=0.5)
    assert (duplicates.pairs, duplicates.num_subjects) == ((), 1)


@pytest.mark.parametrize("num", [0, 1, 2])
def test_small_galleries(gallery: Gallery, num: int) -> None:
    """With nobody to compare with there is no pair; with one other, nobody comes next."""
    for _ in range(num):
        enroll(gallery, unit_vectors(1)[0])
    assert len(find_duplicates(gallery, threshold=0.5).pairs) == (num == 2)


def test_a_secret_space_changes_nothing(data_folder: Path) -> None:
    """Templates that are stored turned have the same similarities to each other."""
    vectors = unit_vectors(3)
    sealer = AesGcmSealer(KeyRing((SealKey.random(),)))
    with Galleries.open(data_folder, upkeep_s=3600, sealer=sealer) as galleries:
        turned = galleries.create("turned", fingerprint=FINGERPRINT, space=True)
        for each in (*vectors, at_similarity(vectors[0], 0.8)):
            enroll(turned, each)
        pairs = find_duplicates(turned, threshold=0.5).pairs
    assert [each.similarity for each in pairs] == [pytest.approx(0.8, abs=1e-5)]


def test_progress_is_told(gallery: Gallery) -> None:
    """It ends at all of it."""
    gallery.enroll_many([NewSubject(templates=(new_template(each),)) for each in unit_vectors(3)])
    told: list[tuple[int, int]] = []
    find_duplicates(gallery, threshold=0.5, progress=lambda *each: told.append(each))
    assert told[-1] == (6, 6)


@pytest.mark.parametrize(
    "options",
    [{"threshold": 2}, {"threshold": float("nan")}, {"sure": -2}, {"max_pairs": 0}],
)
def test_arguments_out_of_range(gallery: Gallery, options: dict[str, float]) -> None:
    """What is no cosine, or keeps nothing, is refused."""
    with pytest.raises(RequestInvalid):
        found(gallery, **options)


def test_a_gallery_that_is_gone(galleries: Galleries) -> None:
    """A deleted gallery has no duplicates."""
    gallery = galleries.create("gone", fingerprint=FINGERPRINT)
    galleries.delete("gone")
    with pytest.raises(GalleryNotFound):
        find_duplicates(gallery, threshold=0.5)


def _slow(means: NDArray[np.float32], threshold: float, lead: float, sure: float) -> set[object]:
    """All pairs, one by one."""
    num = len(means)
    similar = means.astype(np.float64) @ means.T.astype(np.float64)
    others = [
        sorted((similar[i, j] for j in range(num) if j != i), reverse=True) for i in range(num)
    ]
    num_next = max(min(20, num - 2), 0)
    after = [sum(each[1 : num_next + 1]) / num_next if num_next else 0.0 for each in others]
    return {
        (i, j)
        for i in range(num)
        for j in range(i + 1, num)
        if similar[i, j] >= threshold
        and (similar[i, j] >= sure or similar[i, j] - (after[i] + after[j]) / 2 >= lead)
    }


@settings(max_examples=30)
@given(
    num=st.integers(0, 40),
    seed=st.integers(0, 1000),
    chunk=st.integers(1, 50),
    threshold=st.floats(-0.5, 0.9),
    lead=st.floats(-0.5, 0.5),
    sure=st.floats(0, 1),
)
def test_chunks_are_exact(
    num: int, seed: int, chunk: int, threshold: float, lead: float, sure: float
) -> None:
    """Chunk by chunk, the pairs are those of a plain loop."""
    random = np.random.default_rng(seed)
    means = (random.normal(size=(num, 16)) + random.normal(size=16)).astype(np.float32)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    rules = dedupe._Rules(threshold=threshold, min_lead=lead, sure=sure)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedupe, "_CHUNK", chunk)
        after = np.zeros(num, np.float32)
        for rows, values in dedupe._next_closest(means):
            after[rows] = values
        pairs = [
            (int(i), int(j))
            for start in range(0, num, chunk)
            for block in dedupe._blocks(means, after, start, rules)
            for i, j in zip(block[0], block[1], strict=True)
        ]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == _slow(means, threshold, lead, sure)
