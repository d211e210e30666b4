"""A path becomes a store: identity folders, InsightFace records or tar shards."""

from pathlib import Path

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore
from training.data.identity_folder import IdentityFolder
from training.data.record_file import RecordFile
from training.data.tar_shards import TarShards


def open_store(path: Path) -> CropStore:
    """The crops at a path, by what lies there.

    Raises:
        DataInvalid: nothing there, or nothing that is known.
    """
    if path.is_file():
        if path.suffix != ".rec":
            raise DataInvalid(f"{path} is no .rec file; give a folder of identities or of tars")
        return RecordFile(path)
    if path.is_dir():
        if any(path.glob("*.rec")):
            return RecordFile(path)
        # Compressed ones, too: the store says what to do with them.
        if any(one.is_file() for one in path.glob("*.tar*")) or any(path.glob("*.tgz")):
            return TarShards(path)
    return IdentityFolder(path)
