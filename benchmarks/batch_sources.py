"""What `benchmarks.batch` indexes, and where."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

from embedding.model import find_model
from index.batch.build import BuildOptions, Built, build, state_path
from index.batch.models import open_model
from index.batch.sources.manifest import Manifest
from index.galleries import Galleries
from index.store.batch_state import BatchState

DATA = Path(__file__).parents[2] / "shared" / "data"
GALLERY = "people"


def listed(folder: str, most: int | None) -> tuple[Path, ...]:
    """The photos of a folder with a folder a person; some of all parts where there is a limit.

    Raises:
        SystemExit: the data is not there.
    """
    files = sorted((DATA / folder).glob("*/*.jpg"))
    if not files:
        raise SystemExit(f"this needs the face data in ../shared/data/{folder}")
    if most is None or most >= len(files):
        return tuple(files)
    return tuple(files[number * len(files) // most] for number in range(most))


@dataclass(frozen=True, slots=True)
class Job:
    """Photos of one folder, whose subjects are their folders.

    Attributes:
        name: of the folder.
        aligned: they are crops.
        files: of the photos.
    """

    name: str
    aligned: bool
    files: tuple[Path, ...]

    def write(self, path: Path) -> Path:
        """Write a manifest of them."""
        with path.open("w", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow(["path", "subject"])
            lines.writerows([str(each.relative_to(DATA)), each.parent.name] for each in self.files)
        return path


class Work:
    """A folder for data folders, and the model, as a batch opens it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.embedder = open_model(find_model(None))

    def build(self, job: Job, options: BuildOptions) -> Built:
        """Index photos into a new gallery, which is thrown away."""
        data = self.folder / "once"
        try:
            source = Manifest(job.write(self.folder / "once.csv"), root=DATA)
            with Galleries.open(data) as galleries:
                gallery = galleries.create(GALLERY, fingerprint=self.embedder.fingerprint)
                with BatchState(state_path(data, gallery), gallery_id=gallery.id) as state:
                    return build(
                        source,
                        gallery,
                        embedder=self.embedder,
                        state=state,
                        secret=galleries.secret("service"),
                        options=options,
                    )
        finally:
            shutil.rmtree(data)
