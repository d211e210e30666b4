"""Queues between threads end, stop and stay bounded."""

import threading
import time

import pytest

from index.batch.flow import Channel, Flow


def test_what_is_put_comes_out_in_order() -> None:
    """A channel gives what was put, in order, and ends with its last producer."""
    with Flow() as flow:
        numbers = flow.channel(Channel[int](2))

        def produce() -> None:
            for number in range(100):
                numbers.put(number)

        flow.start("producer", produce, ends=numbers)
        assert list(numbers) == list(range(100))


def test_a_producer_waits_for_room() -> None:
    """No more than its capacity is ever in a channel."""
    numbers = Channel[int](3)
    put: list[int] = []

    def produce() -> None:
        for number in range(10):
            numbers.put(number)
            put.append(number)

    thread = threading.Thread(target=produce)
    thread.start()
    time.sleep(0.05)
    assert len(put) == 3
    assert [numbers.take(1)[0] for _ in range(10)] == list(range(10))
    thread.join()


def test_a_channel_ends_with_all_of_its_producers() -> None:
    """One producer's end is not the end."""
    numbers = Channel[int](5, num_producers=2)
    numbers.end()
    numbers.put(1)
    numbers.end()
    assert list(numbers) == [1]


def test_a_batch_is_waited_for() -> None:
    """A batch is full if the rest comes in time, and is not waited for longer than that."""
    numbers = Channel[int](5)
    numbers.put(1)
    timer = threading.Timer(0.05, lambda: numbers.put(2))
    timer.start()
    assert numbers.take(2, wait_s=10.0) == [1, 2]
    numbers.put(3)
    assert numbers.take(2, wait_s=0.01) == [3]
    timer.join()


def test_an_error_in_a_thread_ends_all() -> None:
    """The error is raised at the end, whatever waits at a full or an empty channel."""
    numbers, words = Channel[int](1), Channel[str](1)

    def produce() -> None:
        while True:
            numbers.put(1)

    def fail() -> None:
        numbers.take(1)
        raise ZeroDivisionError("broken")

    def run() -> None:
        with Flow() as flow:
            flow.channel(numbers)
            flow.channel(words)
            flow.start("producer", produce, ends=numbers)
            flow.start("broken", fail, ends=words)
            words.take(1)

    with pytest.raises(ZeroDivisionError, match="broken"):
        run()


def test_an_error_of_the_caller_ends_all() -> None:
    """Threads that wait end when the caller's block fails, and its error goes on."""
    numbers = Channel[int](1)

    def produce() -> None:
        while True:
            numbers.put(1)

    def run() -> None:
        with Flow() as flow:
            flow.channel(numbers)
            flow.start("producer", produce, ends=numbers)
            raise KeyError("caller")

    before = threading.active_count()
    with pytest.raises(KeyError, match="caller"):
        run()
    assert threading.active_count() == before
