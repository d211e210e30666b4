"""A service that kills itself around the commit of an enroll; started by `test_idempotency_kill`.

The first argument says when: ``before`` its commit, or ``after`` it, before anything is answered.
"""

import os
import signal
import sys
from typing import Any

from index.store.gallery_store import GalleryStore
from service.cli import main
from tests.fakes import FakeDetector


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(when: str, arguments: list[str]) -> None:
    enroll, enter = GalleryStore.enroll, GalleryStore._enter

    def die_after(store: GalleryStore, *args: Any, **kwargs: Any) -> Any:
        done = enroll(store, *args, **kwargs)
        _die()
        return done

    def die_before(store: GalleryStore, *args: Any, **kwargs: Any) -> None:
        enter(store, *args, **kwargs)
        _die()

    if when == "after":
        GalleryStore.enroll = die_after  # type: ignore[assignment,method-assign]
    else:
        GalleryStore._enter = die_before  # type: ignore[assignment,method-assign]
    main(arguments, detector=FakeDetector())


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
