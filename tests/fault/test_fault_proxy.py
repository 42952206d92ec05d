"""The proxy itself: each thing that it does to a network, against a server that echoes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from arc_eval_db.local import ports
from support.proxy import TcpProxy

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(proxy: TcpProxy) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def echo(stream: Stream, text: bytes, timeout_s: float = 5.0) -> bytes:
    reader, writer = stream
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), timeout_s)


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    listen_port = ports.choose((), "fault proxy tests")
    async with TcpProxy("127.0.0.1", port, listen_port=listen_port) as opened:
        yield opened
    server.close()


async def test_carries_both_ways(proxy: TcpProxy) -> None:
    text = bytes(range(256)) * 4000
    async with connected(proxy) as stream:
        assert await echo(stream, text) == text
    assert proxy.carried == {"up": len(text), "down": len(text)}


async def test_cut_resets(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        await echo(stream, b"hello")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(stream[0].read(1), 5)
    async with connected(proxy) as stream:
        assert await echo(stream, b"again") == b"again"


async def test_stalls_and_resumes(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        proxy.stall()
        stream[1].write(b"held")
        await asyncio.wait_for(proxy.stalled_bytes.wait(), 5)
        assert proxy.carried["up"] == 0
        proxy.resume()
        assert await asyncio.wait_for(stream[0].readexactly(4), 5) == b"held"


async def test_stalls_one_way(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        proxy.stall("down")
        stream[1].write(b"held")
        await asyncio.wait_for(proxy.stalled_bytes.wait(), 5)
        assert proxy.carried == {"up": 4, "down": 0}


async def test_stalls_some_connections_only(proxy: TcpProxy) -> None:
    async with connected(proxy) as silent, connected(proxy) as lively:
        port = silent[1].get_extra_info("sockname")[1]
        proxy.stall(only=lambda client_port: client_port == port)
        silent[1].write(b"held")
        assert await echo(lively, b"carried") == b"carried"
        await asyncio.wait_for(proxy.stalled_bytes.wait(), 5)
        assert proxy.carried["up"] == len(b"carried")


async def test_slow_delays_and_keeps_the_order(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        proxy.slow(0.1, jitter_s=0.05)
        started = time.monotonic()
        text = bytes(range(256)) * 2000
        assert await echo(stream, text) == text
        assert time.monotonic() - started >= 0.2


async def test_bandwidth(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        proxy.slow(0.0, bytes_per_s=1_000_000)
        started = time.monotonic()
        await echo(stream, b"x" * 200_000)
        assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("carried", [0, 1, 100_000])
async def test_limit_resets_after_so_many_bytes(proxy: TcpProxy, carried: int) -> None:
    proxy.limit("up", carried)
    async with connected(proxy) as stream:
        with pytest.raises((ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)):
            await echo(stream, b"x" * 200_000)
    assert proxy.carried["up"] == carried
    async with connected(proxy) as stream:
        assert await echo(stream, b"once") == b"once"


async def test_refuses_and_accepts(proxy: TcpProxy) -> None:
    async with connected(proxy) as stream:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await echo(stream, b"still open") == b"still open"
    await proxy.accept()
    async with connected(proxy) as stream:
        assert await echo(stream, b"again") == b"again"


async def test_reset_before_a_pattern(proxy: TcpProxy) -> None:
    trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "reset")
    async with connected(proxy) as stream:
        await echo(stream, b"SELECT")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await echo(stream, b"COMMIT")
    assert trap.caught.is_set()
    assert proxy.carried["up"] == len(b"SELECT")


async def test_an_answer_is_lost(proxy: TcpProxy) -> None:
    trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
    async with connected(proxy) as stream:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await echo(stream, b"COMMIT")
    assert trap.caught.is_set()
    assert proxy.carried == {"up": len(b"COMMIT"), "down": 0}


async def test_holds_at_a_pattern(proxy: TcpProxy) -> None:
    trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "hold")
    async with connected(proxy) as stream:
        await echo(stream, b"SELECT")
        stream[1].write(b"COMMIT")
        await asyncio.wait_for(trap.caught.wait(), 5)
        assert proxy.carried["up"] == len(b"SELECT")
        await proxy.heal()
        assert await asyncio.wait_for(stream[0].readexactly(6), 5) == b"COMMIT"


async def test_heal_undoes_everything(proxy: TcpProxy) -> None:
    proxy.stall()
    proxy.slow(9.0)
    proxy.limit("down", 0)
    proxy.trap("up", lambda chunk: True)
    proxy.refuse()
    await proxy.heal()
    async with connected(proxy) as stream:
        assert await echo(stream, b"as if nothing had been") == b"as if nothing had been"


async def test_a_server_that_is_gone(proxy: TcpProxy) -> None:
    proxy.target = ("127.0.0.1", ports.choose((), "nobody listens here"))
    async with connected(proxy) as stream:
        assert await asyncio.wait_for(stream[0].read(1), 5) == b""
