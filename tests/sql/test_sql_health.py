"""Each check goes from well to not well when the condition is really made, and back when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.database import DatabaseError, DatabaseSettings, Session, SessionPool
from arc_eval_db.health import DatabaseHealthChecker, State
from arc_eval_db.health.synthetic import INSERT_OUTCOME, outcomes
from arc_eval_db.writer.rows import COLUMNS
from support.conditions import eventually
from support.databases import connect
from support.health import LITTLE, MUCH, flush_statistics, look, quick

pytestmark = pytest.mark.database

EXECUTION = (
    "INSERT INTO executions (id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at)"
    " SELECT execution_id, configuration_version_id, scenario_id, simulation_id, time, time FROM outcomes"
)


async def insert_outcome(session: Session, **changes: object) -> None:
    (row,) = outcomes(1)
    await session.execute(INSERT_OUTCOME, *{**dict(zip(COLUMNS["outcomes"], row, strict=True)), **changes}.values())


@pytest.fixture
async def other(database: DatabaseSettings) -> AsyncIterator[Session]:
    """Another session, which may be idle in a transaction."""
    async with await connect(database.model_copy(update={"database_idle_in_transaction_timeout_ms": 0})) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(database: DatabaseSettings, session: Session, statement: str) -> AsyncIterator[None]:
    """A statement that does not end by itself."""
    pid = await session.fetch_value("SELECT pg_backend_pid()")
    task = asyncio.create_task(session.execute(statement))
    try:
        yield
    finally:
        async with await connect(database) as killer:
            await killer.fetch("SELECT pg_terminate_backend($1)", pid)
        with contextlib.suppress(DatabaseError):
            await task


async def becomes(database: DatabaseSettings, name: str, state: State, **thresholds: float) -> None:
    async def is_so() -> bool:
        return (await look(database, name, **thresholds)).state is state

    await eventually(is_so, f"{name} is {state}")


@pytest.mark.parametrize(
    ("check", "limit"), [("idle_transactions", "idle_transaction"), ("long_transactions", "transaction")]
)
async def test_an_open_transaction(database: DatabaseSettings, other: Session, check: str, limit: str) -> None:
    await other.execute("BEGIN")
    await other.execute("SELECT 'a-literal'")
    thresholds = {f"{limit}_warn_s": LITTLE, f"{limit}_critical_s": MUCH}
    await becomes(database, check, State.WARN, **thresholds)
    assert (await look(database, check)).state is State.OK
    found = await look(database, check, **{**thresholds, f"{limit}_critical_s": LITTLE})
    assert (found.state, "pg_terminate_backend" in found.next_step) == (State.CRITICAL, True)
    assert "a-literal" not in repr(found)
    await other.execute("ROLLBACK")
    await becomes(database, check, State.OK, **thresholds)


async def test_a_long_query_and_none_of_its_text(database: DatabaseSettings, other: Session) -> None:
    thresholds = {"query_warn_s": LITTLE}
    async with running(database, other, "SELECT pg_sleep(300), 'a-literal'"):
        await becomes(database, "long_queries", State.WARN, **thresholds)
        assert "a-literal" not in (await DatabaseHealthChecker(database, settings=quick()).check()).to_json()
    await becomes(database, "long_queries", State.OK, **thresholds)


async def test_a_wait_for_a_lock(database: DatabaseSettings, session: Session, other: Session) -> None:
    await other.execute("BEGIN")
    await other.execute("LOCK TABLE scenarios")
    holder = await other.fetch_value("SELECT pg_backend_pid()")
    async with running(database, session, "SELECT FROM scenarios"):
        await becomes(database, "locks", State.WARN, lock_wait_warn_s=LITTLE)
        assert f"in its way: {holder}" in (await look(database, "locks")).found
        await other.execute("ROLLBACK")
    await becomes(database, "locks", State.OK, lock_wait_warn_s=LITTLE)


async def insert_letters(session: Session, count: int, apart: timedelta = timedelta(0)) -> None:
    """So many, the last of now, and each so long after the one before."""
    await session.execute(
        "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
        " headers, consumer_group, consumer_version, dead_lettered_at)"
        " SELECT 't', 0, each, now(), 'invalid_json', 'e', 'd', '[]', 'g', 'v', now() - ($1 - each) * $2::interval"
        " FROM generate_series(1, $1::int) AS each",
        count,
        apart,
    )


async def test_dead_letters(database: DatabaseSettings, session: Session) -> None:
    await insert_letters(session, 3)
    found = await look(database, "dead_letters")
    assert (found.state, found.value, found.next_step) == (State.WARN, 3, "arc-eval-db dead-letters list")
    assert (await look(database, "dead_letters", dead_letters_critical=3)).state is State.CRITICAL
    await session.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded'")
    assert (await look(database, "dead_letters")).state is State.OK


async def test_new_dead_letters_are_so_for_a_quarter_of_an_hour(database: DatabaseSettings, session: Session) -> None:
    await insert_letters(session, 14, timedelta(minutes=4))
    found = await look(database, "new_dead_letters")
    assert (found.state, found.value, found.found) == (State.OK, 4, "4 within 15.0 min (4 invalid_json)")
    await session.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded'")
    again = await look(database, "new_dead_letters", new_dead_letters_warn=4)
    assert (again.state, again.value) == (State.WARN, 4), "dealt with or not"


async def test_orphans(database: DatabaseSettings, session: Session) -> None:
    await insert_outcome(session)
    found = await look(database, "orphans")
    assert (found.state, found.value, "1 of outcomes" in found.found) == (State.CRITICAL, 1, True)
    await session.execute(EXECUTION)
    assert "1 of executions" in (await look(database, "orphans")).found
    await session.execute("INSERT INTO configuration_versions (id) SELECT configuration_version_id FROM executions")
    await session.execute("INSERT INTO scenarios (id) SELECT scenario_id FROM executions")
    await session.execute("INSERT INTO simulations (id) SELECT simulation_id FROM executions")
    found = await look(database, "orphans")
    assert (found.state, found.found) == (State.OK, "every row has its parents, of 2 that were looked at")


async def test_incomplete_executions(database: DatabaseSettings, session: Session) -> None:
    await insert_outcome(session, time=datetime.now(UTC), last_sequence=5)
    await session.execute(EXECUTION)
    assert (await look(database, "executions")).found.startswith("0 of the latest 0"), "it has just ended"
    found = await look(database, "executions", incomplete_grace_s=0)
    assert (found.state, found.value, "4 in all" in found.found) == (State.WARN, 1, True)
    await session.execute("UPDATE outcomes SET sequence = 1, last_sequence = 1")
    assert (await look(database, "executions", incomplete_grace_s=0)).found.startswith("0 of the latest 1")


async def test_gaps_of_the_log(database: DatabaseSettings, session: Session) -> None:
    await session.execute("INSERT INTO log_gaps VALUES ('g', 't', 0, 10, 20, 'retention', now(), 'v')")
    assert (await look(database, "log_gaps")).state is State.WARN
    assert (await look(database, "log_gaps", log_gaps_critical_records=10)).state is State.CRITICAL
    await session.execute("UPDATE log_gaps SET noticed_at = now() - INTERVAL '8 days'")
    assert (await look(database, "log_gaps")).state is State.OK


async def test_a_halted_partition(database: DatabaseSettings, session: Session) -> None:
    await session.execute("INSERT INTO consumer_offsets VALUES ('g', 't', 0, 10)")
    assert (await look(database, "partitions")).state is State.UNKNOWN
    await session.execute(
        "INSERT INTO consumer_lag_samples SELECT now() - each * INTERVAL '1 minute', 'g', 't', 0, 10, 0, 15, 5"
        " FROM generate_series(1, 10) AS each"
    )
    found = await look(database, "partitions")
    assert (found.state, "t/0 of group g" in found.found) == (State.WARN, True)
    assert (await look(database, "partitions", partition_halted_critical_s=540)).state is State.CRITICAL
    await session.execute("UPDATE consumer_offsets SET next_offset = 11")
    assert (await look(database, "partitions")).state is State.OK
    unseen = await look(database, "partitions", partition_halted_warn_s=50)
    assert (unseen.state, unseen.found) == (State.UNKNOWN, "no worker has recorded the lag for 1.0 min")


async def test_an_exhausted_pool_is_seen_from_outside(database: DatabaseSettings) -> None:
    small = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 1})
    async with await SessionPool.open(small, application_name="tests") as pool:
        checker = DatabaseHealthChecker(pool, settings=quick())
        async with pool.session():
            report = await checker.check()
            assert report.result("pool").state is State.CRITICAL
            assert report.result("server").state is State.OK
        assert (await checker.check(["pool"])).state is State.OK


async def test_a_client_s_pool(database: DatabaseSettings) -> None:
    async with ArcEvalDBClient(database.model_copy(update={"database_pool_size_min": 0})) as client:
        report = await DatabaseHealthChecker(client, settings=quick()).check()
        assert report.result("pool").state is State.OK
    assert "pool" not in [
        result.check for result in (await DatabaseHealthChecker(database, settings=quick()).check()).results
    ]


async def test_dead_tuples_and_an_overdue_vacuum(database: DatabaseSettings, session: Session) -> None:
    await session.execute("ALTER TABLE scenarios SET (autovacuum_enabled = off)")
    await session.execute("INSERT INTO scenarios SELECT gen_random_uuid(), 'x' FROM generate_series(1, 1000)")
    await session.execute("UPDATE scenarios SET name = 'y'")
    await flush_statistics(session)
    await becomes(database, "dead_tuples", State.WARN, dead_tuples_min=100)
    found = await look(database, "dead_tuples", dead_tuples_min=100)
    await becomes(database, "autovacuum", State.WARN)
    assert (await look(database, "dead_tuples")).state is State.OK, "a small table"
    await session.execute(found.next_step)
    await becomes(database, "dead_tuples", State.OK, dead_tuples_min=100)
    await becomes(database, "autovacuum", State.OK)


async def test_a_slot_that_holds_wal(database: DatabaseSettings, session: Session) -> None:
    name = f"arc_eval_test_{secrets.token_hex(6)}"
    await session.fetch("SELECT pg_create_physical_replication_slot($1, true)", name)
    try:
        await session.execute("CREATE TABLE wal_writer AS SELECT generate_series(1, 1000) AS n")
        found = await look(database, "slots", slot_warn_bytes=1)
        assert found.state is State.WARN
        assert (await look(database, "slots")).state is State.OK
    finally:
        await session.fetch("SELECT pg_drop_replication_slot($1)", name)


async def test_figures_of_the_server(database: DatabaseSettings, session: Session) -> None:
    await session.execute("CREATE TABLE wal_writer AS SELECT generate_series(1, 1000) AS n")
    for check, limit in (
        ("server", "latency_{}_ms"),
        ("writes", "write_{}_ms"),
        ("connections", "connections_{}_share"),
        ("wraparound", "wraparound_{}_transactions"),
        ("checkpoints", "checkpoint_{}_share"),
    ):
        warn, critical = limit.format("warn"), limit.format("critical")
        assert (await look(database, check, **{warn: LITTLE, critical: LITTLE})).state is State.CRITICAL, check
        assert (await look(database, check, **{warn: LITTLE, critical: MUCH})).state is State.WARN, check
        assert (await look(database, check, **{warn: MUCH, critical: MUCH})).state is State.OK, check
    assert (await look(database, "standbys")).state is State.OK
    assert (await look(database, "disk")).state is State.UNKNOWN
    assert (await look(database, "disk", disk_bytes=1)).state is State.CRITICAL
    assert (await look(database, "disk", disk_bytes=MUCH * 1000)).state is State.OK


async def test_throughput_is_counted_between_two_looks(database: DatabaseSettings, session: Session) -> None:
    checker = DatabaseHealthChecker(database, settings=quick(throughput_warn_rows_per_s=LITTLE))
    assert (await checker.check(["throughput"])).state is State.WARN, "nobody writes"
    await session.copy("outcomes", tuple(COLUMNS["outcomes"]), outcomes(500))
    await flush_statistics(session)
    report = await checker.check(["throughput"])
    assert report.state is State.OK, report
    assert (report.result("throughput").value or 0) > 0


async def test_statements_are_named_by_id(database: DatabaseSettings, session: Session) -> None:
    assert (await look(database, "slow_statements")).found == "needs the extension pg_stat_statements"
    # Where the tests run there is no such extension; what is asked of it is in this.
    await session.execute(
        "CREATE VIEW pg_stat_statements AS SELECT oid AS dbid, 42::bigint AS queryid, 20::bigint AS calls,"
        " 6000::float8 AS mean_exec_time, 'a-literal' AS query FROM pg_database WHERE datname = current_database()"
    )
    found = await look(database, "slow_statements")
    assert (found.state, found.value) == (State.WARN, 6000)
    assert found.next_step.endswith("SELECT pg_stat_statements_reset(0, 0, 42)")
    assert "a-literal" not in repr(found)
    assert (await look(database, "slow_statements", statement_calls_min=21)).state is State.OK
