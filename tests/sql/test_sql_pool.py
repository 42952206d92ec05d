"""The pool: sessions are the same as alone, broken ones are replaced, and every wait ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from arc_eval_db.database import (
    BatchTooLargeError,
    DatabaseSettings,
    DatabaseUnavailableError,
    DuplicateRowError,
    PoolClosedError,
    Session,
    SessionPool,
)
from arc_eval_db.database import pool as pool_module
from arc_eval_db.errors import SettingsError
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy

pytestmark = pytest.mark.database

# More than socket buffers hold: a COPY of it must wait for the server.
WIDE = "x" * 1000
MANY_ROWS = 200_000


@pytest.fixture
def small(database: DatabaseSettings) -> DatabaseSettings:
    """Settings of a pool of one or two connections."""
    return database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})


@pytest.fixture
async def pool(small: DatabaseSettings) -> AsyncIterator[SessionPool]:
    async with await open_pool(small) as opened:
        yield opened


@pytest.fixture
async def table(session: Session) -> str:
    await session.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
    return "things"


async def open_pool(settings: DatabaseSettings, **changes: Any) -> SessionPool:
    return await SessionPool.open(settings.model_copy(update=changes), application_name="arc-eval-db tests")


def through(proxy: TcpProxy) -> dict[str, Any]:
    return {"database_url": SecretStr(proxy.url)}


def proxy_to(settings: DatabaseSettings) -> TcpProxy:
    return TcpProxy.to_url(settings.database_url.get_secret_value())


def wide_rows() -> list[tuple[int, str]]:
    return [(number, WIDE) for number in range(MANY_ROWS)]


async def backend(session: Session) -> int:
    return int(await session.fetch_value("SELECT pg_backend_pid()"))


async def test_a_pooled_session_does_what_a_session_does(pool: SessionPool, table: str) -> None:
    async with pool.session() as session:
        async with session.transaction():
            assert await session.copy(table, ("id", "name"), [(1, "a"), (2, None)]) == 2
            with pytest.raises(DuplicateRowError):
                async with session.savepoint():
                    await session.execute("INSERT INTO things (id) VALUES (2)")
        with pytest.raises(DuplicateRowError):
            async with session.transaction():
                await session.execute("INSERT INTO things (id) VALUES (3)")
                await session.execute("INSERT INTO things (id) VALUES (3)")
        assert [row["id"] for row in await session.fetch("SELECT id FROM things ORDER BY id")] == [1, 2]
        assert not session.is_closed


async def test_pooled_sessions_have_the_same_limits(pool: SessionPool) -> None:
    async with pool.session() as session:
        await session.execute("SET lock_timeout = 0")
    async with pool.session() as session:
        for setting, expected in {
            "application_name": "arc-eval-db tests",
            "statement_timeout": "55s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "10s",
            "TimeZone": "UTC",
        }.items():
            assert await session.fetch_value("SELECT current_setting($1)", setting) == expected


async def test_statistics_tell_what_is_lent(pool: SessionPool) -> None:
    assert (pool.statistics.size, pool.statistics.idle, pool.statistics.in_use) == (1, 1, 0)
    async with pool.session(), pool.session():
        assert (pool.statistics.size, pool.statistics.idle, pool.statistics.in_use) == (2, 0, 2)
    assert (pool.statistics.idle, pool.statistics.in_use, pool.statistics.size_max) == (2, 0, 2)


async def test_an_exhausted_pool_says_so_in_time_and_names_the_settings(small: DatabaseSettings) -> None:
    async with await open_pool(small, database_pool_acquire_timeout_s=0.1) as pool, pool.session(), pool.session():
        with pytest.raises(
            DatabaseUnavailableError, match=r"none of its 2 connections became free within 0\.1 s"
        ) as caught:
            async with pool.session():
                pass
        for name in ("ARC_EVAL_DATABASE_POOL_SIZE_MAX", "ARC_EVAL_DATABASE_POOL_ACQUIRE_TIMEOUT_S"):
            assert name in str(caught.value)


async def test_a_server_that_does_not_answer_is_not_called_an_exhausted_pool(small: DatabaseSettings) -> None:
    async with proxy_to(small) as proxy:
        changes = {"database_pool_size_min": 0, "database_pool_acquire_timeout_s": 0.2}
        async with await open_pool(small, **through(proxy), **changes) as pool:
            proxy.stall()
            with pytest.raises(DatabaseUnavailableError) as caught:
                async with pool.session():
                    pass
            assert "exhausted" not in str(caught.value)


async def test_who_waits_gets_the_connection_that_is_given_back(small: DatabaseSettings) -> None:
    async with await open_pool(small, database_pool_size_max=1) as pool:
        async with pool.session() as first:
            used = await backend(first)
            waiting = asyncio.create_task(pool_backend(pool))
            await asyncio.sleep(0)
            assert not waiting.done()
        assert await waiting == used


async def pool_backend(pool: SessionPool) -> int:
    async with pool.session() as session:
        return await backend(session)


async def test_a_connection_that_breaks_in_use_is_replaced(pool: SessionPool, session: Session) -> None:
    with pytest.raises(DatabaseUnavailableError):
        async with pool.session() as pooled:
            broken = await backend(pooled)
            await session.execute("SELECT pg_terminate_backend($1)", broken)
            await eventually(lambda: pooled.is_closed, "the loss is noticed")
            pooled.terminate()
            await pooled.execute("SELECT 1")
    assert pool.statistics.in_use == 0
    assert await pool_backend(pool) != broken


async def test_a_connection_that_breaks_in_a_transaction_is_an_outage(pool: SessionPool, session: Session) -> None:
    with pytest.raises(DatabaseUnavailableError):
        async with pool.session() as pooled, pooled.transaction():
            await session.execute("SELECT pg_terminate_backend($1)", await backend(pooled))
            await pooled.execute("SELECT pg_sleep(10)")
    assert await pool_backend(pool)


async def test_a_connection_that_breaks_while_idle_is_replaced(pool: SessionPool, session: Session) -> None:
    broken = await pool_backend(pool)
    await session.execute("SELECT pg_terminate_backend($1)", broken)

    async def is_replaced() -> bool:
        try:
            return await pool_backend(pool) != broken
        except DatabaseUnavailableError:  # the loss has not been noticed yet
            return False

    await eventually(is_replaced, "another connection is there")


@pytest.mark.parametrize(
    ("statement", "error"),
    [("INSERT INTO things (id) VALUES (1), (1)", DuplicateRowError), ("SELECT pg_sleep(5)", BatchTooLargeError)],
)
async def test_an_error_of_the_data_or_of_the_moment_keeps_the_connection(
    pool: SessionPool, table: str, statement: str, error: type[Exception]
) -> None:
    async with pool.session() as session:
        used = await backend(session)
    with pytest.raises(error):
        async with pool.session() as session:
            await session.execute("SET statement_timeout = 100")
            await session.execute(statement)
    assert await pool_backend(pool) == used


@pytest.mark.parametrize("make_error", [asyncio.CancelledError, KeyError])
async def test_what_is_not_our_error_drops_the_connection_and_stays_what_it_is(
    pool: SessionPool, make_error: Callable[[], BaseException]
) -> None:
    used = await pool_backend(pool)
    with pytest.raises((asyncio.CancelledError, KeyError)) as caught:
        async with pool.session() as session:
            raise make_error()
    assert type(caught.value) is make_error
    assert session.is_closed
    assert await pool_backend(pool) != used


async def test_copy_ends_at_once_when_a_pooled_connection_is_lost(small: DatabaseSettings, table: str) -> None:
    async with proxy_to(small) as proxy, await open_pool(small, **through(proxy)) as pool:
        # Long before the time-out of a minute.
        with pytest.raises(DatabaseUnavailableError, match="the connection was lost"):
            async with asyncio.timeout(20), pool.session() as session:
                proxy.stall()
                copying = asyncio.create_task(session.copy(table, ("id", "name"), wide_rows()))
                await proxy.stalled_bytes.wait()
                proxy.cut()
                await copying
        assert session.is_closed
        proxy.resume()
        assert await pool_backend(pool)


async def test_copy_ends_in_time_when_the_server_falls_silent(small: DatabaseSettings, table: str) -> None:
    async with (
        proxy_to(small) as proxy,
        await open_pool(small, **through(proxy), database_command_timeout_s=1.0) as pool,
    ):
        with pytest.raises(DatabaseUnavailableError, match="did not answer in time"):
            async with pool.session() as session:
                proxy.stall()
                await asyncio.wait_for(session.copy(table, ("id", "name"), wide_rows()), 20)
        proxy.resume()
        assert await pool_backend(pool)


async def test_giving_back_has_a_deadline(small: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_RELEASE_TIMEOUT_S", 0.1)
    async with proxy_to(small) as proxy, await open_pool(small, **through(proxy)) as pool:
        async with asyncio.timeout(10):
            async with pool.session() as session:
                used = await backend(session)
                proxy.stall()
        proxy.resume()
        assert await pool_backend(pool) != used


async def test_closing_waits_for_the_sessions_in_use(small: DatabaseSettings) -> None:
    pool = await open_pool(small)
    async with pool.session() as session:
        closing = asyncio.create_task(pool.close(30))
        await eventually(lambda: pool._is_closing, "it is closing")
        with pytest.raises(PoolClosedError):
            async with pool.session():
                pass
        assert await session.fetch_value("SELECT 1") == 1
        assert not closing.done()
    await closing
    assert pool.statistics.size == 0


async def test_closing_drops_what_is_still_in_use_when_its_time_is_over(small: DatabaseSettings) -> None:
    pool = await open_pool(small)

    async def use() -> None:
        async with pool.session() as session:
            await session.execute("SELECT pg_sleep(30)")

    using = asyncio.create_task(use())
    await eventually(lambda: pool.statistics.in_use == 1, "the session is in use")
    async with asyncio.timeout(10):
        await pool.close(0.1)
        with pytest.raises(DatabaseUnavailableError):
            await using
    assert pool.statistics.size == 0


async def test_who_waits_for_a_pool_that_closes_learns_it(small: DatabaseSettings) -> None:
    pool = await open_pool(small, database_pool_size_max=1, database_pool_acquire_timeout_s=0.3)
    async with pool.session():
        waiting = asyncio.create_task(pool_backend(pool))
        closing = asyncio.create_task(pool.close(30))
        with pytest.raises(PoolClosedError):
            await waiting
    await closing


async def test_closing_has_a_deadline_also_when_the_server_is_silent(small: DatabaseSettings) -> None:
    async with proxy_to(small) as proxy:
        pool = await open_pool(small, **through(proxy))
        proxy.stall()
        async with asyncio.timeout(10):
            await pool.close(0.1)
        assert pool.statistics.size == 0


async def test_opening_fails_as_connecting_does() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        await open_pool(DatabaseSettings.load(database_url="postgresql://someone:s3cret@127.0.0.1:1/x"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="ARC_EVAL_DATABASE_URL: cannot be used"):
        await open_pool(DatabaseSettings.load(database_url="mysql://h/x"))


async def test_a_smaller_maximum_alone_is_enough(database: DatabaseSettings) -> None:
    url = database.database_url.get_secret_value()
    settings = DatabaseSettings.load(database_url=url, database_pool_size_max=2)
    async with await SessionPool.open(settings, application_name="arc-eval-db tests") as pool:
        assert (pool.statistics.size, pool.statistics.size_max) == (2, 2)


def test_the_sizes_must_fit() -> None:
    with pytest.raises(SettingsError, match=r"ARC_EVAL_DATABASE_POOL_SIZE_MAX: must not be below .*_POOL_SIZE_MIN"):
        DatabaseSettings.load(database_url="postgresql://127.0.0.1/x", database_pool_size_min=60)
    settings = DatabaseSettings.load(database_url="postgresql://127.0.0.1/x")
    assert (settings.database_pool_size_min, settings.database_pool_size_max) == (10, 50)


async def test_a_session_alone_is_still_what_it_was(database: DatabaseSettings) -> None:
    async with await connect(database) as session:
        session.terminate()
        session.terminate()
        assert session.is_closed
