"""Processes that are killed, for tests of what they leave behind.

A child module calls `serve`: for each command it forks a process that does it, so that the
interpreter starts once for all of them. A test talks to it through a `Forks`, made by `forking`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEAD = "dead"
"""What is heard of a process that was killed."""

ENDED = "ended 0"
"""What is heard of a process that got to its end."""

_REPOSITORY = Path(__file__).parents[2]


class Forks:
    """A child module that runs, as a test sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def say(self, *command: object) -> None:
        """Have a process forked for a command, which JSON can hold."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Return the next line: of the forked process, or `DEAD` or `ENDED` of its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def forking(module: str) -> Iterator[Forks]:
    """A child module in an interpreter of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_REPOSITORY,
    ) as process:
        yield Forks(process)
        assert process.stdin is not None
        process.stdin.close()


def serve(work: Callable[..., object]) -> None:
    """Fork a process for each command on the input, and say how it ended.

    Args:
        work: does what is commanded, in the forked process.
    """
    for line in sys.stdin:
        arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            work(*arguments)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        say(DEAD if os.WIFSIGNALED(status) else f"ended {status}")


def say(word: object) -> None:
    """Tell the test something, from a forked process."""
    os.write(1, f"{word}\n".encode())


def die_at(number: int, watched: Iterable[tuple[object, str]], *, after_too: bool = False) -> None:
    """Have this process kill itself at one of the moments at which something is called.

    Args:
        number: of the moment, from 0.
        watched: what is called: owner and name of each function.
        after_too: the end of each call is a moment, too, beside its beginning.
    """
    moments = 0

    def moment() -> None:
        nonlocal moments
        if moments == number:
            os.kill(os.getpid(), signal.SIGKILL)
        moments += 1

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            moment()
            result = call(*arguments, **options)
            if after_too:
                moment()
            return result

        return wrapper

    for owner, name in watched:
        setattr(owner, name, counted(getattr(owner, name)))
