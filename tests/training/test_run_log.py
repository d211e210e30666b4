"""What a run writes about itself, and how it goes on after a resume."""

import json
import logging
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.run_log import ANGLES_FILE, LOG_FILE, MAX_ANGLES, PHASES, AngleRecord, RunLog


def open_log(folder: Path, *, first_step: int = 0) -> RunLog:
    """The log of a run of ten steps."""
    return RunLog(folder, first_step=first_step, num_steps=10, images_per_step=4)


def write_steps(folder: Path, steps: range, *, loss: float = 1.0) -> None:
    """A stretch of a run, from its opening to its end."""
    log = open_log(folder, first_step=steps.start)
    for step in steps:
        log.add(step, {"loss": loss, "lr": 0.1}, waited_s=0.0)
    log.close()


def entries(folder: Path) -> list[dict[str, float]]:
    """All lines of the log."""
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def steps_of(folder: Path) -> list[float]:
    """The steps that the log tells of."""
    return [entry["step"] for entry in entries(folder)]


def test_a_step_is_a_line(tmp_path: Path) -> None:
    """With its number and all figures by name."""
    write_steps(tmp_path, range(2), loss=0.5)
    assert entries(tmp_path) == [{"step": n, "loss": 0.5, "lr": 0.1} for n in range(2)]


def test_a_line_is_on_disk_at_once(tmp_path: Path) -> None:
    """Who looks at a running run, or kills it, misses nothing."""
    log = open_log(tmp_path)
    log.add(0, {"loss": 1.0}, waited_s=0.0)
    assert steps_of(tmp_path) == [0]
    log.close()


def test_a_resumed_log_goes_on_behind_the_checkpoint(tmp_path: Path) -> None:
    """Steps that are done again appear once, with their new figures."""
    write_steps(tmp_path, range(6), loss=1.0)
    write_steps(tmp_path, range(4, 8), loss=2.0)
    assert steps_of(tmp_path) == list(range(8))
    assert [entry["loss"] for entry in entries(tmp_path)] == [1.0] * 4 + [2.0] * 4


def test_a_run_from_the_beginning_begins_its_log_anew(tmp_path: Path) -> None:
    """Without a checkpoint nothing of the old log belongs to the run."""
    write_steps(tmp_path, range(6), loss=1.0)
    write_steps(tmp_path, range(2), loss=2.0)
    assert [entry["loss"] for entry in entries(tmp_path)] == [2.0] * 2


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', "{", '{"step": 3, "loss": 1.0', "\0\0\0"])
def test_a_line_torn_by_a_kill_is_taken_out(tmp_path: Path, torn: str) -> None:
    """The next line does not grow out of it."""
    write_steps(tmp_path, range(3))
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write(torn)
    write_steps(tmp_path, range(3, 5))
    assert steps_of(tmp_path) == list(range(5))


def test_a_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    """A whole entry counts, even if the kill came before the end of its line."""
    write_steps(tmp_path, range(3))
    text = (tmp_path / LOG_FILE).read_text()
    (tmp_path / LOG_FILE).write_text(text.rstrip("\n"))
    write_steps(tmp_path, range(3, 5))
    assert steps_of(tmp_path) == list(range(5))


def test_nothing_but_log_and_curves_is_left(tmp_path: Path) -> None:
    """No temporary file stays behind."""
    write_steps(tmp_path, range(3))
    write_steps(tmp_path, range(2, 4))
    assert {path.name for path in tmp_path.iterdir()} == {LOG_FILE, "tensorboard"}


def test_curves_are_written(tmp_path: Path) -> None:
    """TensorBoard finds events in its folder."""
    log = open_log(tmp_path)
    log.add_curves(3, {"sharp/rank1": 0.5})
    log.close()
    assert sum(file.stat().st_size for file in (tmp_path / "tensorboard").iterdir()) > 100


def test_waiting_is_a_share_of_the_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half of the time is half; the end of the run says so."""
    log = open_log(tmp_path)
    started = time.monotonic()
    time.sleep(0.1)
    log.add(0, {"loss": 1.0}, waited_s=(time.monotonic() - started) / 2)
    assert 0 < log.waiting_share <= 0.5
    with caplog.at_level(logging.INFO):
        log.close()
    found = re.search(r"waited for data ([0-9.]+) % of the time", caplog.text)
    assert found is not None
    assert 0 < float(found[1]) <= 50


def test_a_run_that_never_waits_says_so(tmp_path: Path) -> None:
    """Zero, from the first moment on."""
    log = open_log(tmp_path)
    assert log.waiting_share == 0.0
    log.add(0, {"loss": 1.0}, waited_s=0.0)
    assert log.waiting_share == 0.0
    log.close()


def recorded(num_steps: int) -> dict[str, list[int]]:
    """By phase the steps in which angles are kept; each step's angle tells its number."""
    record = AngleRecord(num_steps)
    for step in range(num_steps):
        record.add(step, torch.tensor([math.cos(math.radians(step * 180 / num_steps))]))
    return {
        name: [round(float(degrees) * num_steps / 180) for degrees in values]
        for name, values in record.phases().items()
    }


def test_angles_are_kept_in_three_windows() -> None:
    """The first, the middle and the last twentieth of a run."""
    assert recorded(100) == {
        "start": [0, 1, 2, 3, 4],
        "middle": [47, 48, 49, 50, 51],
        "end": [95, 96, 97, 98, 99],
    }


@given(num_steps=st.integers(1, 200))
def test_every_run_fills_its_windows(num_steps: int) -> None:
    """However short it is; windows are of equal length, one step at least."""
    record = AngleRecord(num_steps)
    for step in range(num_steps):
        record.add(step, torch.zeros(1))
    lengths = {len(values) for values in record.phases().values()}
    assert lengths == {max(1, round(num_steps * 0.05))}


def test_angles_are_degrees() -> None:
    """Right at the ends too, and a cosine that rounding took beyond 1 is one of 0 degrees."""
    record = AngleRecord(1)
    record.add(0, torch.tensor([1.00001, 1.0, 0.5, 0.0, -1.0, -1.00001]))
    assert record.phases()["end"].tolist() == pytest.approx([0, 0, 60, 90, 180, 180], abs=0.1)


def test_a_run_keeps_at_most_so_many_angles() -> None:
    """The file stays small whatever the batch."""
    record = AngleRecord(1)
    for _ in range(3):
        record.add(0, torch.zeros(MAX_ANGLES // 2))
    assert {len(values) for values in record.phases().values()} == {MAX_ANGLES}


def test_phases_that_are_to_come_are_empty() -> None:
    """A run that was stopped has a start and no end."""
    record = AngleRecord(100)
    record.add(0, torch.zeros(3))
    assert {name: len(values) for name, values in record.phases().items()} == {
        "start": 3,
        "middle": 0,
        "end": 0,
    }


def test_a_restored_record_goes_on() -> None:
    """Stopped inside a window or not, the angles are those of an unbroken run."""
    cosines = torch.linspace(-1, 1, 100)
    whole, first, second = AngleRecord(100), AngleRecord(100), AngleRecord(100)
    for step in range(100):
        whole.add(step, cosines[step : step + 1])
        (first if step < 49 else second).add(step, cosines[step : step + 1])
        if step == 48:
            second.restore(first.phases())
    for name in PHASES:
        np.testing.assert_array_equal(second.phases()[name], whole.phases()[name])


def test_angles_are_saved_by_phase(tmp_path: Path) -> None:
    """One array a phase, as `phases` gives them."""
    record = AngleRecord(100)
    record.add(0, torch.tensor([0.5, -0.5]))
    record.save(tmp_path)
    with np.load(tmp_path / ANGLES_FILE) as stored:
        assert set(stored) == set(PHASES)
        for name, values in record.phases().items():
            np.testing.assert_array_equal(stored[name], values)
