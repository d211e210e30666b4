"""Times as whole microseconds since 1970 in UTC, as they stand in files."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return the microseconds of a time that has a time zone."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the time, in UTC.

    Raises:
        OverflowError: before the year 1 or after the year 9999.
    """
    return _EPOCH + timedelta(microseconds=microseconds)
