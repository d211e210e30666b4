"""Sessions of the page: a signed token in a cookie stands in for a key.

A token is ``<key id>.<session id>.<end>.<code>``. Its code is an HMAC-SHA-256 under the data
folder's secret, so that every process on that secret knows it, and no table is needed. The key is
looked up at every request. Only what was signed out is remembered, until its end: an empty file
each, in the data folder.
"""

import base64
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from embedding.errors import KeyInvalid, SessionEnded, StoreError
from index.private_files import create_private, make_private_folder
from service.auth import Caller
from service.keys import Keys

logger = logging.getLogger(__name__)

FOLDER: Final = "ended-sessions"
_NUM_ID_BYTES = 16
_TOKEN = re.compile(r"([0-9a-f]{12})\.([0-9a-f]{32})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})")
_ENDED = re.compile(r"([0-9a-f]{32})\.([1-9][0-9]{0,11})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in.

    Attributes:
        caller: the holder of the key.
        expires_at: UTC; it ends then at the latest. None for a key that never expires and came
            without a session.
    """

    caller: Caller
    expires_at: datetime | None


class Sessions:
    """Begins, knows and ends sessions.

    Args:
        keys: that sessions stand for.
        secret: of the data folder.
        folder: the data folder.
        lifetime_s: seconds from the beginning to the end.
        now_s: seconds since 1970.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        secret: bytes,
        folder: Path,
        lifetime_s: int,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._secret = secret
        self._folder = folder / FOLDER
        self._lifetime_s = lifetime_s
        self._now_s = now_s

    def begin(self, key: str) -> tuple[str, Session]:
        """A new session of whoever holds the key, and its token.

        Raises:
            KeyInvalid: malformed, unknown, expired or revoked.
            KeyLimited: it has asked too often.
        """
        caller = self._keys.authenticate(key)
        end_s = int(self._now_s()) + self._lifetime_s
        if caller.expires_at is not None:
            end_s = min(end_s, int(caller.expires_at.timestamp()))
        said = f"{caller.key_id}.{secrets.token_hex(_NUM_ID_BYTES)}.{end_s}"
        logger.info("session begun key_id=%s", caller.key_id)
        return f"{said}.{self._code(said)}", Session(caller=caller, expires_at=_time(end_s))

    def resume(self, token: str) -> Session:
        """The session of a token; its key is asked of the store each time.

        Raises:
            SessionEnded: forged, signed out, too old, or its key is no longer in force.
            KeyLimited: the key has asked too often.
        """
        key_id, session_id, end_s = self._read(token)
        if self._mark(session_id, end_s).exists():
            raise _ended()
        try:
            caller = self._keys.admit(key_id)
        except KeyInvalid as error:
            raise _ended() from error
        return Session(caller=caller, expires_at=_time(end_s))

    def check(self, token: str) -> None:
        """Passes while the session of a token goes on; counts as no request.

        Raises:
            SessionEnded: as `resume`.
        """
        key_id, session_id, end_s = self._read(token)
        if self._mark(session_id, end_s).exists():
            raise _ended()
        try:
            self._keys.holder(key_id)
        except KeyInvalid as error:
            raise _ended() from error

    def end(self, token: str) -> str | None:
        """Signs out: the token is refused from now on, in every process on this data folder.

        Returns:
            The id of the key whose session it was; None where it was none any more.

        Raises:
            StoreError: it cannot be remembered.
        """
        try:
            key_id, session_id, end_s = self._read(token)
        except SessionEnded:
            return None
        mark = self._mark(session_id, end_s)
        if mark.exists():
            return None
        try:
            self._forget_old()
            make_private_folder(self._folder)
            create_private(mark, b"")
        except OSError as error:
            if mark.exists():  # another request was quicker
                return None
            raise StoreError(
                f"the end of a session cannot be written to {self._folder}: {error.strerror}"
            ) from error
        logger.info("session ended key_id=%s", key_id)
        return key_id

    def _read(self, token: str) -> tuple[str, str, int]:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise _ended()
        said = token.rpartition(".")[0]
        good = hmac.compare_digest(self._code(said), match[4])
        if not good or int(match[3]) <= self._now_s():
            raise _ended()
        return match[1], match[2], int(match[3])

    def _code(self, said: str) -> str:
        code = hmac.digest(self._secret, b"session\0" + said.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(code).decode().rstrip("=")

    def _mark(self, session_id: str, end_s: int) -> Path:
        return self._folder / f"{session_id}.{end_s}"

    def _forget_old(self) -> None:
        """Removes the marks of sessions that are past their end anyhow."""
        if not self._folder.is_dir():
            return
        now_s = self._now_s()
        for path in self._folder.iterdir():
            match = _ENDED.fullmatch(path.name)
            if match is not None and int(match[2]) <= now_s:
                with suppress(FileNotFoundError):  # another process was quicker
                    path.unlink()


def _ended() -> SessionEnded:
    return SessionEnded(
        "this session has ended: signed out, too old, or its key was revoked or expired; sign in "
        "again"
    )


def _time(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
