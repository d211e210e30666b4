"""Annotation lists: what is read, and what is refused with its line."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from embedding.detect import Box
from embedding.errors import DataInvalid
from training.data.annotations import Annotation, annotate_folders, read_annotations

HEADER = "photo,identity,left,top,right,bottom"


def entry(photo: str, identity: str, *edges: float) -> Annotation:
    """An annotation, with a box where edges are given."""
    box = None
    if edges:
        left, top, right, bottom = edges
        box = Box(left=left, top=top, right=right, bottom=bottom)
    return Annotation(photo=photo, identity=identity, box=box)


def write_csv(folder: Path, *lines: str) -> Path:
    """A list of these lines."""
    file = folder / "list.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def cells(*values: object) -> Any:
    """A MATLAB cell array, 1 x N."""
    array = np.empty((1, len(values)), np.object_)
    for column, value in enumerate(values):
        array[0, column] = value
    return array


def write_mat(folder: Path, **variables: object) -> Path:
    """A MATLAB file of version 5 to 7."""
    file = folder / "list.mat"
    savemat(file, variables, long_field_names=True)
    return file


def imdb(num_entries: int, **changed: object) -> dict[str, object]:
    """A struct like that of IMDB-WIKI."""
    numbers = range(num_entries)
    return {
        "full_path": cells(*(f"{n:02d}/nm{n}.jpg" for n in numbers)),
        "name": cells(*(f"Name {n}" for n in numbers)),
        "celeb_names": cells("Name 0", "Name 1"),
        "celeb_id": np.array([[float(7 + n) for n in numbers]]),
        "face_location": cells(*(np.array([[11.0, 21.0, 30.0, 40.5]]) for _ in numbers)),
        "face_score": np.array([[4.0] * num_entries]),
        "second_face_score": np.array([[math.nan] * num_entries]),
        **changed,
    }


def test_csv_with_boxes(tmp_path: Path) -> None:
    """Boxes are pixels xyxy, and a line without numbers has none."""
    file = write_csv(tmp_path, HEADER, "a/1.jpg,Anna,1,2.5,30,40", "b.png, Ben ,,,,", "")
    assert read_annotations(file) == [
        entry("a/1.jpg", "Anna", 1, 2.5, 30, 40),
        entry("b.png", "Ben"),
    ]


@pytest.mark.parametrize("photo", ["photo", "path", "file"])
@pytest.mark.parametrize("identity", ["identity", "subject", "name"])
def test_csv_columns_have_other_names(tmp_path: Path, photo: str, identity: str) -> None:
    """Columns are found by any of their names, in any order and case, beside others."""
    file = write_csv(tmp_path, f"age,{identity.upper()}, {photo}", "30,Anna,a/1.jpg")
    assert read_annotations(file) == [entry("a/1.jpg", "Anna")]


def test_csv_of_a_spreadsheet(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, quotes and backslashes are no trouble."""
    file = tmp_path / "list.csv"
    file.write_bytes(b'\xef\xbb\xbfphoto,identity\r\n"a\\1.jpg","M\xc3\xbcller, Anna"\r\n')
    assert read_annotations(file) == [entry("a/1.jpg", "Müller, Anna")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["photo,left"], "line 1: needs a column identity or subject or name"),
        (["photo;identity"], "line 1: needs a column photo or path or file, separated by commas"),
        ([], "line 1: needs a column"),
        (["photo,identity,left,top"], "line 1: boxes need all of"),
        ([HEADER, "a.jpg,Anna,1,2,3,4", "b.jpg,Anna,1,2,x,4"], "line 3: 1, 2, x, 4 is no box"),
        ([HEADER, "a.jpg,Anna,1,2,,4"], "line 2: 1, 2, , 4 is no box"),
        ([HEADER, "a.jpg,Anna,1,2,1,4"], "line 2: the box 1, 2, 1, 4 is empty"),
        ([HEADER, "a.jpg,Anna,1,2,inf,4"], "line 2: a box needs finite numbers"),
        (["photo,identity", "a.jpg, "], "line 2: the person is empty"),
        (["photo,identity", "a.jpg,Anna,3"], "line 2: 3 fields, the header has 2"),
        (["photo,identity", ",Anna"], "line 2: '' is no path"),
        (["photo,identity", "/etc/a.jpg,Anna"], "line 2: .* below the folder"),
        (["photo,identity", "C:\\a.jpg,Anna"], "line 2: .* below the folder"),
        (["photo,identity", "a/../../b.jpg,Anna"], "line 2: .* below the folder"),
        (["photo,identity", "..\\b.jpg,Anna"], "line 2: .* below the folder"),
        (["photo,identity"], "holds no entries"),
    ],
)
def test_csv_mistakes_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    """A list that cannot be used is refused with the line and what is wrong in it."""
    with pytest.raises(DataInvalid, match=message):
        read_annotations(write_csv(tmp_path, *lines))


def test_missing_list_is_named(tmp_path: Path) -> None:
    """A list that is not there is a mistake of the caller's."""
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_annotations(tmp_path / "none.csv")


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_list_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever stands in a list, nothing but `DataInvalid` is raised."""
    file = tmp_path_factory.mktemp("any") / "list.csv"
    file.write_bytes(b"photo,identity\n" + data)
    try:
        read_annotations(file)
    except DataInvalid:
        return


@pytest.mark.parametrize("num_entries", [1, 3, 4])
def test_imdb_wiki_struct(tmp_path: Path, num_entries: int) -> None:
    """People are told apart by id, and boxes counted from 1 become boxes counted from 0."""
    file = write_mat(tmp_path, imdb=imdb(num_entries))
    assert read_annotations(file) == [
        entry(f"{n:02d}/nm{n}.jpg", str(7 + n), 10, 20, 30, 40.5) for n in range(num_entries)
    ]


def test_wiki_has_names_only(tmp_path: Path) -> None:
    """Without ids the names tell people apart; entries without one are left out."""
    struct = imdb(3, name=cells("Anna", "", "Ben"))
    del struct["celeb_id"]
    read = read_annotations(write_mat(tmp_path, wiki=struct))
    assert [(one.photo, one.identity) for one in read] == [
        ("00/nm0.jpg", "Anna"),
        ("02/nm2.jpg", "Ben"),
    ]


def test_imdb_entries_that_may_show_others_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No face, a second face or an empty box: left out, and counted by reason."""
    nothing, full = np.array([[1.0, 1, 1, 0]]), np.array([[1.0, 1, 9, 9]])
    struct = imdb(
        4,
        face_score=np.array([[-math.inf, 1.0, 1.0, 1.0]]),
        second_face_score=np.array([[math.nan, 2.0, math.nan, math.nan]]),
        face_location=cells(full, full, nothing, full),
    )
    read = read_annotations(write_mat(tmp_path, imdb=struct))
    assert [one.photo for one in read] == ["03/nm3.jpg"]
    for reason in ("no face", "a second face", "no person or no proper box"):
        assert f"left out 1 entries: {reason}" in caplog.text


def test_mat_array_of_structs(tmp_path: Path) -> None:
    """One struct an entry is read like one struct of columns."""
    kind = [("path", "O"), ("subject", "O"), ("left", "O"), ("top", "O"), ("right", "O")]
    people = np.empty((1, 2), [*kind, ("bottom", "O")])
    people[0, 0] = ("a.jpg", "Anna", 1.0, 2.0, 3.0, 4.0)
    people[0, 1] = ("b.jpg", 12.0, 5.0, 6.0, 7.0, 8.0)
    file = write_mat(tmp_path, people=people, other=np.eye(3))
    assert read_annotations(file) == [
        entry("a.jpg", "Anna", 1, 2, 3, 4),
        entry("b.jpg", "12", 5, 6, 7, 8),
    ]


def test_mat_box_matrix(tmp_path: Path) -> None:
    """Boxes may also be the rows of one matrix."""
    struct = imdb(2, face_location=np.array([[1.0, 1, 5, 6], [2, 2, 7, 8]]))
    boxes = [one.box for one in read_annotations(write_mat(tmp_path, imdb=struct))]
    assert boxes == [
        Box(left=0, top=0, right=5, bottom=6),
        Box(left=1, top=1, right=7, bottom=8),
    ]


def test_mat_mistakes_are_named(tmp_path: Path) -> None:
    """No struct, two of them, unequal fields, a path out of the folder: each is said."""
    with pytest.raises(DataInvalid, match="found none"):
        read_annotations(write_mat(tmp_path, numbers=np.eye(2), other={"full_path": "a.jpg"}))
    with pytest.raises(DataInvalid, match="found imdb, wiki"):
        read_annotations(write_mat(tmp_path, imdb=imdb(1), wiki=imdb(1)))
    with pytest.raises(DataInvalid, match="different numbers of entries"):
        read_annotations(write_mat(tmp_path, imdb=imdb(2, celeb_id=np.ones((1, 3)))))
    with pytest.raises(DataInvalid, match=r"entry 2: .* below the folder"):
        read_annotations(
            write_mat(tmp_path, imdb=imdb(2, full_path=cells("a.jpg", "../../b.jpg")))
        )


@pytest.mark.parametrize("at", [0, 124, 516, 600])
def test_damaged_mat_is_refused(tmp_path: Path, at: int) -> None:
    """A damaged file is refused, also one that crashes SciPy (at 516, as this was written)."""
    file = write_mat(tmp_path, imdb=imdb(1))
    data = bytearray(file.read_bytes())
    data[at : at + 8] = bytes(8)
    file.write_bytes(data[: len(data) if at else 0])
    with pytest.raises(DataInvalid, match=r"list\.mat"):
        read_annotations(file)


def test_matlab_7_3_is_refused(tmp_path: Path) -> None:
    """The message says how to save the list instead."""
    file = tmp_path / "list.mat"
    file.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataInvalid, match="save it in MATLAB as version 7"):
        read_annotations(file)


def test_folders_of_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each subfolder is a person; other files, hidden ones and empty folders are left out."""
    for name in ("Anna/1.JPG", "Anna/notes.txt", "Anna/.1.jpg", "Ben/2.webp", ".cache/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Nobody").mkdir()
    assert annotate_folders(tmp_path) == [entry("Anna/1.JPG", "Anna"), entry("Ben/2.webp", "Ben")]
    assert "1 subfolders hold no photo and are left out, such as Nobody" in caplog.text


def test_folders_without_photos_are_refused(tmp_path: Path) -> None:
    """No folder and no photo are mistakes of the caller's."""
    with pytest.raises(DataInvalid, match="is not a folder"):
        annotate_folders(tmp_path / "none")
    with pytest.raises(DataInvalid, match="no subfolder with photos"):
        annotate_folders(tmp_path)
