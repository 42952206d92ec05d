"""A database that dies, restarts, locks, fills up, falls silent: rows F3 to F9 of the matrix.

F22 (the topic of dead letters is away) does not arise: dead letters are a table, written with the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from fault.arena import APPLICATION_NAME, SESSION_TIMEOUT_S, Arena
from fault.fail_points import FailPoint
from fault.processes import ConsumerProcess
from fault.stack import kill_backend
from support.conditions import eventually
from support.databases import connect
from support.proxy import Fate

pytestmark = [pytest.mark.database, pytest.mark.kafka, pytest.mark.stack]

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
MEGABYTE = 1_000_000


async def _held_in_copy(arena: Arena) -> ConsumerProcess:
    await arena.load(600)
    consumer = await arena.consume(FailPoint("during_copy", "hold", 5), wait=False, consumer_batch_records_max="100")
    await consumer.reached("during_copy")
    return consumer


async def _member(arena: Arena) -> str:
    """The one member of the group, by the name that the broker gave it: another after a session that ended."""
    admin = AIOKafkaAdminClient(**arena.kafka.client_options())
    await admin.start()
    try:
        answers = await admin.describe_consumer_groups([arena.group])
    finally:
        await admin.close()
    members = [member[0] for answer in answers for group in answer.groups for member in group[5]]
    assert len(members) == 1
    return str(members[0])


async def test_killed_server_during_a_small_copy(arena: Arena, own_database_server: None) -> None:
    """F3: SIGKILL of the postmaster while rows are on their way."""
    consumer = await _held_in_copy(arena)
    arena.stack.postgres.kill9()
    consumer.release()
    await consumer.logged("attempt_failed")
    await arena.stack.postgres.start()
    await arena.check()


async def test_killed_server_during_a_large_copy(arena: Arena, own_database_server: None) -> None:
    """F3: likewise in a batch of 20 MB, whose sender waits for room in the socket: nothing but our own deadline, or the
    end of the connection, gets it out of there."""
    await arena.load(6000, padding_bytes=4000)
    proxy = arena.database_proxy
    trap = proxy.trap("up", lambda _: proxy.carried["up"] > 3 * MEGABYTE, "hold")
    consumer = await arena.consume(wait=False, consumer_partition_fetch_bytes_max=str(20 * MEGABYTE))
    await asyncio.wait_for(trap.caught.wait(), 30)
    arena.stack.postgres.kill9()
    proxy.cut()
    await consumer.logged("attempt_failed", timeout_s=10)
    await arena.heal()
    await arena.check(timeout_s=40)


@pytest.mark.long
async def test_a_backend_is_killed(arena: Arena, own_database_server: None) -> None:
    """F4: as after a crash of one backend: the server ends all connections and recovers."""
    consumer = await _held_in_copy(arena)
    kill_backend(await arena.fetch(BACKENDS, APPLICATION_NAME))
    consumer.release()
    await consumer.logged("attempt_failed")
    await arena.check()


@pytest.mark.long
async def test_server_restarts(arena: Arena, own_database_server: None) -> None:
    """F5: a fast restart under load."""
    await arena.consume()
    producer = arena.producer(events_per_s=300)
    producer.start()
    await arena.moves(300)
    await arena.stack.postgres.restart()
    await arena.moves(300)
    await arena.check()


@pytest.mark.long
async def test_locked_tables_and_latency(arena: Arena) -> None:
    """F6: a lock, and then batches that latency draws out, longer than a session: the consumer stays in its group."""
    consumer = await arena.consume()
    producer = arena.producer(events_per_s=200)
    producer.start()
    await arena.moves(100)
    member = await _member(arena)
    async with await connect(arena.database) as session:
        await session.execute("BEGIN; LOCK TABLE tool_usage IN ACCESS EXCLUSIVE MODE")
        stored = await arena.stored()
        await asyncio.sleep(SESSION_TIMEOUT_S + 2)
        assert await arena.stored() == stored
        await session.execute("ROLLBACK")
    assert consumer.log("attempt_failed")
    await arena.moves(300)
    # A transaction is some forty round trips.
    arena.database_proxy.slow(0.1)
    await arena.moves(200)
    assert await _member(arena) == member
    await arena.heal()
    await arena.check()


@contextlib.asynccontextmanager
async def _small_disk(arena: Arena) -> AsyncIterator[Path]:
    """The tables of tool uses on a disk of 6 MB."""
    directory = Path("/tmp") / f"arc-eval-disk-{arena.group}"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        directory.rmdir()
        pytest.skip("a small disk is made by mounting one, which this user may not")
    name = arena.group.replace("-", "_")
    try:
        data = directory / "data"
        data.mkdir()
        subprocess.run(["chown", "nobody", str(data)], check=True)
        async with await connect(arena.database) as session:
            await session.execute(f"CREATE TABLESPACE {name} LOCATION '{data}'")
            await session.execute(f"ALTER TABLE tool_usage SET TABLESPACE {name}")
        yield directory
        async with await connect(arena.database) as session:
            await session.execute("ALTER TABLE tool_usage SET TABLESPACE pg_default")
            await session.execute(f"DROP TABLESPACE {name}")
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
        directory.rmdir()


@pytest.mark.long
async def test_full_disk(arena: Arena, own_database_server: None) -> None:
    """F7: no room for rows; when there is room again it goes on, and no row was set aside."""
    async with _small_disk(arena) as directory:
        await arena.load(4000, padding_bytes=4000)
        consumer = await arena.consume(wait=False)
        await consumer.logged("attempt_failed", times=2)
        assert "53100" in str(consumer.log("attempt_failed"))
        subprocess.run(["mount", "-o", "remount,size=200m", str(directory)], check=True)
        await arena.check()


@pytest.mark.long
async def test_connection_reset_after_random_bytes(arena: Arena) -> None:
    """F8: the way to the database breaks in the middle of COPY, again and again."""
    chance = random.Random(8)
    await arena.load(3000, padding_bytes=500)
    consumer = await arena.consume(wait=False, consumer_batch_records_max="200")
    for number in range(6):
        arena.database_proxy.limit("up", chance.randrange(5_000, 120_000))
        await consumer.logged("attempt_failed", times=number + 1)
    await arena.check()


@pytest.mark.parametrize(
    "fate", [pytest.param("reset", marks=pytest.mark.long, id="before"), pytest.param("lose_answer", id="after")]
)
async def test_connection_reset_at_commit(arena: Arena, fate: Fate) -> None:
    """F8: COMMIT does not arrive, or its answer does not: the stored offset says which."""
    await arena.load(500)
    traps = []
    consumer = await arena.consume()
    await arena.drained()
    for _ in range(2):
        traps.append(arena.database_proxy.trap("up", lambda chunk: b"COMMIT" in chunk, fate))
        await arena.load(200, seed=len(traps) + 1)
        await asyncio.wait_for(traps[-1].caught.wait(), 20)
        await consumer.logged("attempt_failed", times=len(traps))
    evidence = await arena.check()
    report = consumer.log("worker_stopped")[0]
    assert report["duplicates"] == 0
    # What was committed without an answer is not read again, so the worker has not counted it.
    assert (report["records"] < len(evidence.log)) == (fate == "lose_answer")


@pytest.mark.long
async def test_silent_database(arena: Arena) -> None:
    """F9: nothing gets through in either direction for longer than every deadline; the consumer stays."""
    consumer = await arena.consume()
    producer = arena.producer(events_per_s=200)
    producer.start()
    await arena.moves(100)
    member = await _member(arena)
    arena.database_proxy.stall()
    await consumer.logged("attempt_failed", times=2)
    assert await _member(arena) == member
    # The server has let go of what the silent connections held.
    await eventually(lambda: _no_open_transaction(arena), "no transaction is left open")
    arena.database_proxy.resume()
    await arena.moves(300)
    await arena.check()


async def _no_open_transaction(arena: Arena) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND xact_start IS NOT NULL"
    return int(await arena.fetch(query, APPLICATION_NAME)) == 0
