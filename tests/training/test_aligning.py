"""Aligning photographs: which face is taken, what is said of the rest, and going on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.align import align_face
from embedding.detect import Box, DetectedFace, MtcnnDetector
from embedding.errors import DataInvalid, FaceNotAtBox, NoFace, RequestInvalid, SeveralFaces
from embedding.photo import PhotoLimits, decode_photo
from tests.conftest import REPOSITORY
from training.align_report import AlignReportFile
from training.aligning import REPORT_NAME, AlignReport, align_photos, choose_face

NUM_PEOPLE = 6
NUM_PORTRAITS = 24


@pytest.fixture(scope="module")
def faces(sample_photos: Mapping[str, Path]) -> list[DetectedFace]:
    """The six faces of the group photo, largest first."""
    found = MtcnnDetector().detect(decode_photo(sample_photos["t1"].read_bytes()))
    assert len(found) == NUM_PEOPLE
    return found


@pytest.fixture
def people(sample_photos: Mapping[str, Path], tmp_path: Path) -> Path:
    """Two people with a portrait each, and one with a group photo."""
    source = tmp_path / "people"
    for person, sample in (("ann", "astronaut"), ("bob", "hopper"), ("cay", "t1")):
        (source / person).mkdir(parents=True)
        shutil.copy(sample_photos[sample], source / person / sample_photos[sample].name)
    return source


def lines(target: Path) -> list[dict[str, object]]:
    """The report."""
    return [json.loads(line) for line in (target / REPORT_NAME).read_text().splitlines()]


def crops(target: Path) -> list[str]:
    """The files in the target folder, but for the report."""
    files = (path for path in target.rglob("*") if path.is_file() and path.name != REPORT_NAME)
    return sorted(path.relative_to(target).as_posix() for path in files)


def box_line(photo: str, identity: str, box: Box) -> str:
    """A line of a CSV list."""
    return f"{photo},{identity},{box.left},{box.top},{box.right},{box.bottom}"


def write_list(folder: Path, *rows: str) -> Path:
    """A CSV list with boxes."""
    file = folder / "list.csv"
    file.write_text("\n".join(["photo,identity,left,top,right,bottom", *rows]))
    return file


def test_one_face_a_photo(people: Path, tmp_path: Path, faces: list[DetectedFace]) -> None:
    """Portraits become the crops that serving would cut; several faces fail, unless asked for."""
    target = tmp_path / "crops"
    report = align_photos(people, target, num_processes=2)
    assert report == AlignReport(num_done=2, num_skipped=0, failures=Counter({"several_faces": 1}))
    assert crops(target) == ["ann/astronaut.png", "bob/grace_hopper.png"]
    photo = decode_photo((people / "bob" / "grace_hopper.jpg").read_bytes())
    (face,) = MtcnnDetector().detect(photo)
    with Image.open(target / "bob" / "grace_hopper.png") as crop:
        difference = np.abs(np.asarray(crop, int) - align_face(photo, face.landmarks))
    assert difference.max() <= 2

    assert align_photos(people, target, num_processes=1) == AlignReport(
        num_done=0, num_skipped=3, failures=Counter()
    )
    report = align_photos(people, target, num_processes=1, retry_failed=True, largest=True)
    assert report == AlignReport(num_done=1, num_skipped=2, failures=Counter())
    group = decode_photo((people / "cay" / "t1.jpg").read_bytes())
    with Image.open(target / "cay" / "t1.png") as crop:
        difference = np.abs(np.asarray(crop, int) - align_face(group, faces[0].landmarks))
    assert difference.mean() <= 1


def test_list_with_boxes(people: Path, tmp_path: Path, faces: list[DetectedFace]) -> None:
    """Each box of a group photo gives its own face; empty places and missing photos fail."""
    group = "cay/t1.jpg"
    nowhere = Box(left=0, top=0, right=30, bottom=30)
    rows = [box_line(group, f"person {n}", face.box) for n, face in enumerate(faces)]
    rows += [box_line(group, "person 0", faces[1].box), box_line(group, "nobody", nowhere)]
    rows += ["bob/grace_hopper.jpg,../bob,,,,", "bob/gone.jpg,bob,,,,", rows[0]]
    target = tmp_path / "crops"
    report = align_photos(
        people, target, annotations=write_list(tmp_path, *rows), num_processes=1, jpeg=True
    )
    assert report.num_done == NUM_PEOPLE + 2
    assert report.failures == {"face_not_at_box": 1, "missing": 1}
    assert crops(target) == [
        "%2E.%2Fbob/grace_hopper.jpg",
        "person 0/t1-2.jpg",
        "person 0/t1.jpg",
        *(f"person {n}/t1.jpg" for n in range(1, NUM_PEOPLE)),
    ]
    seen = {Path(target / name).read_bytes() for name in crops(target)}
    assert len(seen) == NUM_PEOPLE + 1
    again = align_photos(
        people, target, annotations=tmp_path / "list.csv", num_processes=1, jpeg=True
    )
    assert again == AlignReport(num_done=0, num_skipped=10, failures=Counter())


def test_every_failure_has_its_reason(sample_photos: Mapping[str, Path], tmp_path: Path) -> None:
    """Photos that cannot be used are in the report with a code, and the others are made."""
    person = tmp_path / "people" / "ann"
    person.mkdir(parents=True)
    with Image.open(sample_photos["hopper"]) as photo:
        photo.convert("RGB").save(person / "good.jpg")
        photo.convert("RGB").resize((70, 82)).save(person / "small.png")
    data = (person / "good.jpg").read_bytes()
    (person / "cut.jpg").write_bytes(data[: len(data) // 2])
    (person / "empty.jpg").touch()
    (person / "folder.jpg").mkdir()
    with (person / "huge.jpg").open("wb") as file:
        file.truncate(PhotoLimits().max_bytes + 1)
    Image.new("RGB", (200, 200)).save(person / "nobody.png")
    Image.new("1", (8000, 7000)).save(person / "wide.png")
    report = align_photos(tmp_path / "people", tmp_path / "crops", num_processes=1)
    reasons = {line["photo"]: line.get("reason") for line in lines(tmp_path / "crops")}
    assert reasons == {
        "ann/cut.jpg": "photo_unreadable",
        "ann/empty.jpg": "photo_unreadable",
        "ann/folder.jpg": "missing",
        "ann/good.jpg": None,
        "ann/huge.jpg": "photo_too_large",
        "ann/nobody.png": "no_face",
        "ann/small.png": "too_small",
        "ann/wide.png": "photo_too_many_pixels",
    }
    assert report.num_done == 1


def test_equal_names_get_numbers(people: Path, tmp_path: Path) -> None:
    """Photos that differ only in their suffix give different crops, the same in a later run."""
    shutil.copy(people / "bob" / "grace_hopper.jpg", people / "bob" / "grace_hopper.jpeg")
    shutil.rmtree(people / "cay")
    target = tmp_path / "crops"
    align_photos(people, target, num_processes=1)
    assert crops(target) == [
        "ann/astronaut.png",
        "bob/grace_hopper-2.png",
        "bob/grace_hopper.png",
    ]
    shutil.copy(people / "bob" / "grace_hopper.jpg", people / "bob" / "grace_hopper.JPG")
    assert align_photos(people, target, num_processes=1).num_done == 1
    assert "bob/grace_hopper-3.png" in crops(target)
    assert len(lines(target)) == 4


SCRIPT = """
import signal
import sys
from pathlib import Path
from training.aligning import align_photos

# A shell that starts a test run in the background makes it, and all below, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
align_photos(Path(sys.argv[1]), Path(sys.argv[2]), num_processes=2)
"""


@pytest.fixture
def many(sample_photos: Mapping[str, Path], tmp_path: Path) -> Path:
    """24 small portraits of four people, two of them showing nobody."""
    with Image.open(sample_photos["hopper"]) as photo:
        portrait = photo.convert("RGB").resize((256, 300))
    for n in range(NUM_PORTRAITS):
        file = tmp_path / "people" / f"p{n % 4}" / f"{n}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        (Image.new("RGB", (256, 300)) if n % 10 == 7 else portrait).save(file)
    return tmp_path / "people"


def start(source: Path, target: Path, *, num_lines: int) -> "subprocess.Popen[str]":
    """A process that aligns, and has written some lines of its report."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(source), str(target)],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    report, deadline = target / REPORT_NAME, time.monotonic() + 60
    while not report.exists() or report.read_bytes().count(b"\n") < num_lines:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def test_killed_run_goes_on(many: Path, tmp_path: Path) -> None:
    """After SIGKILL midway and a torn line, the rerun gives every photo exactly one result."""
    target = tmp_path / "crops"
    process = start(many, target, num_lines=5)
    process.kill()
    process.communicate()
    num_before = len((target / REPORT_NAME).read_bytes().splitlines())
    assert num_before < NUM_PORTRAITS
    with (target / REPORT_NAME).open("ab") as file:
        file.write(b'{"photo": "p3/9')
    (target / ".align-1.partial").touch()
    report = align_photos(many, target, num_processes=2)
    assert report.num_done + report.failures.total() + report.num_skipped == NUM_PORTRAITS
    assert report.num_skipped >= num_before
    photos = [line["photo"] for line in lines(target)]
    assert sorted(map(str, photos)) == sorted(f"p{n % 4}/{n}.jpg" for n in range(NUM_PORTRAITS))
    made = [str(line["crop"]) for line in lines(target) if line["status"] == "ok"]
    assert sorted(made) == crops(target)
    assert len(made) == NUM_PORTRAITS - 2


def test_interrupted_run_ends_cleanly(many: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes, ends them, and leaves only whole crops."""
    target = tmp_path / "crops"
    process = start(many, target, num_lines=4)
    os.killpg(process.pid, signal.SIGINT)
    # Ends when nobody holds the pipe any more, no worker either.
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert all(name.endswith(".png") for name in crops(target))
    assert align_photos(many, target, num_processes=2).num_skipped >= 4


def test_crop_without_a_line_is_done(many: Path, tmp_path: Path) -> None:
    """A crop whose line a kill prevented is not made again, and gets its line."""
    crop = tmp_path / "crops" / "p0" / "0.png"
    crop.parent.mkdir(parents=True)
    crop.write_bytes(b"made before")
    for n in range(1, NUM_PORTRAITS):
        (many / f"p{n % 4}" / f"{n}.jpg").unlink()
    report = align_photos(many, tmp_path / "crops", num_processes=1)
    assert (report.num_done, report.num_skipped) == (0, 1)
    assert crop.read_bytes() == b"made before"
    assert lines(tmp_path / "crops")[0]["status"] == "ok"


def test_one_run_at_a_time(people: Path, tmp_path: Path) -> None:
    """A target folder that another run writes is refused."""
    target = tmp_path / "crops"
    target.mkdir()
    with AlignReportFile(target / REPORT_NAME), pytest.raises(DataInvalid, match="another run"):
        align_photos(people, target, num_processes=1)


def test_foreign_line_in_the_report_is_named(people: Path, tmp_path: Path) -> None:
    """A whole line that is none of ours is a mistake, unlike a torn last one."""
    target = tmp_path / "crops"
    target.mkdir()
    (target / REPORT_NAME).write_text('{"status": "ok"}\n')
    with pytest.raises(DataInvalid, match="line 1 is no line"):
        align_photos(people, target, num_processes=1)


def test_crops_that_cannot_be_written_end_the_run(people: Path, tmp_path: Path) -> None:
    """A full or broken disk is no photo's fault and goes into no report."""
    target = tmp_path / "crops"
    target.mkdir()
    (target / "ann").touch()
    with pytest.raises(DataInvalid, match="cannot be written"):
        align_photos(people, target, num_processes=1)
    assert lines(target) == []


def test_mistakes_are_named(people: Path, tmp_path: Path) -> None:
    """No process, no photos, or crops among the photos."""
    with pytest.raises(RequestInvalid, match="at least one process"):
        align_photos(people, tmp_path / "crops", num_processes=0)
    with pytest.raises(DataInvalid, match="is not a folder"):
        align_photos(tmp_path / "none", tmp_path / "crops", num_processes=1)
    with pytest.raises(DataInvalid, match="inside the folder of photos"):
        align_photos(people, people / "crops", num_processes=1)
    assert not (tmp_path / "crops").exists()


def test_choosing_a_face() -> None:
    """The best overlap of at least 0.3 for a box; without one the only or the largest face."""
    large, small = (
        DetectedFace(
            box=Box(left=left, top=0, right=left + side, bottom=side),
            landmarks=np.zeros((5, 2), np.float32),
            confidence=1.0,
        )
        for left, side in ((0.0, 100.0), (200.0, 50.0))
    )
    both = [large, small]
    assert choose_face(both, small.box, largest=False) is small
    # Shifted by half: a third of the union is common.
    shifted = Box(left=225, top=0, right=275, bottom=50)
    assert choose_face(both, shifted, largest=False) is small
    with pytest.raises(FaceNotAtBox):
        choose_face(both, Box(left=230, top=0, right=280, bottom=50), largest=True)
    with pytest.raises(SeveralFaces):
        choose_face(both, None, largest=False)
    assert choose_face(both, None, largest=True) is large
    assert choose_face([small], None, largest=False) is small
    with pytest.raises(NoFace):
        choose_face([], None, largest=True)


@pytest.mark.data
def test_ordinary_photos(shared_data: Path, tmp_path: Path) -> None:
    """Of ordinary photos nearly all give a crop of the largest face."""
    for person in sorted((shared_data / "photos").iterdir())[:2]:
        shutil.copytree(person, tmp_path / "people" / person.name)
    report = align_photos(tmp_path / "people", tmp_path / "crops", num_processes=2, largest=True)
    assert report.num_done >= 0.9 * (report.num_done + report.failures.total()) > 0
