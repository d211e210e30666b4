"""Synthetic unit vectors that cluster as embeddings of faces do; millions, made in pieces.

What is imitated, and how:

- Strangers' similarities are about normal with mean 0 and deviation 0.08, as with trained
  networks, not 0.044 as with directions drawn evenly from 512 dimensions: vectors are drawn from
  a normal distribution whose variances fall exponentially from the first component to the last.
  (The engines turn vectors or compare whole ones, so the axes may be these.)
- A subject has a centre, and a template is a mix of the centre with a direction of its own. The
  share of the centre differs from template to template (good and poor photos), so that two
  templates of a subject have similarities spread over 0.55 to 0.75. Probes go down to a share
  of 0.5, so that some of the mated ones are hard: about 0.4.

Every piece has a seed of its own, so the same call gives the same vectors.

Shapes: N vectors, D dimension, S subjects.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

DIMENSION = 512
TEMPLATES_A_SUBJECT = 5

_DEVIATION = 0.08
_SHARES = (0.74, 0.87)
"""Their squares are about 0.55 and 0.75: a mated similarity is the product of two shares."""

_PROBE_SHARES = (0.5, 0.87)

_PIECE_SUBJECTS = 4000
_STRANGERS, _PROBES = 1_000_000_000, 2_000_000_000
"""Seeds from here on, apart from those of the gallery's pieces."""


def gallery_pieces(num_templates: int) -> Iterator[NDArray[np.float32]]:
    """Yield the templates of a gallery (N, D); row r of all belongs to subject r // 5."""
    left = num_templates
    for piece in range(-(-num_templates // (_PIECE_SUBJECTS * TEMPLATES_A_SUBJECT))):
        centres_SD = _centres(piece)
        random = np.random.default_rng([piece, 1])
        vectors_ND = _templates(
            np.repeat(centres_SD, TEMPLATES_A_SUBJECT, axis=0), _SHARES, random
        )
        yield vectors_ND[:left]
        left -= len(vectors_ND)


def mated_probes(subjects: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.float32]:
    """Return a new template (N, D) of each of the gallery's subjects, by number."""
    centres = np.empty((len(subjects), DIMENSION), dtype=np.float32)
    pieces = subjects // _PIECE_SUBJECTS
    for piece in np.unique(pieces):
        here = pieces == piece
        centres[here] = _centres(int(piece))[subjects[here] % _PIECE_SUBJECTS]
    return _templates(centres, _PROBE_SHARES, np.random.default_rng([_PROBES + seed]))


def strangers_probes(num: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return probes (N, D) of people who are not in the gallery."""
    return _directions(num, np.random.default_rng([_STRANGERS + seed]))


def _centres(piece: int) -> NDArray[np.float32]:
    return _directions(_PIECE_SUBJECTS, np.random.default_rng([piece, 0]))


def _templates(
    centres_ND: NDArray[np.float32], shares: tuple[float, float], random: np.random.Generator
) -> NDArray[np.float32]:
    shares_N1 = random.uniform(*shares, (len(centres_ND), 1))
    shares_N1 = shares_N1.astype(np.float32)
    own_ND = _directions(len(centres_ND), random)
    rest_N1 = np.sqrt(1 - shares_N1**2).astype(np.float32)
    return _unit(shares_N1 * centres_ND + rest_N1 * own_ND)


def _directions(num: int, random: np.random.Generator) -> NDArray[np.float32]:
    # With variances exp(-i / t) the deviation of a cosine is about 1 / sqrt(2 t).
    deviations_D = np.exp(-np.arange(DIMENSION) * _DEVIATION**2).astype(np.float32)
    return _unit(random.standard_normal((num, DIMENSION), dtype=np.float32) * deviations_D)


def _unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors_ND /= np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND))[:, np.newaxis]
    return vectors_ND
