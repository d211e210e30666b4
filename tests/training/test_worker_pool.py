"""Worker processes: every item gets an answer, whatever becomes of its worker."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from embedding.errors import DataInvalid, TrainingError
from training.worker_pool import MAX_DEATHS_IN_A_ROW, each_in_processes


def make_square() -> Callable[[int], int]:
    """Squares numbers; dies over negative ones, refuses 1000."""

    def square(number: int) -> int:
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1000:
            raise DataInvalid("the disk is full")
        return number * number

    return square


def make_nothing() -> Callable[[int], int]:
    """Cannot start."""
    os._exit(3)


def make_refusal() -> Callable[[int], int]:
    """Refuses to start."""
    raise DataInvalid("the weights are missing")


def test_every_item_gets_its_answer() -> None:
    """All items are answered once, by two processes."""
    pairs = list(each_in_processes(range(50), make_square, num_processes=2))
    assert sorted(pairs) == [(n, n * n) for n in range(50)]


def test_death_costs_one_item() -> None:
    """An item that kills its worker has no answer; all others do, and nothing hangs."""
    items = [1, -2, 3, -4, 5, 6]
    answers = dict(each_in_processes(items, make_square, num_processes=1))
    assert answers == {1: 1, -2: None, 3: 9, -4: None, 5: 25, 6: 36}


def test_endless_deaths_end_the_run() -> None:
    """Workers that die one after the other are not started for ever."""
    with pytest.raises(TrainingError, match="use fewer processes"):
        list(each_in_processes([-1] * 100, make_square, num_processes=2))
    assert MAX_DEATHS_IN_A_ROW < 100


def test_death_at_the_start_ends_the_run() -> None:
    """A worker that cannot even start is no item's fault."""
    with pytest.raises(TrainingError, match=r"died while it started \(exit code 3\)"):
        list(each_in_processes(range(5), make_nothing, num_processes=1))


def test_errors_of_ours_end_the_run() -> None:
    """What a worker raises about its tools or its place of work is raised here."""
    with pytest.raises(DataInvalid, match="weights are missing"):
        list(each_in_processes(range(5), make_refusal, num_processes=1))
    with pytest.raises(DataInvalid, match="disk is full"):
        list(each_in_processes([1, 1000], make_square, num_processes=1))


def test_items_are_taken_one_by_one() -> None:
    """An endless iterable is no trouble, and closing ends all workers."""

    def numbers() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    taken: list[int] = []
    with contextlib.closing(each_in_processes(numbers(), make_square, num_processes=1)) as pairs:
        for seen, _ in enumerate(pairs, 1):
            assert len(taken) <= seen + 1
            if seen == 10:
                break
    assert not multiprocessing.active_children()


def test_no_items_need_no_process() -> None:
    """Nothing to do is done at once."""
    assert list(each_in_processes([], make_square, num_processes=0)) == []
