"""A TCP proxy whose two sides can be made to fall silent, to crawl or to part: what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 65_536

# What may be on its way in each direction of a connection: with it, latency does not become a limit on throughput.
_CHUNKS_ON_THE_WAY_MAX = 8

# A socket closed with this sends RST.
_LINGER_NOT = struct.pack("ii", 1, 0)

Direction = Literal["up", "down"]
"""up: from the client to the server; down: back."""

Fate = Literal["reset", "lose_answer", "hold"]
"""What a trapped chunk brings about: its connection is reset before it arrives; or it arrives, and the connection is
reset instead of carrying the answer; or the proxy stalls, and the chunk is the first that is held back."""


@dataclass(eq=False)
class _Link:
    """One connection: the client's side and the server's."""

    client_port: int
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    loses_answer: bool = False

    def reset(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self.near.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.close()

    def close(self) -> None:
        for side in (self.near, self.far):
            if side is not None:
                side.transport.abort()


@dataclass(eq=False)
class Trap:
    """Waits for one chunk, and decides its fate."""

    direction: Direction
    matches: Callable[[bytes], bool]
    fate: Fate
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the chunk has come by."""


class TcpProxy:
    """Forwards connections to one address. Use with `async with`."""

    def __init__(self, host: str, port: int, *, listen_port: int = 0) -> None:
        """
        Args:
            listen_port: where to listen on 127.0.0.1; 0: anywhere. A port above 32767 may be taken by somebody else
                between `refuse` and `accept`.
        """
        self.target = (host, port)
        self._listen_port = listen_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[_Link] = set()
        self._url = ""
        self._changed = asyncio.Event()
        self._stalled: set[Direction] = set()
        self._stalls_only: Callable[[int], bool] | None = None
        self._latency_s = self._jitter_s = 0.0
        self._bytes_per_s: float | None = None
        self._bytes_left: dict[Direction, int] = {}
        self._traps: list[Trap] = []
        self.stalled_bytes = asyncio.Event()
        """Set when something was sent that the stalled proxy holds back."""
        self.carried: dict[Direction, int] = {"up": 0, "down": 0}
        """Bytes carried so far."""

    @classmethod
    def to_url(cls, url: str) -> Self:
        """A proxy to the server of a URL; `url` of the proxy is the same with the proxy's address."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        proxy = cls(parts.hostname, parts.port or 5432)
        proxy._url = url
        return proxy

    @property
    def port(self) -> int:
        """Where the proxy listens, on 127.0.0.1."""
        return self._listen_port

    @property
    def connections(self) -> int:
        """How many connections there are at the moment."""
        return len(self._links)

    @property
    def url(self) -> str:
        """The URL given to `to_url`, through the proxy."""
        parts = urlsplit(self._url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    def stall(self, *directions: Direction, only: Callable[[int], bool] | None = None) -> None:
        """Keep the connections open and carry nothing, in both directions or in those given.

        Args:
            only: which connections, by the client's port; by default all. Asked for each chunk that waits.
        """
        self.stalled_bytes.clear()
        self._stalled = set(directions or ("up", "down"))
        self._stalls_only = only

    def resume(self) -> None:
        """Carry again, what was held back first."""
        self._stalled = set()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def cut(self) -> None:
        """Reset every connection; new ones are still taken."""
        for link in list(self._links):
            link.reset()

    def slow(self, latency_s: float, *, jitter_s: float = 0.0, bytes_per_s: float | None = None) -> None:
        """Deliver everything later by `latency_s` and up to `jitter_s` more, in each direction."""
        self._latency_s, self._jitter_s, self._bytes_per_s = latency_s, jitter_s, bytes_per_s

    def limit(self, direction: Direction, carried_bytes: int) -> None:
        """Carry so many bytes more in a direction, whosoever they are, then reset the connection of the next one."""
        self._bytes_left[direction] = carried_bytes

    def trap(self, direction: Direction, matches: Callable[[bytes], bool], fate: Fate = "reset") -> Trap:
        """Decide the fate of the next chunk that `matches`; once."""
        trap = Trap(direction, matches, fate)
        self._traps.append(trap)
        return trap

    def refuse(self) -> None:
        """Take no new connections: the port is closed. Those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Take connections (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._listen_port)
            self._listen_port = int(self._server.sockets[0].getsockname()[1])

    async def heal(self) -> None:
        """Undo every fault. What was held back is carried."""
        self.slow(0.0)
        self._bytes_left.clear()
        self._traps.clear()
        self.resume()
        await self.accept()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = _Link(writer.get_extra_info("peername")[1], writer)
        self._links.add(link)
        tasks: list[asyncio.Task[None]] = []
        try:
            far_reader, link.far = await asyncio.open_connection(*self.target)
            ways: tuple[tuple[Direction, asyncio.StreamReader, asyncio.StreamWriter], ...]
            ways = (("up", reader, link.far), ("down", far_reader, writer))
            for direction, source, sink in ways:
                on_the_way = asyncio.Queue[tuple[float, bytes]](_CHUNKS_ON_THE_WAY_MAX)
                tasks.append(asyncio.create_task(self._deliver(link, direction, on_the_way, sink)))
                tasks.append(asyncio.create_task(self._take(source, on_the_way)))
            await asyncio.wait(tasks[::2], return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            link.close()
            for each in tasks:
                each.cancel()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _take(self, reader: asyncio.StreamReader, on_the_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        due = 0.0
        with contextlib.suppress(OSError):  # one side is gone
            while chunk := await reader.read(_CHUNK_BYTES):
                delay_s = self._latency_s + random.uniform(0, self._jitter_s)
                if self._bytes_per_s:
                    delay_s += len(chunk) / self._bytes_per_s
                    due = max(due, time.monotonic()) + len(chunk) / self._bytes_per_s
                due = max(due, time.monotonic() + delay_s) if delay_s else 0.0
                await on_the_way.put((due, chunk))
        await on_the_way.put((0.0, b""))

    async def _deliver(
        self,
        link: _Link,
        direction: Direction,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        with contextlib.suppress(OSError):  # one side is gone
            while True:
                due, chunk = await on_the_way.get()
                if due:
                    await asyncio.sleep(due - time.monotonic())
                if chunk and not self._spring_trap(link, direction, chunk):
                    link.reset()
                    return
                while direction in self._stalled and (self._stalls_only is None or self._stalls_only(link.client_port)):
                    self.stalled_bytes.set()
                    await self._changed.wait()
                if not chunk:
                    break
                if not await self._carry(direction, chunk, writer):
                    link.reset()
                    return
        writer.transport.abort()

    def _spring_trap(self, link: _Link, direction: Direction, chunk: bytes) -> bool:
        """Whether the connection lives on."""
        if link.loses_answer and direction == "down":
            return False
        for trap in self._traps:
            if trap.direction == direction and trap.matches(chunk):
                self._traps.remove(trap)
                trap.caught.set()
                link.loses_answer = trap.fate == "lose_answer"
                if trap.fate == "hold":
                    self.stall()
                return trap.fate != "reset"
        return True

    async def _carry(self, direction: Direction, chunk: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lives on."""
        left = self._bytes_left.get(direction)
        is_last = left is not None and left <= len(chunk)
        if left is not None:
            chunk = chunk[:left]
            self._bytes_left[direction] = left - len(chunk)
        writer.write(chunk)
        await writer.drain()
        self.carried[direction] += len(chunk)
        if is_last:
            self._bytes_left.pop(direction, None)
        return not is_last
