"""A sealer whose keys lie in a file that may be rotated while processes run."""

import logging
import threading
from pathlib import Path

from embedding.errors import SealKeyMissing
from index.encryption import AesGcmSealer
from index.key_ring import KeyRing
from index.places import check_outside
from index.sealing import SealContext

logger = logging.getLogger(__name__)


class KeyFileSealer:
    """Seals with the keys of a file, and reads it again when it was changed; thread safe.

    Args:
        path: outside the data folder.
        data_folder: whose templates are sealed.

    Raises:
        SealKeyMissing: there is no such file, or no key in it.
        SettingsInvalid: it lies in the data folder, or others can read it.
    """

    def __init__(self, path: Path, *, data_folder: Path) -> None:
        check_outside(path, data_folder=data_folder, what="the key file")
        self._path = path
        self._reading = threading.Lock()
        self._read_as = self._state()
        self._sealer = AesGcmSealer(KeyRing.read(path))

    @property
    def encrypts(self) -> bool:
        """True."""
        return True

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the sealed bytes."""
        return self._sealer.seal(clear, context=context)

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return what `seal` was given in the same context; a new key is looked for in the file.

        Raises:
            StoreCorrupt: the bytes were changed, or belong to another context.
            SealKeyMissing: they are sealed with a key that is not in the file either.
        """
        try:
            return self._sealer.unseal(sealed, context=context)
        except SealKeyMissing:
            # Another process may have rotated and sealed with the new key already.
            if not self.refresh():
                raise
        return self._sealer.unseal(sealed, context=context)

    def is_current(self, sealed: bytes) -> bool:
        """Return whether the bytes are sealed with the current key."""
        return self._sealer.is_current(sealed)

    def refresh(self) -> bool:
        """Read the file again if it was changed; returns whether it was.

        Raises:
            SealKeyMissing: the file is gone or empty; the keys of before stay in use.
            SettingsInvalid: it cannot be used; the keys of before stay in use.
        """
        with self._reading:
            state = self._state()
            if state == self._read_as:
                return False
            self._sealer.use(KeyRing.read(self._path))
            self._read_as = state
        logger.info("read the key file anew; the current key is %s", self._sealer.current_key_id)
        return True

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            # What is wrong with it is said by whoever reads it.
            return (0, 0, 0)
        return (found.st_ino, found.st_size, found.st_mtime_ns)
