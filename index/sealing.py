"""The one interface that every template byte passes on its way to and from the disk."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContext:
    """What a sealed template in the database is bound to; it unseals in no other context.

    Attributes:
        gallery_id: opaque id of the gallery.
        subject_id: opaque id of the subject; None for a template that belongs to nobody.
        template_id: opaque id of the template.
        fingerprint: of the model that made the embedding.
        space_id: of the gallery space that the vector was turned into; None for the model's own.
    """

    gallery_id: str
    subject_id: str | None
    template_id: str
    fingerprint: str
    space_id: str | None = None

    def authenticated(self) -> bytes:
        """Return the context as bytes; two contexts never have the same."""
        return _bytes(
            "template",
            self.gallery_id,
            self.subject_id,
            self.template_id,
            self.fingerprint,
            self.space_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkContext:
    """What a sealed piece of a file is bound to; it unseals in no other context.

    Attributes:
        purpose: what the file is, such as ``snapshot``.
        owner_id: opaque id of the gallery or database that the file belongs to.
        file: names the file among those of its owner.
        chunk: place of the piece in the file, from 0.
        last: whether it is the last piece, so that a shortened file is noticed.
    """

    purpose: str
    owner_id: str
    file: str
    chunk: int
    last: bool

    def authenticated(self) -> bytes:
        """Return the context as bytes; two contexts never have the same."""
        return _bytes(
            "chunk", self.purpose, self.owner_id, self.file, str(self.chunk), str(self.last)
        )


SealContext = TemplateContext | ChunkContext


class Sealer(Protocol):
    """Seals template bytes; implementations are thread safe."""

    @property
    def encrypts(self) -> bool:
        """Whether sealed bytes hide the clear ones; then no file of them is memory-mapped."""
        ...

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the bytes to write to disk."""
        ...

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return what `seal` was given in the same context.

        Raises:
            StoreCorrupt: the bytes were changed, or belong to another context.
            SealKeyMissing: they are sealed with a key that is not at hand, or not sealed at all.
        """
        ...

    def is_current(self, sealed: bytes) -> bool:
        """Return whether `seal` would use the same key; False asks for sealing it anew."""
        ...


class ClearSealer:
    """Leaves the bytes in the clear; their checksum lies beside them."""

    @property
    def encrypts(self) -> bool:
        """False."""
        return False

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the bytes unchanged."""
        return clear

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the bytes unchanged."""
        return sealed

    def is_current(self, sealed: bytes) -> bool:  # noqa: ARG002
        """True."""
        return True


def _bytes(*parts: str | None) -> bytes:
    """Return the parts, each behind its length; a third of JSON's time, at every seal."""
    text = "".join(["-" if each is None else f"{len(each)}:{each}" for each in parts])
    return text.encode("utf-8", "surrogatepass")
