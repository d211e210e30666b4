"""What is kept of people beside their names, in backups."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from index.backup.restoring import restore
from index.details import DetailChange, SubjectChange
from tests.index.backup.places import AFTER, back_up, change, fill, opened, people, place_in
from tests.index.clock import set_clock

_EXPIRING = 0


def test_a_backup_brings_back_details_and_nobody_who_expired_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata and terms are as they were; whose term has passed meanwhile stays away."""
    place = place_in(tmp_path)
    fill(place)
    at = datetime.now(UTC) + timedelta(hours=1)
    details = DetailChange(metadata={"badge": 17}, purpose="door", expires_at=at)
    with opened(place) as galleries:
        gallery = galleries.get("people")
        subject = gallery.find_subject(external_id=str(_EXPIRING))
        assert subject is not None
        kept = gallery.change_subject(subject.id, SubjectChange(details=details))
    back_up(place)
    change(place)
    restore(tmp_path / "backup", place, replace=True)
    with opened(place) as galleries:
        assert galleries.get("people").subject(kept.id) == kept
    set_clock(monkeypatch, timedelta(hours=2))
    restore(tmp_path / "backup", place, replace=True)
    with opened(place) as galleries:
        galleries.maintain()
    assert people(place) == AFTER - {_EXPIRING}
