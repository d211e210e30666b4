"""Sealing with AES-256-GCM; beside `index.signing` the only importer of cryptography.

A sealed piece is: 4 bytes form, 8 bytes key id, 16 bytes salt, 12 bytes nonce, then the
ciphertext with its tag of 16 bytes. What it is bound to is authenticated and not stored.

A key never encrypts by itself: a subkey is derived from it for each salt, by one block of
HKDF-Expand (RFC 5869) over form, key id and salt, which binds these as well. A sealer takes a new
random salt at its start and after `SEALS_A_SALT` seals, so that under any subkey the random
nonces stay far below the 2^32 that NIST SP 800-38D (8.3) allows: two nonces meet with a chance
of 2^-57 a salt. A copy of the process, or of its whole machine, draws other nonces. Subkeys of
salts seen before are kept, so unsealing costs a derivation a salt, not a template.
"""

import hmac
import os
import threading
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from embedding.errors import FaceGalleryError, SealKeyMissing, StoreCorrupt
from index.key_ring import KEY_ID_BYTES, KeyRing
from index.sealing import ChunkContext, SealContext, TemplateContext

FORM = b"FGS\x01"
"""How sealed bytes begin; the last byte is the version of their form."""

SEALS_A_SALT = 2**20

_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_ID_END = len(FORM) + KEY_ID_BYTES
_PREFIX_BYTES = _KEY_ID_END + _SALT_BYTES
_HEADER_BYTES = _PREFIX_BYTES + _NONCE_BYTES

OVERHEAD_BYTES = _HEADER_BYTES + _TAG_BYTES
"""How much longer sealed bytes are than clear ones."""

_MAX_KNOWN_SALTS = 4096
"""Subkeys that are kept for unsealing, a few megabytes: enough for 4 thousand million seals."""


def sealed_start(key_id: str) -> bytes:
    """Return how bytes begin that are sealed with a key."""
    return FORM + bytes.fromhex(key_id)


def key_id_of(sealed: bytes) -> str | None:
    """Return the id of the key that bytes are sealed with; None for bytes in the clear."""
    if len(sealed) < OVERHEAD_BYTES or not sealed.startswith(FORM):
        return None
    return sealed[len(FORM) : _KEY_ID_END].hex()


class AesGcmSealer:
    """Seals with a key ring's current key and unseals with any of its keys; thread safe.

    Args:
        key_ring: the keys.
    """

    def __init__(self, key_ring: KeyRing) -> None:
        self._subkeys = _Subkeys(key_ring)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(current key {self.current_key_id})"

    @property
    def encrypts(self) -> bool:
        """True."""
        return True

    @property
    def current_key_id(self) -> str:
        """Id of the key that seals."""
        return self._subkeys.current_id

    def use(self, key_ring: KeyRing) -> None:
        """Take other keys from the next call on, such as those after a rotation."""
        self._subkeys = _Subkeys(key_ring)

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the sealed bytes, `OVERHEAD_BYTES` longer; never the same twice."""
        prefix, cipher = self._subkeys.for_sealing()
        nonce = os.urandom(_NONCE_BYTES)
        return prefix + nonce + cipher.encrypt(nonce, clear, context.authenticated())

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return what `seal` was given in the same context.

        Raises:
            StoreCorrupt: the bytes were changed, or belong to another context.
            SealKeyMissing: they are sealed with a key that is not at hand, or not sealed at all.
        """
        prefix = sealed[:_PREFIX_BYTES]
        subkeys = self._subkeys
        cipher = subkeys.known.get(prefix)
        if cipher is not None:
            return _opened(sealed, cipher, context)
        cipher = subkeys.derived(prefix)
        if cipher is None:
            raise self._stranger(sealed, context)
        clear = _opened(sealed, cipher, context)
        subkeys.remember(prefix, cipher)  # Changed salts never get here.
        return clear

    def is_current(self, sealed: bytes) -> bool:
        """Return whether `seal` would use the same key; False asks for sealing it anew."""
        return sealed[:_KEY_ID_END] == sealed_start(self.current_key_id)

    def check_value(self, owner_id: str) -> bytes:
        """Return bytes for a store to keep, by which `verify` knows its keys when it opens.

        They are sealed bytes, so `is_current` tells after a rotation that they are to be made
        anew: as the last, after everything else of the owner is sealed with the new key.

        Args:
            owner_id: opaque id of the gallery or database.
        """
        return self.seal(b"", context=_check_context(owner_id))

    def verify(self, check_value: bytes, *, owner_id: str) -> None:
        """Pass the check value of an owner whose templates these keys open.

        Raises:
            StoreCorrupt: it was changed, or is another owner's.
            SealKeyMissing: it was made with a key that is not at hand.
        """
        self.unseal(check_value, context=_check_context(owner_id))

    def _stranger(self, sealed: bytes, context: SealContext) -> FaceGalleryError:
        """Return what to raise for bytes whose form or key id is not one that is known."""
        if len(sealed) < OVERHEAD_BYTES and FORM.startswith(sealed[: len(FORM)]):
            return _changed(context)  # Cut, whatever key it was sealed with.
        for cipher in self._subkeys.of_every_key(sealed):
            try:
                _opened(sealed, cipher, context)
            except StoreCorrupt:
                continue  # Not sealed with this key.
            return _changed(context)  # The damage lies in form or key id alone.
        current = self.current_key_id
        if not sealed.startswith(FORM):
            return SealKeyMissing(
                f"{_what(context)} is not sealed, but sealing is on (with key {current}); open "
                f"the store without a key, or restore it from a backup if its bytes were changed"
            )
        key_id = sealed[len(FORM) : _KEY_ID_END].hex()
        return SealKeyMissing(
            f"{_what(context)} is sealed with key {key_id}, which is not at hand (the current one "
            f"is {current}); add that key to the key file from its copy"
        )


class _Subkeys:
    """The ciphers of one key ring by what sealed bytes begin with: form, key id and salt."""

    def __init__(self, key_ring: KeyRing) -> None:
        self.current_id = key_ring.current.id
        self._secrets = {bytes.fromhex(each.id): each.secret for each in key_ring.keys}
        self._lock = threading.Lock()
        self.known: dict[bytes, AESGCM] = {}
        """Ciphers that have unsealed something before."""
        self._num_left = 0
        self._sealing: tuple[bytes, AESGCM] | None = None

    def for_sealing(self) -> tuple[bytes, AESGCM]:
        """Return what the next sealed bytes begin with, and the cipher for them."""
        with self._lock:
            if self._sealing is None or self._num_left == 0:
                key_id = bytes.fromhex(self.current_id)
                prefix = FORM + key_id + os.urandom(_SALT_BYTES)
                self._sealing = prefix, _cipher(self._secrets[key_id], prefix)
                self._num_left = SEALS_A_SALT
            self._num_left -= 1
            return self._sealing

    def derived(self, prefix: bytes) -> AESGCM | None:
        """Return the cipher, derived anew; None where the form or the key is not known."""
        secret = self._secrets.get(prefix[len(FORM) : _KEY_ID_END])
        if secret is None or not prefix.startswith(FORM):
            return None
        return _cipher(secret, prefix)

    def of_every_key(self, sealed: bytes) -> Iterator[AESGCM]:
        """Yield what the cipher would be if form and key id had been changed, for each key."""
        salt = sealed[_KEY_ID_END:_PREFIX_BYTES]
        for key_id, secret in self._secrets.items():
            yield _cipher(secret, FORM + key_id + salt)

    def remember(self, prefix: bytes, cipher: AESGCM) -> None:
        """Put a cipher among the known ones, in the place of the oldest when there are many."""
        with self._lock:
            if len(self.known) >= _MAX_KNOWN_SALTS:
                self.known.pop(next(iter(self.known)))
            self.known[prefix] = cipher


def _cipher(secret: bytes, prefix: bytes) -> AESGCM:
    return AESGCM(hmac.digest(secret, prefix + b"\x01", "sha256"))


def _opened(sealed: bytes, cipher: AESGCM, context: SealContext) -> bytes:
    if len(sealed) < OVERHEAD_BYTES:
        raise _changed(context)
    nonce = sealed[_PREFIX_BYTES:_HEADER_BYTES]
    rest = memoryview(sealed)[_HEADER_BYTES:]  # Not a copy: a piece may have many megabytes.
    try:
        return cipher.decrypt(nonce, rest, context.authenticated())
    except InvalidTag:
        raise _changed(context) from None


def _changed(context: SealContext) -> StoreCorrupt:
    return StoreCorrupt(
        f"{_what(context)} does not unseal: its bytes were changed or cut, or were sealed for "
        f"another place; restore it from a backup"
    )


def _check_context(owner_id: str) -> ChunkContext:
    return ChunkContext(purpose="key check", owner_id=owner_id, file="", chunk=0, last=True)


def _what(context: SealContext) -> str:
    match context:
        case TemplateContext(template_id=template_id):
            return f"template {template_id}"
        case ChunkContext(purpose=purpose, chunk=chunk):
            return f"piece {chunk} of a {purpose}"
