"""Checkpoints stand whole or not at all, are read by any number of ranks, and run nothing."""

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from embedding.errors import CheckpointInvalid
from tests.conftest import REPOSITORY
from training.checkpoint import (
    CHECKPOINTS,
    STATE_FILE,
    latest_checkpoint,
    load_class_rows,
    load_state,
    save_checkpoint,
)
from training.ranks import Ranks

NUM_CLASSES = 6
ROWS_FILE = "classes-0000000000-0000000006.pt"
CENTRES_CD = torch.arange(12.0).reshape(NUM_CLASSES, 2)


def save(
    run_folder: Path,
    step: int,
    state: Mapping[str, Any] | None = None,
    rows: Mapping[str, Tensor] | None = None,
    *,
    first: int = 0,
    stop: int = NUM_CLASSES,
) -> Path:
    """A checkpoint by a single rank."""
    return save_checkpoint(
        {"note": "some"} if state is None else state,
        {"centres": CENTRES_CD[first:stop]} if rows is None else rows,
        run_folder=run_folder,
        step=step,
        first_class=first,
        num_classes=stop - first,
        ranks=Ranks(),
    )


def add_shard(checkpoint: Path, rows: Mapping[str, Tensor], first: int, stop: int) -> None:
    """The file of one more rank, as that rank would have written it."""
    with tempfile.TemporaryDirectory() as elsewhere:
        other = save(Path(elsewhere), 0, rows=rows, first=first, stop=stop)
        name = f"classes-{first:010d}-{stop:010d}.pt"
        shutil.copy(other / name, checkpoint / name)


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """Tensors, text, numbers and nested state, to the last bit, with the step."""
    state = {
        "config": '{"some": "ä"}',
        "backbone": {"w": torch.randn(3, 4), "n": torch.tensor(7)},
        "num_updates": 12,
    }
    save(tmp_path, 30, state)
    found = load_state(tmp_path)
    assert found["step"] == 30
    assert found["config"] == state["config"]
    assert found["num_updates"] == 12
    for name, tensor in found["backbone"].items():
        assert torch.equal(tensor, state["backbone"][name])  # type: ignore[index]


def test_rows_of_classes_are_loaded(tmp_path: Path) -> None:
    """All tensors, each with the rows of the classes asked for."""
    bias = torch.randn(NUM_CLASSES)
    save(tmp_path, 1, rows={"centres": CENTRES_CD, "bias": bias})
    found = load_class_rows(tmp_path, 2, 5)
    assert set(found) == {"centres", "bias"}
    assert torch.equal(found["centres"], CENTRES_CD[2:5])
    assert torch.equal(found["bias"], bias[2:5])


def test_loaded_tensors_outlive_their_file(tmp_path: Path) -> None:
    """A run that resumes writes the next checkpoint and deletes the one it came from."""
    path = save(tmp_path, 1, {"w": torch.arange(1000.0)})
    state, rows = load_state(path), load_class_rows(path, 0, NUM_CLASSES)
    save(tmp_path, 2)
    assert not path.exists()
    assert torch.equal(state["w"], torch.arange(1000.0))
    assert torch.equal(rows["centres"], CENTRES_CD)


def test_loaded_tensors_may_be_changed(tmp_path: Path) -> None:
    """The file stays as it was."""
    path = save(tmp_path, 1, {"w": torch.ones(1000)})
    load_state(path)["w"].zero_()
    load_class_rows(path, 0, NUM_CLASSES)["centres"].zero_()
    assert torch.equal(load_state(path)["w"], torch.ones(1000))
    assert torch.equal(load_class_rows(path, 0, NUM_CLASSES)["centres"], CENTRES_CD)


def test_a_run_without_classes_has_no_file_of_them(tmp_path: Path) -> None:
    """Metric losses alone have no centres."""
    path = save(tmp_path, 1, rows={}, stop=0)
    assert names(path) == [STATE_FILE]
    assert load_class_rows(path, 0, 0) == {}


def test_two_ranks_are_read_as_one(tmp_path: Path) -> None:
    """Four ranks may go on where two stopped."""
    path = save(tmp_path, 1, rows={"centres": CENTRES_CD[:3]}, stop=3)
    add_shard(path, {"centres": CENTRES_CD[3:]}, 3, 6)
    for rank in range(4):
        first, stop = Ranks(rank=rank, world_size=4).shard(NUM_CLASSES)
        assert torch.equal(load_class_rows(path, first, stop)["centres"], CENTRES_CD[first:stop])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_classes_are_read_from_whatever_ranks_wrote(data: st.DataObject) -> None:
    """Any cuts, any range, several rows a class (sub-centres): the same rows."""
    num_classes = data.draw(st.integers(1, 20))
    num_rows = data.draw(st.integers(1, 3))
    inner = data.draw(st.sets(st.integers(1, max(1, num_classes - 1)), max_size=4))
    bounds = sorted({0, num_classes, *(cut for cut in inner if cut < num_classes)})
    first = data.draw(st.integers(0, num_classes))
    stop = data.draw(st.integers(first, num_classes))
    rows = torch.arange(num_classes * num_rows * 2).reshape(-1, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder), 1, rows={}, stop=0)
        for low, high in pairwise(bounds):
            add_shard(path, {"centres": rows[low * num_rows : high * num_rows]}, low, high)
        found = load_class_rows(path, first, stop)
    if first < stop:
        assert torch.equal(found["centres"], rows[first * num_rows : stop * num_rows])


@pytest.mark.parametrize(
    ("missing", "words"), [(0, "classes 0 to 6"), (1, "classes 2 to 6"), (2, "classes 4 to 6")]
)
def test_a_missing_shard_is_noticed(tmp_path: Path, missing: int, words: str) -> None:
    """The first, one in the middle, the last: the message says from which class on."""
    path = save(tmp_path, 1, rows={}, stop=0)
    for number in range(3):
        if number != missing:
            low = 2 * number
            add_shard(path, {"centres": CENTRES_CD[low : low + 2]}, low, low + 2)
    with pytest.raises(CheckpointInvalid, match=words):
        load_class_rows(path, 0, NUM_CLASSES)


def test_classes_beyond_the_last_are_missing(tmp_path: Path) -> None:
    """A checkpoint of fewer identities does not fit."""
    path = save(tmp_path, 1)
    with pytest.raises(CheckpointInvalid, match="fewer identities"):
        load_class_rows(path, 4, NUM_CLASSES + 1)


def test_a_run_folder_stands_for_its_last_checkpoint(tmp_path: Path) -> None:
    """Either path may be given."""
    path = save(tmp_path, 12)
    assert latest_checkpoint(tmp_path) == path
    assert path == tmp_path / CHECKPOINTS / "step-000000012"
    assert load_state(path)["step"] == load_state(tmp_path)["step"] == 12


def test_the_last_checkpoint_is_that_of_the_last_step(tmp_path: Path) -> None:
    """By number, not by time; folders with other names are none."""
    for step in (5, 40, 300):
        save(tmp_path / str(step), step)
        (tmp_path / CHECKPOINTS).mkdir(exist_ok=True)
        shutil.move(
            tmp_path / str(step) / CHECKPOINTS / f"step-{step:09d}", tmp_path / CHECKPOINTS
        )
    (tmp_path / CHECKPOINTS / "writing").mkdir()
    (tmp_path / CHECKPOINTS / "step-999").mkdir()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "step-000000300"


def test_a_run_before_its_first_checkpoint_has_none(tmp_path: Path) -> None:
    """That is no error until somebody wants to load it."""
    assert latest_checkpoint(tmp_path) is None
    with pytest.raises(CheckpointInvalid, match="no checkpoint in"):
        load_state(tmp_path)
    with pytest.raises(CheckpointInvalid, match="no checkpoint in"):
        load_class_rows(tmp_path, 0, 1)


def test_older_checkpoints_go_when_the_new_one_stands(tmp_path: Path) -> None:
    """One checkpoint of gigabytes is enough, and nothing temporary stays."""
    for step in (1, 2, 30):
        save(tmp_path, step)
    assert names(tmp_path / CHECKPOINTS) == ["step-000000030"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    """The later one counts."""
    save(tmp_path, 3, {"note": "first"})
    save(tmp_path, 3, {"note": "second"})
    assert load_state(tmp_path)["note"] == "second"


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path: Path) -> None:
    """Its half of a checkpoint is not taken over into the next."""
    writing = tmp_path / CHECKPOINTS / "writing"
    writing.mkdir(parents=True)
    (writing / "classes-0000000006-0000000009.pt").write_text("half")
    assert names(save(tmp_path, 3)) == [ROWS_FILE, STATE_FILE]
    assert names(tmp_path / CHECKPOINTS) == ["step-000000003"]


def test_an_older_checkpoint_that_cannot_go_does_not_spoil_the_new_one(tmp_path: Path) -> None:
    """The new one stands, so nobody may be told that it could not be written."""
    kept = save(tmp_path / "elsewhere", 1)
    (tmp_path / CHECKPOINTS).mkdir()
    (tmp_path / CHECKPOINTS / "step-000000001").symlink_to(kept)
    save(tmp_path, 2)
    assert load_state(tmp_path)["step"] == 2


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """The kernel refuses to let files grow further, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("num_bytes", [0, 100, 5_000, 100_000, 395_000])
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, num_bytes: int) -> None:
    """Wherever writing breaks off; the message says so, and nothing else is left."""
    save(tmp_path, 1)
    with (
        pytest.raises(CheckpointInvalid, match=r"step-000000002 .* untouched.* free some space"),
        files_of_at_most(num_bytes),
    ):
        save(tmp_path, 2, {"weights": torch.zeros(100_000)})
    assert names(tmp_path / CHECKPOINTS) == ["step-000000001"]
    assert load_state(tmp_path)["step"] == 1
    assert torch.equal(load_class_rows(tmp_path, 0, NUM_CLASSES)["centres"], CENTRES_CD)


def test_after_a_full_disk_the_same_step_can_be_saved(tmp_path: Path) -> None:
    """As the message advises."""
    save(tmp_path, 1)
    with pytest.raises(CheckpointInvalid), files_of_at_most(100):
        save(tmp_path, 2)
    save(tmp_path, 2)
    assert names(tmp_path / CHECKPOINTS) == ["step-000000002"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands where the folder belongs."""
    (tmp_path / CHECKPOINTS).write_text("in the way")
    with pytest.raises(CheckpointInvalid, match="could not write"):
        save(tmp_path, 1)


KILLED_WRITERS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from training.checkpoint import latest_checkpoint, load_class_rows, load_state, save_checkpoint
from training.ranks import Ranks

folder = Path(sys.argv[1])

def save(step):
    numbers = torch.full((20_000,), float(step))
    save_checkpoint({"numbers": numbers}, {"rows": numbers}, run_folder=folder, step=step,
                    first_class=0, num_classes=20_000, ranks=Ranks())

def save_from(step):
    while True:
        save(step)
        step += 1

save(0)
step = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        save_from(step + 1)
    time.sleep(random.uniform(0.001, 0.12))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state, rows = load_state(folder), load_class_rows(folder, 0, 20_000)["rows"]
    assert state["step"] >= step, (state["step"], step)
    step = state["step"]
    assert latest_checkpoint(folder).name == f"step-{step:09d}"
    assert (state["numbers"] == step).all() and (rows == step).all() and len(rows) == 20_000
assert step > 0
print("whole to the end")
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Writers are killed 20 times; each time the last checkpoint loads and none is lost."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WRITERS, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "whole to the end\n", done.stderr


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("form", ["torch", "pickle"])
@pytest.mark.parametrize("name", [STATE_FILE, ROWS_FILE])
def test_a_hostile_checkpoint_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, name: str, form: str
) -> None:
    """A checkpoint from a stranger may hold any pickle."""
    path, mark = save(tmp_path, 1), tmp_path / "mark"
    hostile = {"version": 2, "rows": Call(os.system, f"touch {mark}")}
    if form == "torch":
        torch.save(hostile, path / name)
    else:
        (path / name).write_bytes(pickle.dumps(hostile))
    with pytest.raises(CheckpointInvalid, match=name):
        load_state(path) if name == STATE_FILE else load_class_rows(path, 0, NUM_CLASSES)
    assert not mark.exists()


def test_nobody_is_advised_to_trust_a_hostile_checkpoint(tmp_path: Path) -> None:
    """Torch's own message says how to run the code inside; ours does not pass it on."""
    path = save(tmp_path, 1)
    torch.save({"version": 2, "note": Call(os.system, "true")}, path / STATE_FILE)
    with pytest.raises(CheckpointInvalid) as caught:
        load_state(path)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", [STATE_FILE, ROWS_FILE])
@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"PK\x03\x04", 300, -40])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, name: str, damage: bytes | int) -> None:
    """Empty, foreign and truncated files give one clear error with their name."""
    path = save(tmp_path, 1, {"weights": torch.zeros(1000)})
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[:damage] if isinstance(damage, int) else damage)
    with pytest.raises(CheckpointInvalid, match=f"{name} cannot be read as a checkpoint"):
        load_state(path) if name == STATE_FILE else load_class_rows(path, 0, NUM_CLASSES)


@pytest.mark.parametrize(
    "program",
    [b"\x80\x02.", b"\x80\x02K\x01N\x85R.", b"\x80\x02K\x01}b.", b"\x80\x02h\x07.", b"\x80\x02N"],
    ids=["empty stack", "call of a number", "state of a number", "no memo", "no end"],
)
def test_a_damaged_pickle_is_refused(tmp_path: Path, program: bytes) -> None:
    """Whatever the reader stumbles over, it is our error that comes out."""
    path = save(tmp_path, 1)
    with zipfile.ZipFile(path / STATE_FILE) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path / STATE_FILE, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, program if name.endswith("data.pkl") else data)
    with pytest.raises(CheckpointInvalid, match=r"state\.pt"):
        load_state(path)


@pytest.mark.parametrize(
    "content",
    [{"version": 1, "step": 3}, {"step": 3}, [1, 2], torch.zeros(3)],
    ids=["older", "without version", "list", "tensor"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: object) -> None:
    """What torch can read need not be a checkpoint of this version."""
    path = save(tmp_path, 1)
    torch.save(content, path / STATE_FILE)
    with pytest.raises(CheckpointInvalid, match=r"state\.pt is no checkpoint of version 3"):
        load_state(path)


@pytest.mark.parametrize(
    "content",
    [{}, {"rows": 3}, {"rows": {"centres": "some"}}, {"rows": {"centres": CENTRES_CD[:5]}}],
    ids=["no rows", "a number", "text", "a row too few"],
)
def test_rows_of_another_form_are_refused(tmp_path: Path, content: dict[str, object]) -> None:
    """Another file under the name of the classes; never fewer rows than classes."""
    path = save(tmp_path, 1)
    torch.save({"version": 2, **content}, path / ROWS_FILE)
    with pytest.raises(CheckpointInvalid, match=ROWS_FILE):
        load_class_rows(path, 0, NUM_CLASSES)


def test_the_signals_of_these_tests_are_as_they_were() -> None:
    """A limit on files sends SIGXFSZ, which Python ignores; a write then fails in order."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
