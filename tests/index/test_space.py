"""Gallery spaces: what they keep, what they part, and what a few known photos give away."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.space_attack import mean_cosines
from embedding.errors import EmbeddingInvalid, ModelMismatch, StoreCorrupt
from index.space import GallerySpace, Label
from tests.index.samples import BAD_EMBEDDINGS, FINGERPRINT, OTHER_FINGERPRINT, unit_vectors

_D = 512
_SPACE = GallerySpace.random(_D)
_VECTORS = unit_vectors(300)
_SMALL = GallerySpace.random(8)


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = one.astype(np.float64) @ other.astype(np.float64).T
    return cosines


def test_similarities_stay() -> None:
    """Inside a space all similarities are those outside within 1e-6, and lengths are 1 in 1e-5."""
    turned = _SPACE.rotate(_VECTORS)
    assert turned.dtype == np.float32
    lengths = np.linalg.norm(turned.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        _cosines(turned, turned), _cosines(_VECTORS, _VECTORS), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(turned @ turned[0], _VECTORS @ _VECTORS[0], rtol=0, atol=1e-6)


def test_rotate_is_the_matrix_product() -> None:
    """A vector becomes matrix times vector, written out in plain loops."""
    vectors = unit_vectors(3, dimension=8)
    for vector, turned in zip(vectors, _SMALL.rotate(vectors), strict=True):
        expected = [
            math.fsum(float(a) * float(b) for a, b in zip(row, vector, strict=True))
            for row in _SMALL.matrix_DD
        ]
        np.testing.assert_allclose(turned, expected, rtol=0, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(num=st.integers(0, 20), seed=st.integers(0, 1000), dimension=st.integers(1, 40))
def test_unrotate_undoes_rotate(num: int, seed: int, dimension: int) -> None:
    """Vectors come back within 1e-6, through another space too, and alone as in a batch."""
    space, other = GallerySpace.random(dimension), GallerySpace.random(dimension)
    vectors = unit_vectors(num, seed=seed, dimension=dimension)
    turned = space.rotate(vectors)
    np.testing.assert_allclose(space.unrotate(turned), vectors, rtol=0, atol=1e-6)
    moved = other.unrotate(other.rotate(space.unrotate(turned)))
    np.testing.assert_allclose(moved, vectors, rtol=0, atol=1e-6)
    for place in range(num):
        alone = space.rotate(vectors[place : place + 1])
        np.testing.assert_allclose(alone[0], turned[place], rtol=0, atol=1e-7)


def test_many_vectors_are_turned_in_blocks() -> None:
    """More vectors than are turned at a time come out like each one alone."""
    vectors = np.tile(unit_vectors(100, dimension=8), (200, 1))
    turned = _SMALL.rotate(vectors)
    np.testing.assert_allclose(turned, vectors @ _SMALL.matrix_DD.T, rtol=0, atol=1e-6)


def test_spaces_have_nothing_to_do_with_each_other() -> None:
    """The same face in two spaces is as far apart as two strangers are by chance."""
    first, second = _SPACE.rotate(_VECTORS), GallerySpace.random(_D).rotate(_VECTORS)
    for one, other in ((first, second), (first, _VECTORS)):
        same = np.einsum("nd,nd->n", one, other)
        assert abs(same.mean()) < 0.02
        assert same.std() == pytest.approx(1 / math.sqrt(_D), rel=0.2)


def test_every_turn_is_equally_likely() -> None:
    """Entries have Haar's moments, and mirrored turns are as frequent as plain ones."""
    matrices = np.array([GallerySpace.random(3).matrix_DD for _ in range(2000)])
    # E[q^2] = 1/D, E[q^4] = 3/(D(D+2)); six standard errors, so it fails once in 10^8 runs.
    for power, expected, spread in ((1, 0.0, 0.58), (2, 1 / 3, 0.30), (4, 1 / 5, 0.27)):
        error = np.abs((matrices**power).mean(axis=0) - expected).max()
        assert error < 6 * spread / math.sqrt(2000)
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 3 / math.sqrt(2000)


@pytest.mark.parametrize("bad", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS)
def test_vectors_that_are_no_embeddings_are_refused(bad: NDArray[np.float32]) -> None:
    """NaN, zero, other lengths, dimensions and types are refused both ways."""
    vectors = bad[np.newaxis] if bad.ndim == 1 else bad[np.newaxis, :]
    for turn in (_SPACE.rotate, _SPACE.unrotate):
        with pytest.raises(EmbeddingInvalid):
            turn(vectors)


def test_a_space_comes_back_from_its_bytes() -> None:
    """The bytes give the same id and exactly the same matrix."""
    for space in (_SPACE, GallerySpace("größe", _SMALL.matrix_DD)):
        back = GallerySpace.from_bytes(space.to_bytes())
        assert back.id == space.id
        np.testing.assert_array_equal(back.matrix_DD, space.matrix_DD)


def test_damaged_bytes_are_refused() -> None:
    """Bytes that were cut, lengthened, or whose matrix is not orthogonal are StoreCorrupt."""
    clear = _SMALL.to_bytes()
    damaged = [clear[:length] for length in range(len(clear))]
    damaged += [clear + b"\x00", b"X" + clear[1:], clear[:-8] + b"\xff" * 8]
    for place in (10, 100, 300):  # sign, exponent and high mantissa bits
        damaged.append(clear[:-place] + bytes([clear[-place] ^ 0xF0]) + clear[-place + 1 :])
    matrix_DD = _SMALL.matrix_DD
    head = clear[: -matrix_DD.nbytes]
    for wrong in (
        matrix_DD * (1 + 1e-9),
        np.where(np.arange(8) == 3, np.nan, matrix_DD),
        np.where(np.arange(8) == 3, 1e300, matrix_DD),
        np.zeros((8, 8)),
        np.ones((8, 8)),
    ):
        damaged.append(head + wrong.astype("<f8").tobytes())
    for each in damaged:
        with pytest.raises(StoreCorrupt, match="restore"):
            GallerySpace.from_bytes(each)


@pytest.mark.parametrize("shape", [(0, 0), (8,), (4, 8), (2, 2, 2)])
def test_a_matrix_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Only a square matrix makes a space."""
    with pytest.raises(StoreCorrupt):
        GallerySpace("space", np.zeros(shape))


def test_a_space_is_secret_and_cannot_be_changed() -> None:
    """The repr shows the id alone, and neither the matrix nor what it was made from changes it."""
    source = _SMALL.matrix_DD.copy()
    space = GallerySpace("space-1", source)
    source[:] = 0
    np.testing.assert_array_equal(space.matrix_DD, _SMALL.matrix_DD)
    assert repr(space) == "GallerySpace(id='space-1')"
    with pytest.raises(ValueError, match="read-only"):
        space.matrix_DD[0, 0] = 1.0
    assert len({GallerySpace.random(2).id for _ in range(100)}) == 100


def test_labels_that_differ_are_an_error() -> None:
    """Vectors of two models or of two spaces, or of a space and none, are never compared."""
    label = Label(FINGERPRINT, "space-1")
    label.check_same(Label(FINGERPRINT, "space-1"))
    Label(FINGERPRINT, None).check_same(Label(FINGERPRINT, None))
    with pytest.raises(ModelMismatch, match=f"model {FINGERPRINT[:12]}, got some of model b"):
        label.check_same(Label(OTHER_FINGERPRINT, "space-1"))
    for other in ("space-2", None):
        with pytest.raises(ModelMismatch, match="gallery space space-1"):
            label.check_same(Label(FINGERPRINT, other))
        with pytest.raises(ModelMismatch, match="gallery space space-1"):
            Label(FINGERPRINT, other).check_same(label)


def test_known_photos_give_the_space_away() -> None:
    """THREATS.md is right: N known pairs recover sqrt(N / 512) of random templates, 512 all."""
    cosines = mean_cosines(unit_vectors(712), num_targets=200, num_pairs=(50, 200, 512))
    assert cosines[50] == pytest.approx(math.sqrt(50 / 512), abs=0.02)
    assert cosines[200] == pytest.approx(math.sqrt(200 / 512), abs=0.02)
    assert cosines[512] > 0.9999


def test_vectors_of_few_directions_are_given_away_sooner() -> None:
    """Where a model's vectors fill 100 directions, as many known pairs recover everything."""
    directions = unit_vectors(100, seed=1)
    vectors = unit_vectors(400, seed=2, dimension=100) @ directions
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = mean_cosines(vectors, num_targets=200, num_pairs=(50, 100))
    assert 0.6 < cosines[50] < 0.9
    assert cosines[100] > 0.99
