"""A TCP proxy whose two sides can be made to fall silent or to part: what networks do."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 65_536


class TcpProxy:
    """Forwards connections to one address. Use with `async with`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.stalled_bytes = asyncio.Event()
        """Set when something was sent that the stalled proxy holds back."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._url = ""

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
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The URL given to `to_url`, through the proxy."""
        parts = urlsplit(self._url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    def stall(self) -> None:
        """Keep the connections open and carry nothing."""
        self.stalled_bytes.clear()
        self._flowing.clear()

    def resume(self) -> None:
        """Carry again, what was held back first."""
        self._flowing.set()

    def cut(self) -> None:
        """End every connection; new ones are still taken."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer))
                group.create_task(self._carry(far_reader, writer))
        except asyncio.CancelledError:
            return
        finally:
            for side in (writer, far_writer):
                side.transport.abort()
                self._writers.discard(side)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                if not self._flowing.is_set():
                    self.stalled_bytes.set()
                    await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass  # one side is gone
        writer.transport.abort()
