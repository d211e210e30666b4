"""What is kept of a person beside the name: metadata, and why and until when they are there.

Metadata are a small JSON object, one level deep. They are changed by a JSON merge patch (RFC
7396): what is given replaces, null takes away, what is absent stays. So a null is never stored.
"""

import enum
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from embedding.errors import RequestInvalid
from index.characters import forbidden_in

MetadataValue = str | int | float | bool
Metadata = Mapping[str, MetadataValue]

MAX_KEYS = 32
MAX_KEY_CHARACTERS = 64
MAX_BYTES = 4096
"""Of the metadata as JSON in UTF-8: some hundred bytes are usual, and a page has 1,000 people."""

MAX_INTEGER = 2**53 - 1
"""Larger ones are another number in programs that read JSON into doubles."""

MAX_PURPOSE = 200
MAX_CONSENT = 255


class Unchanged(enum.Enum):
    """Stands where a field of a change was not given."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is known of a person beside the name.

    Attributes:
        metadata: in any order of their keys.
        purpose: why the person is in the gallery.
        consent: the caller's reference to the person's consent.
        expires_at: when the person is erased, UTC; None for never.
    """

    metadata: Metadata = field(default_factory=dict, hash=False)
    purpose: str | None = None
    consent: str | None = None
    expires_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return self == NO_DETAILS

    def expired(self, now: datetime) -> bool:
        """Whether the person is to be gone at a time; at that very moment they are."""
        return self.expires_at is not None and self.expires_at <= now


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailChange:
    """What is to become of details; a field that is not given stays, None takes it away.

    Attributes:
        metadata: a merge patch; a value of None takes a key away, None all keys.
        purpose: see `Details`.
        consent: see `Details`.
        expires_at: see `Details`.
    """

    metadata: Mapping[str, MetadataValue | None] | Unchanged | None = field(
        default=UNCHANGED, hash=False
    )
    purpose: str | Unchanged | None = UNCHANGED
    consent: str | Unchanged | None = UNCHANGED
    expires_at: datetime | Unchanged | None = UNCHANGED

    def applied_to(self, known: Details) -> Details:
        """Return the details after the change.

        Raises:
            RequestInvalid: the metadata would have too many keys or bytes.
        """
        metadata = known.metadata
        if self.metadata is None:
            metadata = {}
        elif not isinstance(self.metadata, Unchanged):
            merged = {**known.metadata, **self.metadata}
            metadata = {key: value for key, value in merged.items() if value is not None}
        _check_size(metadata)
        return Details(
            metadata=metadata,
            purpose=known.purpose if isinstance(self.purpose, Unchanged) else self.purpose,
            consent=known.consent if isinstance(self.consent, Unchanged) else self.consent,
            expires_at=known.expires_at
            if isinstance(self.expires_at, Unchanged)
            else self.expires_at,
        )


NO_CHANGE = DetailChange()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectChange:
    """What is to become of a person; a field that is not given stays, None takes it away.

    Attributes:
        name: unique in the gallery.
        external_id: unique in the gallery.
        details: the rest.
    """

    name: str | Unchanged | None = UNCHANGED
    external_id: str | Unchanged | None = UNCHANGED
    details: DetailChange = NO_CHANGE


def joined(own: Details, other: Details) -> Details:
    """Return the details of one person who was two: own ones, and others that are missing.

    Of two expiries the earlier one holds: neither consent was given for longer.

    Raises:
        RequestInvalid: the metadata would have too many keys or bytes.
    """
    expiries = [at for at in (own.expires_at, other.expires_at) if at is not None]
    change = DetailChange(
        metadata={**other.metadata, **own.metadata},
        purpose=own.purpose or other.purpose,
        consent=own.consent or other.consent,
        expires_at=min(expiries, default=None),
    )
    return change.applied_to(NO_DETAILS)


def change_to(details: Details) -> DetailChange:
    """Return the change that gives somebody without details these."""
    return DetailChange(
        metadata=details.metadata,
        purpose=details.purpose,
        consent=details.consent,
        expires_at=details.expires_at,
    )


def check_details(change: DetailChange) -> DetailChange:
    """Return the change as it is stored: keys, purpose and consent in form NFC, the time in UTC.

    Messages hold nothing of what was given.

    Raises:
        RequestInvalid: a value that cannot be kept; says which rule is broken.
    """
    metadata, expires_at = change.metadata, change.expires_at
    if metadata is not None and not isinstance(metadata, Unchanged):
        metadata = _checked_metadata(metadata)
    return replace(
        change,
        metadata=metadata,
        purpose=_checked_text(change.purpose, what="purpose", longest=MAX_PURPOSE),
        consent=_checked_text(change.consent, what="consent reference", longest=MAX_CONSENT),
        expires_at=in_utc(expires_at) if isinstance(expires_at, datetime) else expires_at,
    )


def check_stored(details: Details) -> Details:
    """Return details of a file as they are stored; see `check_details`.

    Raises:
        RequestInvalid: as there, or of metadata with too many keys or bytes.
    """
    return check_details(change_to(details)).applied_to(NO_DETAILS)


def in_utc(at: datetime) -> datetime:
    """Return a time in UTC.

    Raises:
        RequestInvalid: it has no time zone, or leaves the calendar in UTC.
    """
    if at.tzinfo is None:
        raise RequestInvalid("the expiry must have a time zone, such as 2030-01-31T12:00:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise RequestInvalid("the expiry is outside the years 1 to 9999") from None


def check_future(change: DetailChange, *, now: datetime) -> None:
    """Pass an expiry that is still to come.

    Raises:
        RequestInvalid: it has passed.
    """
    if isinstance(change.expires_at, datetime) and change.expires_at <= now:
        raise RequestInvalid("the expiry has passed; to erase somebody now, remove the subject")


def metadata_text(metadata: Metadata) -> str | None:
    """Return metadata as they are stored, the same text for the same content; None for none."""
    if not metadata:
        return None
    return json.dumps(
        dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def read_metadata(text: str | None) -> Metadata:
    """Return the metadata of a text that `metadata_text` gave."""
    if text is None:
        return {}
    found: dict[str, MetadataValue] = json.loads(text)
    return found


def given_metadata(text: str) -> Mapping[str, MetadataValue | None]:
    """Return the metadata of a JSON text of a caller's, checked.

    Raises:
        RequestInvalid: no JSON object, or one that cannot be kept.
    """
    wrong = RequestInvalid(
        "metadata must be one JSON object of texts, numbers, true, false and null"
    )
    if len(text) > 8 * MAX_BYTES:
        raise RequestInvalid(f"metadata have at most {MAX_BYTES} bytes as JSON")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(given, dict):
        raise wrong
    return _checked_metadata(given)


def _checked_metadata(given: Mapping[str, object]) -> Mapping[str, MetadataValue | None]:
    """The same with keys in form NFC, each checked by itself and all together."""
    if not isinstance(given, Mapping):
        raise RequestInvalid("metadata must be one JSON object")
    if len(given) > MAX_KEYS:
        raise RequestInvalid(f"metadata have at most {MAX_KEYS} keys, but {len(given)} were given")
    checked: dict[str, MetadataValue | None] = {}
    for key, value in given.items():
        name = _checked_key(key)
        if name in checked:
            raise RequestInvalid("metadata have a key twice")
        checked[name] = _checked_value(value)
    _check_size({key: value for key, value in checked.items() if value is not None})
    return checked


def _checked_key(key: object) -> str:
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        raise RequestInvalid(f"a key of the metadata has 1 to {MAX_KEY_CHARACTERS} characters")
    name = unicodedata.normalize("NFC", key)
    if name != name.strip() or forbidden_in(name) is not None:
        raise RequestInvalid(
            "a key of the metadata holds a control character, or begins or ends with a space"
        )
    return name


def _checked_value(value: object) -> MetadataValue | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_BYTES:
            raise RequestInvalid(f"metadata have at most {MAX_BYTES} bytes as JSON")
        if forbidden_in(value, but="\n\t") is not None:
            raise RequestInvalid("a text in the metadata holds a control character")
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise RequestInvalid(f"a whole number in the metadata goes beyond {MAX_INTEGER}")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RequestInvalid("a number in the metadata is not finite")
        return value
    raise RequestInvalid(
        "the values of metadata are texts, numbers, true, false and null; no lists and no objects"
    )


def _check_size(metadata: Metadata) -> None:
    if len(metadata) > MAX_KEYS:
        raise RequestInvalid(f"metadata have at most {MAX_KEYS} keys, but would have more")
    text = metadata_text(metadata)
    if text is not None and len(text.encode()) > MAX_BYTES:
        raise RequestInvalid(f"metadata have at most {MAX_BYTES} bytes as JSON")


def _checked_text(
    text: str | Unchanged | None, *, what: str, longest: int
) -> str | Unchanged | None:
    if text is None or isinstance(text, Unchanged):
        return text
    if len(text) > 4 * longest:  # Normalising a megabyte is work that nobody asked for.
        raise RequestInvalid(f"the {what} has 1 to {longest} characters")
    text = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(text) <= longest:
        raise RequestInvalid(f"the {what} has 1 to {longest} characters")
    if forbidden_in(text) is not None:
        raise RequestInvalid(f"the {what} holds a control character")
    return text
