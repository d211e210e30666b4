"""A gallery as its row says, for everything in the store that works on one."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGallery:
    """A gallery's row.

    Attributes:
        row_id: never leaves the package.
        id: opaque, public.
        name: unique.
        fingerprint: of the model whose embeddings it holds.
        space_id: of the gallery space that its vectors are stored in; None for the model's own.
        sealed_space: what the sealer made of the space's matrix.
        created_at: UTC.
    """

    row_id: int
    id: str
    name: str
    fingerprint: str
    space_id: str | None
    sealed_space: bytes | None
    created_at: datetime
