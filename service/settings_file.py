"""Settings from a file in TOML, below those of the environment and of the command line."""

import stat
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from embedding.errors import SettingsInvalid

FILE_VARIABLE: Final = "FACEGALLERY_SETTINGS_FILE"
OTHERS_MAY_READ: Final = stat.S_IRGRP | stat.S_IROTH


def read_settings_file(
    path: Path, *, known: Collection[str], secret: Collection[str]
) -> dict[str, object]:
    """The settings of a file, by name.

    Args:
        path: of the file: one ``name = value`` a line, names as in `Settings`.
        known: the names there are.
        secret: those of them whose values nobody else may read.

    Raises:
        SettingsInvalid: there is no such file, it is not TOML, a name is not known, or it holds
            a secret and others can read it.
    """
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
        values = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"cannot read the settings in {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # The cause may quote the file, which may hold a password.
        where = f" ({error})" if isinstance(error, tomllib.TOMLDecodeError) else ""
        raise SettingsInvalid(
            f"{path} is not TOML in UTF-8{where}; write lines such as: port = 8321"
        ) from None
    if unknown := sorted(set(values) - set(known)):
        raise SettingsInvalid(
            f"unknown settings in {path}: {', '.join(unknown)}; known are: "
            f"{', '.join(sorted(known))}"
        )
    if (held := sorted(set(values) & set(secret))) and mode & OTHERS_MAY_READ:
        raise SettingsInvalid(
            f"{path} holds {' and '.join(held)}, and others can read it; chmod 600 closes it"
        )
    return values
