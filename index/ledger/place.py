"""Where a ledger may lie: outside the data folder, or a restore would bring back an old one."""

from pathlib import Path

from embedding.errors import SettingsInvalid


def check_outside(path: Path, *, data_folder: Path) -> None:
    """Pass a path that does not lead into the data folder, whatever links and mounts it takes.

    Args:
        path: of the ledger; need not exist.
        data_folder: need not exist.

    Raises:
        SettingsInvalid: it is the data folder or lies inside it.
    """
    folder = data_folder.resolve()
    resolved = path.resolve()
    for place in (resolved, *resolved.parents):
        # A bind mount gives one folder two names, which no resolving shows.
        if place == folder or (place.exists() and folder.exists() and place.samefile(folder)):
            raise SettingsInvalid(
                "the removal ledger lies inside the data folder, where restoring a backup would "
                "replace it; give a path outside the data folder and outside the backups"
            )
