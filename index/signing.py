"""Ed25519 signatures (RFC 8032), which anybody with the public key can check."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from embedding.errors import RequestInvalid


class Signer:
    """Signs with a private key.

    Args:
        seed: 32 random bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """Return the signature, 128 hexadecimal digits."""
        return self._key.sign(message).hex()


def is_signed(message: bytes, *, signature: str, public_key: str) -> bool:
    """Return whether the owner of a public key signed the message.

    Raises:
        RequestInvalid: the public key is none.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    except ValueError as error:
        raise RequestInvalid("a public key has 64 hexadecimal digits") from error
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
