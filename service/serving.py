"""Runs the service in one process: a listener that is safe to open, and a clean end."""

import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from embedding.detect import Detector
from embedding.errors import SettingsInvalid
from service.app import create_app
from service.assembly import open_parts
from service.logs import configure
from service.metrics_token import read_token
from service.settings import Settings, check_settings
from service.stopping import Stopping
from service.wire import protocol_within

logger = logging.getLogger(__name__)

GRACEFUL_SHUTDOWN_S = 10
"""What was accepted is answered within it; a photo takes far less."""

_LAST_ANSWERS_S = 2
"""For refusals after that, and for callers to take their answers."""

STOP_WITHIN_S = GRACEFUL_SHUTDOWN_S + _LAST_ANSWERS_S
"""From the signal to the end, apart from work that was begun and is finished."""

# What a person can open in place of a wildcard; nothing is bound to it here.
_LOCAL_OF_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a person needs to know of a service that has just started.

    Attributes:
        url: where it listens, with the real port.
        admin_key: the first key, only at the first start on a data folder.
    """

    url: str
    admin_key: str | None


class Server(uvicorn.Server):
    """Tells when it accepts requests, and finishes them before it ends."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end: from the signal on newcomers are refused."""
        self._app.state.stopping.begin()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for what was accepted, still listening to refuse the rest, then ends."""
        stopping: Stopping = self._app.state.stopping
        stopping.begin()
        in_time = await stopping.drained(
            within_s=GRACEFUL_SHUTDOWN_S, hurry=lambda: self.force_exit
        )
        if not in_time:
            logger.warning("requests were open at the end: %d", stopping.num_open)
        self._app.state.admission.close()
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    *,
    on_started: Callable[[Started], None],
    detector: Detector | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serves in this process until SIGINT or SIGTERM.

    Args:
        settings: where and how.
        on_started: called once requests are accepted.
        detector: finds faces instead of the built-in one.
        listener: listens already, and is closed in the end; None for the address of the settings.

    Raises:
        SettingsInvalid: settings that do not fit, or an address that cannot be listened on.
        StoreError: the data folder is in use or damaged.
        ModelError: a model cannot be opened.
    """
    check_settings(settings)
    start_logging(settings)
    with (
        open_parts(settings, detector=detector) as parts,
        listener or listen(settings) as accepting,
    ):
        parts.warm_up()
        url = _url(settings, accepting)

        def tell() -> None:
            parts.galleries.set_url(url)
            first = parts.keys.create_first()
            on_started(Started(url=url, admin_key=first[1] if first else None))

        app = create_app(settings, parts=parts)
        config = config_of(app, settings)
        # uvicorn raises the signal again once it has shut down; then the data folder is closed.
        signal.signal(signal.SIGTERM, _leave)
        with suppress(KeyboardInterrupt):
            Server(config, app, tell).run(sockets=[accepting])


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        app,
        http=protocol_within(
            body_timeout_s=settings.body_timeout_s,
            transfer_timeout_s=settings.transfer_timeout_s,
        ),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def start_logging(settings: Settings) -> None:
    """Logs to stderr, one line an event.

    Raises:
        SettingsInvalid: the file of the metrics' token cannot be used.
    """
    if settings.metrics_token_file is not None:
        read_token(settings.metrics_token_file)  # says now what is wrong with it
    configure(settings.log_level, form=settings.log_format)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def listen(settings: Settings) -> socket.socket:
    """A socket that listens at the address of the settings.

    Raises:
        SettingsInvalid: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise SettingsInvalid(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose "
            "another port (0 takes a free one)"
        ) from error
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol,
    # and without it each answer waits 40 ms for the caller's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(settings: Settings, listener: socket.socket) -> str:
    host = _LOCAL_OF_WILDCARD.get(settings.host, settings.host)
    if ":" in host:
        host = f"[{host}]"
    return f"{settings.scheme}://{host}:{listener.getsockname()[1]}"
