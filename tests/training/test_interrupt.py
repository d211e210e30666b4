"""The first signal asks a run to stop, a second one ends it, and handlers are put back.

Signals are raised in processes of their own: a library that other tests load leaves the process
with a signal stack that is gone, and the next signal would end the whole test run.
"""

import signal
import subprocess
import sys
import threading

import pytest

from tests.conftest import REPOSITORY
from training.interrupt import SIGNALS, StopRequest

PREAMBLE = """
import signal
from training.interrupt import SIGNALS, StopRequest, leave_signals_to_parent

# A shell that starts a test run in the background makes it, and all below, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def outcome(code: str) -> tuple[int, list[str]]:
    """Exit code of a few lines of Python, and what they printed."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.split()


def present() -> list[object]:
    """What handles the signals now."""
    return [signal.getsignal(one) for one in SIGNALS]


def test_nobody_asks_unless_a_signal_comes() -> None:
    """A run that is left alone goes to its end, and the handlers are put back."""
    handlers = present()
    with StopRequest() as stop:
        assert present() != handlers
        assert not stop.is_set
    assert not stop.is_set
    assert present() == handlers


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks(number: signal.Signals) -> None:
    """Ctrl-C and a polite kill both set the flag, and nothing is raised."""
    code = f"""
with StopRequest() as stop:
    signal.raise_signal(signal.{number.name})
    print(stop.is_set)
"""
    assert outcome(code) == (0, ["True"])


def test_a_second_interrupt_is_an_ordinary_one() -> None:
    """Who presses Ctrl-C twice does not want to wait for the checkpoint."""
    code = """
with StopRequest() as stop:
    signal.raise_signal(signal.SIGINT)
    print(stop.is_set, flush=True)
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
"""
    assert outcome(code) == (0, ["True", "interrupted"])


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_kill_ends_the_process(first: signal.Signals) -> None:
    """Whichever signal came first."""
    code = f"""
with StopRequest() as stop:
    signal.raise_signal(signal.{first.name})
    print(stop.is_set, flush=True)
    signal.raise_signal(signal.SIGTERM)
    print("still here")
"""
    assert outcome(code) == (-signal.SIGTERM, ["True"])


def test_handlers_of_the_caller_are_put_back() -> None:
    """Not the system's, but those that were there."""
    code = """
signal.signal(signal.SIGTERM, lambda number, frame: print("caller", flush=True))
with StopRequest() as stop:
    signal.raise_signal(signal.SIGTERM)
    print(stop.is_set, flush=True)
    signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
"""
    assert outcome(code) == (0, ["True", "caller", "caller"])


def test_an_error_puts_handlers_back_and_goes_on() -> None:
    """The context swallows nothing."""
    handlers = present()
    with pytest.raises(ZeroDivisionError), StopRequest():
        raise ZeroDivisionError
    assert present() == handlers


def test_a_run_in_another_thread_leaves_signals_alone() -> None:
    """Python lets only the main thread set handlers; such a run just cannot be asked."""
    handlers = present()
    found: list[bool] = []

    def run() -> None:
        with StopRequest() as stop:
            found.append(stop.is_set)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
    assert present() == handlers


def test_a_worker_leaves_an_interrupt_to_its_parent() -> None:
    """Ctrl-C reaches every process of a terminal, a job's end every one of its group."""
    code = """
leave_signals_to_parent(3)
signal.raise_signal(signal.SIGINT)
signal.raise_signal(signal.SIGTERM)
print("here")
"""
    assert outcome(code) == (0, ["here"])
