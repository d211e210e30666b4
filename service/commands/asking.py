"""How commands ask: a client on a data folder, and lists that come page by page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol, TypeVar

from embedding.detect import Detector
from embedding.errors import KeyMissing, StoreInUse
from service.assembly import open_parts
from service.client import Client
from service.http_client import connect
from service.local_client import LocalClient
from service.settings import KEY_VARIABLE, load_settings

detector_in_use: ContextVar[Detector | None] = ContextVar("detector_in_use", default=None)
"""Finds faces instead of the built-in detector, where `main` was given one."""


class Page(Protocol):
    """A part of a list."""

    @property
    def next_cursor(self) -> str | None:
        """Where the next part begins; None after the last."""
        ...


AnyPage = TypeVar("AnyPage", bound=Page)


@contextmanager
def client_for(data_folder: Path | None, key: str | None) -> Iterator[Client]:
    """A client on a data folder: in process, or through the service that holds it.

    Raises:
        StoreInUse: another process that serves no HTTP holds the data folder.
        KeyMissing: a service holds it, and no key was given.
    """
    settings = load_settings(data_folder=data_folder)
    with ExitStack() as stack:
        client: Client
        try:
            client = LocalClient(
                stack.enter_context(open_parts(settings, detector=detector_in_use.get()))
            )
        except StoreInUse as error:
            if error.url is None:
                raise
            if key is None:
                raise KeyMissing(
                    f"the service at {error.url} holds the data folder, so a key is needed: give "
                    f"it with {KEY_VARIABLE} or --key"
                ) from error
            client = stack.enter_context(
                connect(error.url, key=key, certificate=settings.tls_certificate)
            )
        yield client


def all_pages(ask: Callable[[str | None], AnyPage]) -> Iterator[AnyPage]:
    """Every page of a list, the first one first.

    Args:
        ask: gives the page that begins at a cursor, None for the first.
    """
    cursor: str | None = None
    while True:
        page = ask(cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
