"""Erasure receipts: what was erased, signed so that anybody with the public key can check it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from embedding.errors import RequestInvalid
from index.signing import Signer, is_signed

PURGE_WITHIN_S = 30.0
"""What is removed has left the live files after about so long, unless something holds it up."""

_PURPOSE = b"FaceGallery erasure receipt 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The removal of a subject, a template or a whole gallery, as database and ledger remember it.

    Attributes:
        gallery_id: public id.
        subject_id: public id; no name is kept. None where the gallery was deleted, and for a
            template of nobody.
        num_templates: that went.
        num_subjects: likewise; of a gallery those with at least one template.
        removed_at: when it was removed; never matched since then. UTC.
        ledger_entry: number of its entry in the removal ledger, from 1 on; None without a ledger.
        final: whether the bytes are out of the live files, too: database, its log, snapshot.
        template_id: of the one template that was removed; None where it was the whole subject.
    """

    gallery_id: str
    subject_id: str | None
    num_templates: int
    num_subjects: int
    removed_at: datetime
    ledger_entry: int | None
    final: bool
    template_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A signed statement.

    Attributes:
        content: what is signed, as JSON.
        signature: in hexadecimal digits.
        public_key: that it can be checked with, in hexadecimal digits.
    """

    content: Mapping[str, Any]
    signature: str
    public_key: str


def signed_receipt(
    erasure: Erasure, *, signer: Signer, database_id: str, issued_at: datetime
) -> Receipt:
    """Return the receipt of an erasure as it stands now."""
    content = {
        **asdict(erasure),
        "database_id": database_id,
        "removed_at": erasure.removed_at.isoformat(),
        "purge_due_at": (erasure.removed_at + timedelta(seconds=PURGE_WITHIN_S)).isoformat(),
        "issued_at": issued_at.isoformat(),
    }
    return Receipt(
        content=content, signature=signer.sign(_signed(content)), public_key=signer.public_key
    )


def read_receipt(text: str) -> Receipt:
    """Return the receipt of a JSON document; a removal's whole answer may stand around it.

    Raises:
        RequestInvalid: there is none in it.
    """
    try:
        document = json.loads(text)
        document = document.get("receipt", document)
        receipt = Receipt(
            content=document["content"],
            signature=document["signature"],
            public_key=document["public_key"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestInvalid("the file holds no erasure receipt; give one as JSON") from error
    strings = isinstance(receipt.signature, str) and isinstance(receipt.public_key, str)
    if not (strings and isinstance(receipt.content, dict)):
        raise RequestInvalid("the file holds no erasure receipt; give one as JSON")
    return receipt


def is_genuine(receipt: Receipt, *, public_key: str) -> bool:
    """Return whether whoever has the private key signed exactly this.

    Args:
        receipt: to check.
        public_key: got from the service itself; that in the receipt proves nothing.
    """
    return is_signed(_signed(receipt.content), signature=receipt.signature, public_key=public_key)


def _signed(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return _PURPOSE + text.encode()
