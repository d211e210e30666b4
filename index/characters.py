"""Characters that no text of a caller's may hold, wherever it is stored."""

import unicodedata

# Control characters, lone surrogates, line and paragraph separators.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Bidirectional overrides make one text look like another.
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def forbidden_in(text: str, *, besides: str = "", but: str = "") -> str | None:
    """Return the first character that may not stand in a text; None where all may.

    Args:
        text: to look through.
        besides: forbidden here, too.
        but: allowed here.
    """
    for character in text:
        if character in but:
            continue
        if (
            character in besides
            or character in _OVERRIDES
            or unicodedata.category(character) in _CATEGORIES
        ):
            return character
    return None
