"""A database that is away for minutes, under load: unreachable, and read-only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fault.arena import APPLICATION_NAME, Arena
from support.databases import connect

pytestmark = [pytest.mark.database, pytest.mark.kafka, pytest.mark.stack]

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = $2"


@contextlib.asynccontextmanager
async def unreachable(arena: Arena) -> AsyncIterator[None]:
    """No connection stands, and none is taken."""
    arena.database_proxy.refuse()
    arena.database_proxy.cut()
    yield
    await arena.database_proxy.accept()


@contextlib.asynccontextmanager
async def read_only(arena: Arena) -> AsyncIterator[None]:
    """As a standby is, or a disk that is being rescued."""
    name = await arena.fetch("SELECT current_database()")
    async with await connect(arena.database.with_database("postgres")) as session:
        await session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await session.fetch(TERMINATE, name, APPLICATION_NAME)
    yield
    async with await connect(arena.database.with_database("postgres")) as session:
        await session.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        # A connection keeps what held when it was opened; the database's owner would restart it, or end them likewise.
        await session.fetch(TERMINATE, name, APPLICATION_NAME)


async def _outage(arena: Arena, seconds: float) -> None:
    consumer = await arena.consume()
    producer = arena.producer(events_per_s=100)
    producer.start()
    await arena.moves(100)
    for outage in (unreachable, read_only):
        async with outage(arena):
            stored = await arena.stored()
            await asyncio.sleep(seconds)
            assert await arena.stored() <= stored + 100, "a batch that was on its way, and no more"
        await arena.moves(100)
    await arena.check(timeout_s=60)
    assert consumer.log("attempt_failed")
    assert arena.consumers == [consumer], "nobody had to restart it"


async def test_database_away_for_seconds(arena: Arena) -> None:
    """No dead letter, no restart, all rows there."""
    await _outage(arena, 3)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_database_away_for_five_minutes(arena: Arena) -> None:
    """Likewise, twice five minutes."""
    await _outage(arena, 300)
