"""Names of galleries that are being filled to take another one's place.

No gallery can be given such a name, so the name itself is the mark, and it goes in the commit in
which the gallery gets the other one's name.
"""

_MARK = "~"
_SHORT = 12
"""Digits of a fingerprint in a name."""


def filling_name(name: str, fingerprint: str) -> str:
    """Return the name of what is being filled with a model to take the place of a name's."""
    return f"{name}{_MARK}{fingerprint[:_SHORT]}"


def kept_name(name: str, fingerprint: str) -> str:
    """Return the name that a gallery of a model has once another one has taken its place."""
    return f"{name}.{fingerprint[:_SHORT]}"


def is_filling(name: str) -> bool:
    """Return whether a gallery of this name is still being filled; it gives no answers."""
    return _MARK in name


def is_filling_for(name: str, of: str) -> bool:
    """Return whether a gallery of this name is being filled to take the place of another's."""
    return name.startswith(of + _MARK)
