"""Where files may lie that must not share the fate of the data: keys, the removal ledger."""

from pathlib import Path

from embedding.errors import SettingsInvalid


def check_outside(path: Path, *, data_folder: Path, what: str) -> None:
    """Pass a path that does not lead into the data folder, whatever links and mounts it takes.

    A backup of the folder would take a key along with what it seals, and a restore would replace
    the removal ledger by an old one. A symbolic link in the folder is refused, too, wherever it
    leads.

    Args:
        path: need not exist.
        data_folder: need not exist.
        what: lies there, for the message.

    Raises:
        SettingsInvalid: the path is the data folder or lies inside it.
    """
    folder = data_folder.resolve()
    named = path.parent.resolve() / path.name
    for place in {named, path.resolve()}:
        if any(_is_same(each, folder) for each in (place, *place.parents)):
            raise SettingsInvalid(
                f"{what} {path} lies inside the data folder {data_folder}, which backups copy "
                f"and a restore replaces; give a path outside the data folder and its backups"
            )


def _is_same(path: Path, other: Path) -> bool:
    # Two paths may be one folder, which no resolving shows: a bind mount, or letters of another
    # case.
    return path == other or (path.exists() and other.exists() and path.samefile(other))
