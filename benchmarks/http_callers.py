"""Callers of the service who cost little themselves: prepared bytes over plain sockets.

A closed loop keeps a number of callers busy, each with one request after the other. An open loop
sends at a rate, whatever comes back, as the world does.
"""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request as bytes, and the status that it should get."""

    content: bytes
    status: int = 200


@dataclass(slots=True, kw_only=True)
class Seen:
    """What callers saw.

    Attributes:
        times_s: of each answer with the wanted status, in the order of their coming.
        statuses: how many of each status; 0 stands for a broken connection.
        unwanted: how many with another status than the request's, by both: wanted, got.
        seconds: from the first request to the last answer.
    """

    times_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unwanted: Counter[tuple[int, int]] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def num_unwanted(self) -> int:
        """Answers with another status than the request's wanted one."""
        return self.unwanted.total()

    def note(self, request: Prepared, status: int, took_s: float) -> None:
        """Takes one answer in."""
        self.statuses[status] += 1
        if status == request.status:
            self.times_s.append(took_s)
        else:
            self.unwanted[request.status, status] += 1


def prepare(
    url: str,
    path: str,
    *,
    headers: Mapping[str, str],
    files: Sequence[tuple[str, tuple[str, bytes] | tuple[str, bytes, str]]] = (),
    data: Mapping[str, str] | None = None,
    json: object = None,
    status: int = 200,
) -> Prepared:
    """A POST as bytes; the arguments are those of httpx."""
    request = httpx.Request(
        "POST",
        url + path,
        headers=dict(headers),
        files=list(files) or None,
        data=dict(data) if data else None,
        json=json,
    )
    body = request.read()
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {v}" for name, v in request.headers.items())]
    return Prepared(content="\r\n".join([*lines, "", ""]).encode() + body, status=status)


def address_of(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


class Caller:
    """One connection that is kept, and opened again where the service closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, request: Prepared) -> tuple[int, bytes]:
        """Status and body; status 0 for a connection that broke twice."""
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(self._address, timeout=TIMEOUT_S)
                    self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.sendall(request.content)
                return self._answer(self._socket)
            except OSError:
                self.close()
        return 0, b""

    def close(self) -> None:
        """Closes the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self, connection: socket.socket) -> tuple[int, bytes]:
        read = bytearray()
        while (end := read.find(b"\r\n\r\n")) < 0:
            read += _some(connection)
        status, length, closes = read_head(bytes(read[:end]))
        body = read[end + 4 :]
        while len(body) < length:
            body += _some(connection)
        if closes:
            self.close()
        return status, bytes(body)


def _some(connection: socket.socket) -> bytes:
    found = connection.recv(65_536)
    if not found:
        raise ConnectionError("the service closed the connection")
    return found


def read_head(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection is closed after it."""
    first, *lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines)
    closes = fields.get(b"connection") == b"close"
    return int(first.split(b" ")[1]), int(fields.get(b"content-length", 0)), closes


def closed_loop(
    url: str,
    requests: Sequence[Prepared],
    *,
    num_callers: int,
    num_requests: int,
    on_progress: Callable[[int], None] | None = None,
) -> Seen:
    """Sends so many requests, taken in turn, by so many callers at the same time.

    Args:
        url: of the service.
        requests: the first caller to be free sends the next one.
        num_callers: each sends its next request when it has its answer.
        num_requests: of all callers together.
        on_progress: called with the number of each request before it is sent.
    """
    seen, lock, next_number = Seen(), threading.Lock(), 0
    address = address_of(url)

    def call() -> None:
        nonlocal next_number
        caller = Caller(address)
        while True:
            with lock:
                number, next_number = next_number, next_number + 1
            if number >= num_requests:
                break
            if on_progress is not None:
                on_progress(number)
            request = requests[number % len(requests)]
            begun = time.perf_counter()
            status, _ = caller.ask(request)
            took_s = time.perf_counter() - begun
            with lock:
                seen.note(request, status, took_s)
        caller.close()

    threads = [threading.Thread(target=call) for _ in range(num_callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.perf_counter() - begun
    return seen


def open_loop(url: str, request: Prepared, *, rate_per_s: float, seconds: float) -> Seen:
    """Sends at a rate, each request over a connection that is idle, or a new one."""
    return asyncio.run(_open_loop(address_of(url), request, rate_per_s, seconds))


async def _open_loop(
    address: tuple[str, int], request: Prepared, rate_per_s: float, seconds: float
) -> Seen:
    seen = Seen()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask() -> None:
        begun = time.perf_counter()
        kept = idle.pop() if idle else None
        status = await once(kept)
        if not status and kept is not None:
            # The service ends idle connections: as any client does, ask over a new one.
            status = await once(None)
        seen.note(request, status, time.perf_counter() - begun)

    async def once(kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> int:
        try:
            reader, writer = kept or await asyncio.open_connection(*address)
            writer.write(request.content)
            head = await reader.readuntil(b"\r\n\r\n")
            status, length, closes = read_head(head[:-4])
            await reader.readexactly(length)
            # An answer may come before the body was sent whole; the next request waits for that.
            await writer.drain()
            if closes:
                writer.close()
            else:
                idle.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            return 0
        return status

    begun = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(int(rate_per_s * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate_per_s - time.perf_counter()))
        tasks.add(asyncio.create_task(ask()))
    await asyncio.wait_for(asyncio.gather(*tasks), TIMEOUT_S)
    seen.seconds = time.perf_counter() - begun
    for _, writer in idle:
        writer.close()
    return seen
