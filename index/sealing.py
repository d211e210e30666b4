"""The one interface that every template byte passes on its way to and from the disk."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SealContext:
    """What a sealed template is bound to; it unseals in no other context.

    Attributes:
        gallery_id: opaque id of the gallery.
        subject_id: opaque id of the subject; None for a template that belongs to nobody.
        template_id: opaque id of the template.
        fingerprint: of the model that made the embedding.
    """

    gallery_id: str
    subject_id: str | None
    template_id: str
    fingerprint: str


class Sealer(Protocol):
    """Seals template bytes; implementations are thread safe."""

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the bytes to write to disk."""
        ...

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return what `seal` was given in the same context.

        Raises:
            StoreCorrupt: the bytes were changed, or belong to another context.
        """
        ...


class ClearSealer:
    """Leaves the bytes in the clear; their checksum lies in the row beside them."""

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the bytes unchanged."""
        return clear

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the bytes unchanged."""
        return sealed
