"""A manifest gives its photos with their subjects, and loses no line without saying so."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.batch.sources.manifest import Manifest
from index.batch.sources.opening import open_source
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, SubjectKey
from tests.fakes import make_photo
from tests.index.batch.samples import Place, write_tree

PHOTO = b"what a photo holds is not looked at here"


def manifest(tree: Path, content: str | bytes, *, name: str = "list.csv") -> Path:
    """Write a manifest beside photos."""
    path = tree / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def photos_of(path: Path, rules: SourceRules | None = None) -> dict[str, SubjectKey]:
    """The subjects of the photos that are listed, by key."""
    photos = Manifest(path, rules=rules).photos()
    return {each.key: each.subject for each in photos if isinstance(each, SourcePhoto)}


def skips_of(path: Path, rules: SourceRules | None = None) -> dict[str, str]:
    """What is left out: codes by key."""
    photos = Manifest(path, rules=rules).photos()
    return {each.key: each.error for each in photos if isinstance(each, Skip)}


@pytest.fixture
def photos(tree: Path) -> Path:
    """Two files to list."""
    return write_tree(tree, {"a/1.jpg": PHOTO, "Zoë, B.dat": PHOTO})


def test_csv(photos: Path) -> None:
    """Columns stand in any order; a photo's file may have any name, quoted where it must be."""
    path = manifest(
        photos, 'Subject,path,external_id,camera\nAnn,a/1.jpg,7,left\n,"Zoë, B.dat",8,\n'
    )
    assert photos_of(path) == {
        "a/1.jpg": SubjectKey(name="Ann", external_id="7"),
        "Zoë, B.dat": SubjectKey(external_id="8"),
    }
    assert skips_of(path) == {}


def test_json_lines(photos: Path) -> None:
    """Each line is an object; fields beside those of the photo are its metadata."""
    lines = [
        {"path": "./a//1.jpg", "name": "Ann", "camera": "left", "year": 2019},
        {"path": "Zoë, B.dat", "subject": "Zoë", "external_id": None},
    ]
    text = "\n\n".join(json.dumps(each) for each in lines)
    path = manifest(photos, text, name="list.jsonl")
    assert photos_of(path) == {
        "a/1.jpg": SubjectKey(name="Ann"),
        "Zoë, B.dat": SubjectKey(name="Zoë"),
    }
    first, second = Manifest(path).photos()
    assert isinstance(first, SourcePhoto)
    assert isinstance(second, SourcePhoto)
    assert json.loads(first.metadata or "") == {"camera": "left", "year": 2019}
    assert second.metadata is None


def test_a_photo_is_that_of_its_file(photos: Path) -> None:
    """Size, time and bytes are the file's."""
    os.utime(photos / "a/1.jpg", ns=(5, 7))
    path = manifest(photos, "path,subject\na/1.jpg,Ann\n")
    photo = next(Manifest(path).photos())
    assert isinstance(photo, SourcePhoto)
    assert (photo.size_bytes, photo.mtime_ns, photo.read(4)) == (len(PHOTO), 7, PHOTO[:4])


def test_a_mark_at_the_start_is_no_part_of_the_header(photos: Path) -> None:
    """Files of spreadsheets begin with a byte order mark and end lines with CR LF."""
    path = manifest(photos, b"\xef\xbb\xbfpath,subject\r\na/1.jpg,Ann\r\n")
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}


def test_paths_can_be_of_another_folder(photos: Path, tmp_path: Path) -> None:
    """A manifest that lies elsewhere says where its photos are."""
    path = tmp_path / "list.csv"
    path.write_text("path,subject\na/1.jpg,Ann\n")
    assert skips_of(path) == {"a/1.jpg": "missing"}
    found = list(Manifest(path, root=photos).photos())
    assert isinstance(found[0], SourcePhoto)
    assert Manifest(path).address != Manifest(path, root=photos).address


def test_files_that_cannot_be_photos(photos: Path) -> None:
    """What is missing, no file, or of nobody is named with its reason; the others are given."""
    (photos / "pipe").mkdir()
    path = manifest(
        photos,
        "path,subject\ngone.jpg,Ann\na/1.jpg/x.jpg,Ann\npipe,Ann\na/1.jpg,\na/1.jpg,a/b\n"
        "a/1.jpg,Ann\n",
    )
    assert skips_of(path) == {
        "gone.jpg": "missing",
        "a/1.jpg/x.jpg": "missing",
        "pipe": "no_file",
        "a/1.jpg": "name_invalid",
    }
    assert len(list(Manifest(path).photos())) == 6
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}


def test_paths_that_lead_out(photos: Path, tmp_path: Path) -> None:
    """Absolute paths, two dots, and links out of the folder are refused unless allowed."""
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(PHOTO)
    (photos / "link.jpg").symlink_to(outside)
    path = manifest(
        photos, f"path,subject\n{outside},A\n../outside.jpg,A\na/../a/1.jpg,A\nlink.jpg,A\n"
    )
    assert set(skips_of(path).values()) == {"outside"}
    assert len(skips_of(path)) == 4
    assert len(photos_of(path, SourceRules(outside=True))) == 4


def test_bytes_that_are_no_text(photos: Path) -> None:
    """A line in another encoding is left out alone."""
    path = manifest(photos, b"path,subject\na/1.jpg,Zo\xeb\na/1.jpg,Ann\n")
    assert skips_of(path) == {"line 2": "bad_encoding"}
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}
    path = manifest(
        photos,
        b'{"path": "\xff"}\n{"path": "\\ud800"}\n{"path": "a/1.jpg", "name": "Ann"}',
        name="list.jsonl",
    )
    assert skips_of(path) == {"line 1": "bad_encoding", "line 2": "bad_encoding"}
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}


@pytest.mark.parametrize(
    "line",
    [
        "a/1.jpg",
        "a/1.jpg,Ann,more",
        'a/1.jpg,"A"nn',
        ",Ann",
        "a/1.jpg," + "x" * 200_000,
        "a\0.jpg,Ann",
    ],
)
def test_lines_that_are_no_csv(photos: Path, line: str) -> None:
    """A line that cannot be understood is left out with its number, and the next one is read."""
    path = manifest(photos, f"path,subject\n{line}\na/1.jpg,Ann\n")
    assert skips_of(path) == {"line 2": "bad_line"}
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}


def test_a_quote_that_never_ends(photos: Path) -> None:
    """What an open quote swallows is named with its first and last line."""
    path = manifest(photos, 'path,subject\na/1.jpg,"Ann\na/1.jpg,Ben\n')
    assert skips_of(path) == {"lines 2 to 3": "bad_line"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"path": 5, "subject": "Ann"}',
        '{"path": "a/1.jpg", "path": "b.jpg", "subject": "Ann"}',
        '{"path": "a/1.jpg", "subject": "Ann", "name": "Ben"}',
        '{"path": "a/1.jpg", "subject": "Ann", "x": NaN}',
        '{"subject": "Ann"}',
        "[" * 100_000,
        '{"path": "' + "x" * (3 << 20) + '"}',
    ],
)
def test_lines_that_are_no_objects(photos: Path, line: str) -> None:
    """As in CSV; a line of megabytes is not even parsed."""
    path = manifest(
        photos, f'{line}\n{{"path": "a/1.jpg", "subject": "Ann"}}\n', name="list.ndjson"
    )
    assert skips_of(path) == {"line 1": "bad_line"}
    assert photos_of(path) == {"a/1.jpg": SubjectKey(name="Ann")}


@pytest.mark.parametrize(
    "header",
    [b"", b"photo,subject\n", b"path,path\n", b"path,subject,name\n", '"path'.encode("utf-16")],
)
def test_a_header_that_says_nothing(tree: Path, header: bytes) -> None:
    """A file without usable columns is refused as a whole."""
    with pytest.raises(RequestInvalid):
        Manifest(manifest(tree, header))


def test_no_such_manifest(tree: Path) -> None:
    """A file that is missing, or of another kind, is refused."""
    for name in ("gone.csv", "gone.jsonl", "gone.xml"):
        with pytest.raises(RequestInvalid):
            open_source(tree / name, rules=SourceRules())
    with pytest.raises(RequestInvalid, match="root"):
        Manifest(manifest(tree, "path\n"), root=tree / "gone")
    with pytest.raises(RequestInvalid, match="manifest"):
        open_source(tree, root=tree, rules=SourceRules())


@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any content gives photos and skips, or one error."""
    folder = tmp_path_factory.getbasetemp()
    for name, start in (("any.csv", b"path,subject\n"), ("any.jsonl", b"")):
        path = manifest(folder, start + content, name=name)
        try:
            source = Manifest(path)
        except RequestInvalid:
            continue
        assert all(isinstance(each, Skip | SourcePhoto) for each in source.photos())


def test_a_gallery_of_a_manifest(place: Place, tree: Path) -> None:
    """Photos go to the subjects of their lines; what comes twice counts once and is named."""
    people = {f"{number}.png": make_photo([name]) for number, name in enumerate(("ann", "ben"))}
    write_tree(tree, people)
    path = manifest(tree, "path,subject\n0.png,Ann\n1.png,Ben\n0.png,Ben\n2.png,Ann\n")
    built = place.build(Manifest(path))
    assert place.num_templates() == {"Ann": 1, "Ben": 1}
    assert built.tally.failures == {"repeated": 1, "missing": 1}
    assert place.failed() == {"0.png (again)": "repeated", "2.png": "missing"}


def test_subjects_that_contradict(place: Place, tree: Path) -> None:
    """A name under two external ids is one subject's; the other's photos fail, and say why."""
    write_tree(tree, {f"{n}.png": make_photo([n]) for n in ("ann", "ben", "cat")})
    path = manifest(
        tree, "path,subject,external_id\nann.png,Ann,1\nben.png,Ann,2\ncat.png,Cat,3\n"
    )
    place.build(Manifest(path))
    assert place.num_templates() == {"Ann": 1, "Cat": 1}
    assert place.failed() == {"ben.png": "subject_exists"}


def test_what_a_repaired_manifest_no_longer_has_is_no_failure(place: Place, tree: Path) -> None:
    """A run lists what failed of the source as it is now."""
    write_tree(tree, {"ann.png": make_photo(["ann"])})
    path = manifest(tree, "path,subject\ngone.png,Ann\nann.png,Ann\n")
    first = place.build(Manifest(path))
    manifest(tree, "path,subject\nann.png,Ann\n")
    second = place.build(Manifest(path))
    with place.opened() as (_, _, state):
        assert [each.key for each in state.failed(1, run=first.run)] == ["gone.png"]
        assert list(state.failed(1, run=second.run)) == []
