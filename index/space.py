"""A gallery's own space: a secret turn of its vectors, so that two stolen galleries differ.

Similarities inside a space are those outside, so search does not change; vectors of two spaces
compare to nothing. This is no encryption: THREATS.md says what a few known photos give away.

Shapes: N vectors, D embedding dimension.
"""

import secrets
import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedding.errors import ModelMismatch, StoreCorrupt
from index.checks import check_unit_vectors

_FORM = b"FGO\x01"
_HEAD = struct.Struct("<4sHI")
"""Form, length of the id in bytes, D; then the id, then the matrix in rows of little float64."""

_ORTHOGONAL_WITHIN = 1e-10
"""A thousand times what float64 leaves at D = 512, far below what float32 vectors can show."""

_BLOCK_ROWS = 8192
"""Vectors that are float64 at a time: 32 MB at D = 512."""


@dataclass(frozen=True, slots=True)
class Label:
    """What vectors must share to be compared.

    Attributes:
        fingerprint: of the model that made them.
        space_id: of the space that they were turned into; None for the model's own.
    """

    fingerprint: str
    space_id: str | None

    def check_same(self, other: Self) -> None:
        """Pass vectors that can be compared.

        Raises:
            ModelMismatch: they are of two models or of two spaces.
        """
        if self.fingerprint != other.fingerprint:
            raise ModelMismatch(
                f"expected embeddings of model {self.fingerprint[:12]}, got some of model "
                f"{other.fingerprint[:12]}; use one model for both"
            )
        if self.space_id != other.space_id:
            raise ModelMismatch(
                f"expected vectors of {_space_name(self.space_id)}, got some of "
                f"{_space_name(other.space_id)}; turn them back first, then into the other space"
            )


@dataclass(frozen=True, slots=True, eq=False)
class GallerySpace:
    """A secret orthogonal matrix of a gallery.

    Attributes:
        id: opaque; not secret.
        matrix_DD: (D, D) float64, orthogonal within 1e-10; a copy that cannot be written.

    Raises:
        StoreCorrupt: the matrix is not orthogonal.
    """

    id: str
    matrix_DD: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        matrix_DD = np.array(self.matrix_DD, dtype=np.float64, order="C")
        if not _is_orthogonal(matrix_DD):
            raise StoreCorrupt(
                f"the matrix of gallery space {self.id} is not orthogonal, so it was changed; "
                f"restore it from a backup"
            )
        matrix_DD.setflags(write=False)
        object.__setattr__(self, "matrix_DD", matrix_DD)

    @classmethod
    def random(cls, dimension: int) -> Self:
        """Return a new space, each turn as likely as any other (Haar's measure).

        The QR decomposition of normal numbers, with the signs made unique: Mezzadri, "How to
        generate random matrices from the classical compact groups", section 5.

        Args:
            dimension: D.
        """
        q_DD, r_DD = np.linalg.qr(_secret_normals(dimension))
        return cls(secrets.token_hex(8), q_DD * np.sign(np.diagonal(r_DD)))

    @property
    def dimension(self) -> int:
        """D."""
        return len(self.matrix_DD)

    def rotate(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a model's vectors in this space.

        Args:
            vectors_ND: (N, D) float32, unit length.

        Returns:
            (N, D) float32, unit length; similarities among them change by less than 1e-6.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, or another dimension.
        """
        return self._times(vectors_ND, self.matrix_DD.T)

    def unrotate(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors of this space as the model made them; arguments are `rotate`'s."""
        return self._times(vectors_ND, self.matrix_DD)

    def to_bytes(self) -> bytes:
        """Return the space as bytes that must be sealed before they are written."""
        name = self.id.encode()
        head = _HEAD.pack(_FORM, len(name), self.dimension)
        return head + name + self.matrix_DD.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, clear: bytes) -> Self:
        """Return the space that `to_bytes` wrote.

        Raises:
            StoreCorrupt: the bytes are no space, were cut, or the matrix is not orthogonal.
        """
        if len(clear) < _HEAD.size or not clear.startswith(_FORM):
            raise _damaged(f"they do not begin as one; there are {len(clear)}")
        _, num_name, dimension = _HEAD.unpack_from(clear)
        start = _HEAD.size + num_name
        expected = start + 8 * dimension * dimension
        if len(clear) != expected:
            raise _damaged(f"expected {expected} bytes, got {len(clear)}")
        name = clear[_HEAD.size : start].decode(errors="replace")
        matrix_DD = np.frombuffer(clear, "<f8", offset=start).reshape(dimension, dimension)
        return cls(name, matrix_DD)

    def _times(
        self, vectors_ND: NDArray[np.float32], matrix_DD: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        check_unit_vectors(vectors_ND, dimension=self.dimension)
        turned_ND = np.empty(vectors_ND.shape, dtype=np.float32)
        # In float64, so that a vector alone and in a batch comes out the same.
        for start in range(0, len(vectors_ND), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            turned_ND[rows] = vectors_ND[rows].astype(np.float64) @ matrix_DD
        return turned_ND


def _secret_normals(dimension: int) -> NDArray[np.float64]:
    """Return (D, D) normal numbers from the system's random source, by Box and Muller.

    A generator that is seeded once has a state that a known part of the matrix might give away.
    """
    num = dimension * dimension
    words = np.frombuffer(secrets.token_bytes(16 * num), dtype=np.uint64).reshape(2, num)
    uniform = ((words >> np.uint64(11)) + 0.5) / 2.0**53  # in (0, 1), both ends excluded
    normals = np.sqrt(-2.0 * np.log(uniform[0])) * np.cos(2.0 * np.pi * uniform[1])
    square_DD: NDArray[np.float64] = normals.reshape(dimension, dimension)
    return square_DD


def _is_orthogonal(matrix_DD: NDArray[np.float64]) -> bool:
    if matrix_DD.ndim != 2 or len(set(matrix_DD.shape)) != 1 or matrix_DD.size == 0:
        return False
    # Changed bits may give NaN or numbers whose product overflows; neither is within the limit.
    with np.errstate(all="ignore"):
        errors_DD = np.abs(matrix_DD @ matrix_DD.T - np.eye(len(matrix_DD)))
    return bool((errors_DD <= _ORTHOGONAL_WITHIN).all())


def _damaged(what: str) -> StoreCorrupt:
    return StoreCorrupt(f"these bytes are not a gallery space: {what}; restore them from a backup")


def _space_name(space_id: str | None) -> str:
    return "no gallery space" if space_id is None else f"gallery space {space_id}"
