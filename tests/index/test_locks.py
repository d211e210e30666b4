"""The lock that readers share."""

import threading

from index.locks import ReadersWriterLock
from tests.index.waiting import wait_until


def test_readers_hold_it_together() -> None:
    """Two readers are inside at the same time."""
    lock = ReadersWriterLock()
    inside = threading.Barrier(2, timeout=10)

    def read() -> None:
        with lock.reading():
            inside.wait()

    thread = threading.Thread(target=read)
    thread.start()
    with lock.reading():
        inside.wait()
    thread.join()
    assert not inside.broken


def test_a_writer_is_alone() -> None:
    """Nobody else is inside while one writes."""
    lock = ReadersWriterLock()
    inside = 0
    seen: list[int] = []

    def write() -> None:
        nonlocal inside
        for _ in range(200):
            with lock.writing():
                inside += 1
                seen.append(inside)
                inside -= 1

    def read() -> None:
        for _ in range(200):
            with lock.reading():
                seen.append(inside)

    threads = [threading.Thread(target=each) for each in (write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {0, 1}
    assert inside == 0


def test_a_waiting_writer_goes_before_new_readers() -> None:
    """Readers who come after the writer wait for it, so that it is not starved."""
    lock = ReadersWriterLock()
    order: list[str] = []

    def write() -> None:
        with lock.writing():
            order.append("writer")

    def read() -> None:
        with lock.reading():
            order.append("reader")

    writer, reader = threading.Thread(target=write), threading.Thread(target=read)
    with lock.reading():
        writer.start()
        wait_until(lambda: lock._num_writers_waiting > 0)
        reader.start()
        reader.join(0.05)
        assert order == []
    writer.join()
    reader.join()
    assert order == ["writer", "reader"]
