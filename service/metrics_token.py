"""The token that opens ``/metrics``: a file that the service and Prometheus both read."""

import re
from pathlib import Path
from typing import Final

from embedding.errors import SettingsInvalid

MIN_CHARACTERS: Final = 32
MIN_KINDS: Final = 10
"""Random text of this length has more different characters; what people put in its place less."""
_TOKEN = re.compile(rf"[!-~]{{{MIN_CHARACTERS},512}}")


def read_token(path: Path) -> str:
    """The token in a file, without the line's end.

    It is read for every request, so that a new one counts as soon as it stands in the file.

    Raises:
        SettingsInvalid: there is no such file, or what it holds is too easy to guess.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"cannot read the token of /metrics from {path}: {type(error).__name__}; write one "
            f"line of at least {MIN_CHARACTERS} random characters into it"
        ) from error
    if not _TOKEN.fullmatch(text) or len(set(text)) < MIN_KINDS:
        raise SettingsInvalid(
            f"the token of /metrics in {path} is too short, holds odd characters or looks like a "
            f"placeholder; make one line of at least {MIN_CHARACTERS} random letters and digits"
        )
    return text
