"""Migrations and deadlocks while consumers write: nothing is lost, and whoever stops says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.migrations import Edition, Migrator, load_migrations
from arc_eval_db.retries import RetryPolicy, retry
from arc_eval_db.settings import KafkaSettings
from fault.arena import Arena
from fault.processes import ConsumerProcess
from support.conditions import eventually
from support.databases import connect
from support.events import lifecycle
from support.log import send_events

pytestmark = [pytest.mark.database, pytest.mark.kafka]

OLDEST_VERSION = 6
"""Versions from here on were made while there were databases to be migrated."""

CONSUMERS = 2


@pytest.fixture
async def admin(arena: Arena) -> AsyncIterator[Session]:
    """Waits for locks as the command does, and no longer than consumers may be held up."""
    async with await connect(arena.database) as session:
        yield session


async def migrate(session: Session, target: int | None) -> list[int]:
    """Up to the newest version, or down to `target`; tried again where the writers' locks are in the way."""

    async def step() -> list[int]:
        migrator = Migrator(session)
        done = await (migrator.up() if target is None else migrator.down(target))
        return [migration.version for migration in done]

    return await retry(step, RetryPolicy(attempts_max=20, deadline_s=60))


async def keep_consuming(arena: Arena, processes: list[ConsumerProcess]) -> int:
    """What an operator's supervisor does: start those again that ended. Returns how many had."""
    ended = [process for process in processes if not process.runs]
    for process in ended:
        assert "migrate up" in process.last_words(), process.last_words()
        processes.remove(process)
        arena.consumers.remove(process)
    processes += [await arena.consume(wait=False) for _ in ended]
    return len(ended)


@pytest.mark.stack
@pytest.mark.long
async def test_migrations_under_load_lose_nothing(arena: Arena, admin: Session) -> None:
    newest = max(migration.version for migration in load_migrations(Edition.POSTGRESQL))
    processes = [await arena.consume(wait=False) for _ in range(CONSUMERS)]
    await asyncio.gather(*(process.logged("partitions_positioned") for process in processes))
    producer = arena.producer(events_per_s=300)
    producer.start()
    await arena.moves(300)
    ended = 0
    for target in range(newest - 1, OLDEST_VERSION - 1, -1):
        assert await migrate(admin, target) == list(range(newest, target, -1))

        await eventually(_moved_or_ended(arena, processes, await arena.stored()), f"version {target} is noticed")
        assert await migrate(admin, None) == list(range(target + 1, newest + 1))
        ended += await keep_consuming(arena, processes)
        before = await arena.stored()

        async def moves_on(before: int = before) -> bool:
            # One may have met the older schema only now.
            await keep_consuming(arena, processes)
            return await arena.stored() > before + 100

        await eventually(moves_on, f"writing goes on after version {target}", timeout_s=60)
    ended += await keep_consuming(arena, processes)
    await arena.check(timeout_s=60)
    assert ended, "no consumer met a schema that it could not use, so this proves little"


def _moved_or_ended(
    arena: Arena, processes: list[ConsumerProcess], before: int
) -> Callable[[], Coroutine[None, None, bool]]:
    """Whether the consumers go on with the older schema, or have all ended because of it."""

    async def noticed() -> bool:
        return not any(process.runs for process in processes) or await arena.stored() > before + 100

    return noticed


async def test_a_migration_that_waits_for_writers_gives_up_before_they_do(
    database: DatabaseSettings, session: Session
) -> None:
    """A table that is locked for a migration holds every consumer up: it waits for its own lock only for a while."""
    newest = max(migration.version for migration in load_migrations(Edition.POSTGRESQL))
    brief = database.model_copy(update={"database_lock_timeout_ms": 200})
    async with await connect(database) as writer, await connect(brief) as admin:
        async with writer.transaction():
            await writer.execute("LOCK TABLE consumer_offsets, dead_letters, executions IN ROW EXCLUSIVE MODE")
            with pytest.raises(RetryableError):
                await Migrator(admin).down(OLDEST_VERSION)
        assert [state.applied_at for state in await Migrator(admin).status()].count(None) in range(
            newest - OLDEST_VERSION + 1
        )
        await migrate(admin, OLDEST_VERSION)
        await migrate(admin, None)
        assert all(state.applied_at is not None for state in await Migrator(admin).status())


async def test_a_deadlock_is_tried_again_and_costs_nothing(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """The worker has rows in one table and wants the other, somebody else the other way round."""
    await send_events(kafka_settings, [content for _ in range(10) for content in lifecycle()])
    name = await session.fetch_value("SELECT current_database()")
    # The worker finds the deadlock, and never the other one.
    await session.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '2s'")
    worker = Worker(kafka_settings, database, ConsumerSettings.load(group=group, retry_backoff_s_max=0.2))
    async with await connect(database) as other:
        await other.execute("SET deadlock_timeout = '60s'; SET lock_timeout = 0")
        async with other.transaction():
            await other.execute("LOCK TABLE executions IN SHARE ROW EXCLUSIVE MODE")
            running = asyncio.create_task(worker.run())
            await eventually(lambda: _waits(session), "the worker waits for the executions")
            await other.execute("LOCK TABLE tool_usage, outcomes IN ACCESS EXCLUSIVE MODE")
    await eventually(lambda: worker.report.inserted == 50, "all rows")
    worker.stop()
    await asyncio.wait_for(running, 20)
    assert worker.metrics.value("arc_eval_consumer_retries_total", cause="TransactionConflictError") >= 1
    assert worker.metrics.value("arc_eval_consumer_retries_total", cause="DatabaseUnavailableError") == 0
    deadlocks = await session.fetch_value("SELECT deadlocks FROM pg_stat_database WHERE datname = $1", name)
    assert deadlocks >= 1
    assert (worker.report.duplicates, worker.report.dead_letters) == (0, 0)


async def _waits(session: Session) -> bool:
    return bool(
        await session.fetch_value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )
