"""Trees of photos, and what a gallery holds of them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedding.embedder import FaceEmbedder
from index.batch.build import BuildOptions, Built, build, state_path
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import Source
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import Template
from index.store.batch_rows import FailedPhoto
from index.store.batch_state import BatchState
from tests.fakes import PEOPLE, make_photo

NAMES = tuple(PEOPLE)


def write_tree(root: Path, photos: Mapping[str, bytes]) -> Path:
    """Write photos by their paths below a folder, and give it back."""
    for path, content in photos.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def people_tree(root: Path, *, num_each: int = 2, num_people: int = 6) -> Path:
    """Write so many photos of each of so many people."""
    return write_tree(
        root,
        {
            f"{name}/{number}.png": make_photo([name], variant=number)
            for name in NAMES[:num_people]
            for number in range(num_each)
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A data folder with one gallery, opened anew for each thing that is done."""

    data: Path
    embedder: FaceEmbedder
    url: str | None = None

    def build(self, source: Source | Path, options: BuildOptions | None = None) -> Built:
        """Index a source."""
        with self.opened() as (galleries, gallery, state):
            return build(
                FolderTree(source) if isinstance(source, Path) else source,
                gallery,
                embedder=self.embedder,
                state=state,
                secret=galleries.secret("service"),
                options=options or BuildOptions(lot_size=4),
            )

    def opened(self) -> "_Opened":
        """Open galleries, gallery and state."""
        return _Opened(self)

    def templates(self) -> dict[str | None, list[Template]]:
        """The gallery's templates by the names of their subjects."""
        with self.opened() as (_, gallery, _):
            return {
                each.name: list(gallery.templates(each.id)) for each in gallery.subjects().subjects
            }

    def num_templates(self) -> dict[str | None, int]:
        """How many templates each subject has."""
        return {name: len(templates) for name, templates in self.templates().items()}

    def content(self) -> Counter[tuple[object, ...]]:
        """All that a gallery says of its photos, but for random ids and times."""
        return Counter(
            (name, each.image_hash, each.image_id, each.box, each.norm, each.quality)
            for name, templates in self.templates().items()
            for each in templates
        )

    def failed(self, source_id: int = 1) -> dict[str, str]:
        """What failed of a source: codes by path."""
        with self.opened() as (_, _, state):
            return {each.key: each.error for each in _all(state.failed(source_id))}


def _all(failures: Iterator[FailedPhoto]) -> list[FailedPhoto]:
    return list(failures)


class _Opened:
    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> tuple[Galleries, Gallery, BatchState]:
        self._galleries = Galleries.open(
            self._place.data, database_url=self._place.url, upkeep_s=3600
        )
        known = {each.name: each for each in self._galleries.list()}
        gallery = known.get("people") or self._galleries.create(
            "people", fingerprint=self._place.embedder.fingerprint
        )
        self._state = BatchState(state_path(self._place.data, gallery), gallery_id=gallery.id)
        return self._galleries, gallery, self._state

    def __exit__(self, *_: object) -> None:
        self._state.close()
        self._galleries.close()
