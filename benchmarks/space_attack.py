"""What a thief of one gallery learns who knows the photos of a few of its templates.

The thief has the model, so a known photo gives the vector outside the gallery's space beside the
stolen template inside it. The attack fits the best linear map back by least squares.

Shapes: N known pairs, M other stolen templates, D embedding dimension.
"""

import numpy as np
from numpy.typing import NDArray

from index.space import GallerySpace

NUM_PAIRS = (10, 25, 50, 100, 200, 400, 512)
"""How many photos the thief knows."""


def recovered(
    known_ND: NDArray[np.float32],
    stolen_ND: NDArray[np.float32],
    others_MD: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return other stolen templates outside the space, as well as known pairs give them away.

    Args:
        known_ND: (N, D) what the model makes of the known photos.
        stolen_ND: (N, D) their templates in the space.
        others_MD: (M, D) templates in the space whose photos are not known.

    Returns:
        (M, D) float64, unit length.
    """
    # The shortest solution; float32 vectors say nothing in directions a millionth as strong.
    map_DD = np.linalg.pinv(stolen_ND.astype(np.float64), rcond=1e-6) @ known_ND
    found_MD = others_MD @ map_DD
    unit_MD: NDArray[np.float64] = found_MD / np.linalg.norm(found_MD, axis=1, keepdims=True)
    return unit_MD


def mean_cosines(
    vectors: NDArray[np.float32], *, num_targets: int, num_pairs: tuple[int, ...] = NUM_PAIRS
) -> dict[int, float]:
    """Return the mean cosine of recovered and true templates for each number of known pairs.

    Args:
        vectors: (N, D) float32, unit length, of different people; the last ones are targets.
        num_targets: M.
        num_pairs: how many of the first vectors are known.
    """
    space = GallerySpace.random(vectors.shape[1])
    stolen = space.rotate(vectors)
    targets = vectors[-num_targets:]
    cosines = {}
    for num in num_pairs:
        if num > len(vectors) - num_targets:
            raise ValueError(f"{num} pairs and {num_targets} targets need more vectors")
        found = recovered(vectors[:num], stolen[:num], stolen[-num_targets:])
        cosines[num] = float(np.einsum("md,md->m", found, targets).mean())
    return cosines
