"""Tests of the one embedding that a track is searched with."""

import numpy as np
import pytest

from embedding.errors import EmbeddingInvalid, RequestInvalid
from index.tracks import track_embedding
from tests.index.samples import BAD_EMBEDDINGS, unit_vectors

FRAMES = unit_vectors(6, seed=5)
ALL_GOOD = np.ones(6, bool)


def test_it_is_the_direction_of_the_mean() -> None:
    """Of unit length, as near to every frame as the mean is; of one frame that frame."""
    found_D = track_embedding(FRAMES, is_good_F=ALL_GOOD)
    total_D = np.sum([frame.astype(np.float64) for frame in FRAMES], axis=0)
    np.testing.assert_allclose(found_D, total_D / np.linalg.norm(total_D), atol=1e-6)
    assert found_D.dtype == np.float32
    np.testing.assert_allclose(
        track_embedding(FRAMES[:1], is_good_F=ALL_GOOD[:1]), FRAMES[0], atol=1e-6
    )


def test_frames_that_are_not_good_have_no_say() -> None:
    """The answer is that of the good frames alone."""
    good_F = np.array([True, False, True, False, False, True])
    np.testing.assert_array_equal(
        track_embedding(FRAMES, is_good_F=good_F),
        track_embedding(FRAMES[good_F], is_good_F=np.ones(3, bool)),
    )


def test_a_track_without_a_good_frame_is_refused() -> None:
    """Nothing is searched for then, nor for frames that cancel each other out."""
    with pytest.raises(RequestInvalid, match="none of the track's 6 frames"):
        track_embedding(FRAMES, is_good_F=~ALL_GOOD)
    with pytest.raises(RequestInvalid, match="none of the track's 0 frames"):
        track_embedding(FRAMES[:0], is_good_F=ALL_GOOD[:0])
    with pytest.raises(RequestInvalid, match="cancel each other out"):
        track_embedding(np.stack([FRAMES[0], -FRAMES[0]]), is_good_F=ALL_GOOD[:2])
    with pytest.raises(RequestInvalid, match="one mark for each of 6 frames"):
        track_embedding(FRAMES, is_good_F=ALL_GOOD[:5])


@pytest.mark.parametrize("name", list(BAD_EMBEDDINGS))
def test_a_bad_frame_is_refused(name: str) -> None:
    """As an enroll would refuse it."""
    bad_D = np.asarray(BAD_EMBEDDINGS[name])
    with pytest.raises(EmbeddingInvalid):
        track_embedding(bad_D[np.newaxis], is_good_F=ALL_GOOD[:1])
