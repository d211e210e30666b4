"""Threads share few heaps, so that a batch's memory does not grow with their number."""

import platform
import subprocess
import sys

import pytest

_THREADS = """
import ctypes, sys, threading
from index.batch.heaps import share_heaps
if sys.argv[1] == "shared":
    share_heaps()
together = threading.Barrier(8)
def work():
    together.wait()
    ctypes.CDLL(None).malloc(5000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
ctypes.CDLL(None).malloc_stats()
"""


def _num_arenas(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, how], capture_output=True, text=True, check=True
    )
    return done.stderr.count("Arena ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has such heaps")
def test_threads_share_two_heaps() -> None:
    """However many threads there are, they allocate from two heaps; without it, from more."""
    assert _num_arenas("shared") <= 2
    assert _num_arenas("own") > 2
