"""One embedding for all frames of a track: a camera's many looks at a person are one decision.

Searching frame by frame would ask about the same stranger again and again, and the FPIR is a
share of searches: of a hundred frames at 1 % one names somebody. A track is one search.

Shapes: F frames, D embedding dimension.
"""

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.checks import check_unit_vectors
from index.records import EMBEDDING_DIMENSION

_NO_DIRECTION = 1e-6


def track_embedding(
    embeddings_FD: NDArray[np.float32], *, is_good_F: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the direction (D,) of the mean of the good frames' embeddings, unit length.

    Search with it under thresholds that are calibrated for tracks: a mean of frames is nearer to
    the middle of a person than a photo, and comes nearer to strangers' middles too.

    Args:
        embeddings_FD: float32, unit length, of one model.
        is_good_F: which frames count; those of `embedding.quality` without reasons.

    Raises:
        EmbeddingInvalid: a vector that is not of unit length, or of another dimension.
        RequestInvalid: no frame is good, or the good ones cancel each other out.
    """
    check_unit_vectors(embeddings_FD, dimension=EMBEDDING_DIMENSION)
    good_F = np.asarray(is_good_F, bool)
    if good_F.shape != (len(embeddings_FD),):
        raise RequestInvalid(
            f"expected one mark for each of {len(embeddings_FD)} frames, got shape {good_F.shape}"
        )
    if not good_F.any():
        raise RequestInvalid(f"none of the track's {len(good_F)} frames is good enough")
    mean_D = embeddings_FD[good_F].mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean_D))
    if length < _NO_DIRECTION:
        raise RequestInvalid("the track's frames cancel each other out: they show several people")
    embedding_D: NDArray[np.float32] = (mean_D / length).astype(np.float32)
    return embedding_D
