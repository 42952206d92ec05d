"""What health costs and may: deadlines, privileges, no full scans, and nothing left behind."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import SettingsError
from arc_eval_db.health import CHECK_NAMES, ROWS_MAX, DatabaseHealthChecker, State
from arc_eval_db.health.benchmark import benchmark_on
from arc_eval_db.health.check import Check, Context, least_id
from arc_eval_db.health.checks import CHECKS
from arc_eval_db.health.synthetic import outcomes
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas.ids import uuid7
from arc_eval_db.sql import queries
from arc_eval_db.writer.rows import COLUMNS
from support.health import look, quick
from support.proxy import TcpProxy
from support.roles import as_role
from support.tables import contents

pytestmark = pytest.mark.database

RELATIONS = "SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_class"
DEAD_OR_ALIVE = "SELECT pg_relation_size('outcomes') + count(*) FROM outcomes"
LOOKED_THROUGH = ("orphans", "executions", "dead_letters", "new_dead_letters", "partitions")
ROWS_LOOKED_THROUGH = [check for check in CHECKS if check.name in LOOKED_THROUGH]


@pytest.fixture
async def stranger(database: DatabaseSettings, session: Session) -> AsyncIterator[tuple[str, DatabaseSettings]]:
    """A login that may nothing."""
    name = f"arc_eval_test_{secrets.token_hex(6)}"
    await session.execute(f"CREATE ROLE {name} LOGIN")
    try:
        yield name, await as_role(database, name)
    finally:
        await session.execute(f"DROP ROLE {name}")


async def test_what_may_not_be_seen_names_the_grant_that_helps(
    stranger: tuple[str, DatabaseSettings], session: Session
) -> None:
    name, settings = stranger
    unseen = await look(settings, "orphans")
    assert (unseen.state, unseen.value) == (State.UNKNOWN, None)
    assert "SchemaMismatchError" in unseen.found
    assert unseen.next_step == f'GRANT arc_eval_reader TO "{name}"'
    hidden = await look(settings, "idle_transactions")
    assert (hidden.state, hidden.next_step) == (State.UNKNOWN, f'GRANT pg_monitor TO "{name}"')
    for step in (unseen.next_step, hidden.next_step):
        await session.execute(step)
    assert (await look(settings, "orphans")).state is State.OK
    assert (await look(settings, "idle_transactions")).state is State.OK


async def test_the_reader_sees_all_but_other_people_s_sessions(database: DatabaseSettings, session: Session) -> None:
    settings = await as_role(database, "arc_eval_reader")
    report = await DatabaseHealthChecker(settings, settings=quick()).check()
    assert session  # another user's
    unknown = {result.check for result in report.results if result.state is State.UNKNOWN}
    lacking = {"slow_statements", "disk", "chunks", "compression", "jobs", "aggregates"}
    assert unknown - lacking == {"writes", "idle_transactions", "long_transactions", "long_queries"}
    assert "arc_eval_reader only reads" in report.result("writes").next_step
    assert all(result.next_step for result in report.results if result.state is not State.OK)


async def test_the_owner_sees_everything(database: DatabaseSettings, edition: Edition) -> None:
    report = await DatabaseHealthChecker(database, settings=quick()).check()
    unknown = {result.check for result in report.results if result.state is State.UNKNOWN}
    only_timescaledb = {"chunks", "compression", "jobs", "aggregates"}
    assert unknown == {"slow_statements", "disk"} | (set() if edition is Edition.TIMESCALEDB else only_timescaledb)
    assert report.edition == edition
    assert bool(report.lost) is (edition is Edition.POSTGRESQL)
    assert [result.check for result in report.results] == [name for name in CHECK_NAMES if name != "pool"]


async def test_one_check_that_fails_is_one_that_is_unknown(database: DatabaseSettings, session: Session) -> None:
    await session.execute("BEGIN")
    await session.execute("LOCK TABLE dead_letters")
    checker = DatabaseHealthChecker(database, settings=quick(check_timeout_s=0.3))
    report = await checker.check(["dead_letters", "locks", "wraparound"])
    assert report.result("dead_letters").state is State.UNKNOWN
    assert report.result("wraparound").state is State.OK
    assert report.state is State.OK
    await session.execute("ROLLBACK")
    assert (await checker.check(["dead_letters"])).result("dead_letters").state is State.OK


@pytest.mark.parametrize("stalls_after", [0, 1])
async def test_a_server_that_falls_silent_costs_no_more_than_the_deadline(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, stalls_after: int
) -> None:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        settings = database.model_copy(update={"database_url": SecretStr(proxy.url)})
        checker = DatabaseHealthChecker(settings, settings=quick(check_timeout_s=0.3, timeout_s=5))
        if stalls_after == 0:
            proxy.stall()
        else:
            see = Check.see

            async def stall(check: Check, session: Session, context: Context) -> object:
                if check.name == "writes":
                    proxy.stall()
                return await see(check, session, context)

            monkeypatch.setattr(Check, "see", stall)
        async with asyncio.timeout(60):
            report = await checker.check()
        assert report.result("server").state is (State.OK if stalls_after else State.CRITICAL)
        assert {one.state for one in report.results if one.check not in ("server", "writes")} == {State.UNKNOWN}
        # Rows that cannot be written are not only unseen.
        assert report.result("writes").state is State.CRITICAL
        assert "CheckTimeoutError" in report.result("writes").found
        proxy.resume()


async def test_a_server_that_takes_no_writes_is_critical(database: DatabaseSettings, session: Session) -> None:
    """Its login may write, and nothing is written: so it is, too, where a disk is full."""
    name = database.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    await session.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    found = await look(database, "writes")
    assert (found.state, found.value) == (State.CRITICAL, None)
    assert found.next_step.startswith("SHOW default_transaction_read_only")
    await session.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    async with session.transaction():
        await session.execute("LOCK TABLE outcomes")
        locked = await look(database, "writes", check_timeout_s=0.3)
    assert (locked.state, locked.next_step) == (State.CRITICAL, "look at locks, checkpoints and the server's disk")


async def test_a_silent_server_is_connected_to_once(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0
    connect = Session.connect

    async def counted(settings: DatabaseSettings, *, application_name: str) -> Session:
        nonlocal attempts
        attempts += 1
        return await connect(settings, application_name=application_name)

    monkeypatch.setattr(Session, "connect", counted)
    away = database.model_copy(update={"database_url": SecretStr("postgresql://u:p@127.0.0.1:1/x")})
    report = await DatabaseHealthChecker(away, settings=quick()).check()
    assert (report.state, attempts) == (State.CRITICAL, 1)


async def test_an_unreachable_server_is_critical_and_keeps_its_password() -> None:
    settings = DatabaseSettings.load(database_url="postgresql://u:s3cret@127.0.0.1:1/x")
    report = await DatabaseHealthChecker(settings, settings=quick()).check()
    assert (report.state, report.edition) == (State.CRITICAL, None)
    assert "s3cret" not in report.to_json()


async def test_when_the_time_is_over_the_rest_is_unknown(database: DatabaseSettings) -> None:
    report = await DatabaseHealthChecker(database, settings=quick(timeout_s=1e-9)).check(["locks"])
    assert "no time was left" in report.result("locks").found


async def test_a_check_that_there_is_not(database: DatabaseSettings) -> None:
    with pytest.raises(SettingsError, match="there is no check moon; there are server, "):
        await DatabaseHealthChecker(database, settings=quick()).check(["moon"])


async def test_looking_leaves_nothing(database: DatabaseSettings, session: Session) -> None:
    before = await contents(session)
    assert (await DatabaseHealthChecker(database, settings=quick()).check()).result("writes").state is State.OK
    assert await contents(session) == before


async def test_a_benchmark_leaves_nothing(database: DatabaseSettings, session: Session, edition: Edition) -> None:
    await session.copy("outcomes", tuple(COLUMNS["outcomes"]), outcomes(10))
    before = (await contents(session), await session.fetch_value(RELATIONS), await session.fetch_value(DEAD_OR_ALIVE))
    benchmark = await DatabaseHealthChecker(database, settings=quick()).benchmark_writes(12_000)
    assert (benchmark.rows, benchmark.rows_per_s > 0) == (12_000, True)
    assert benchmark.place == ("hypertable" if edition is Edition.TIMESCALEDB else "table")
    after = (await contents(session), await session.fetch_value(RELATIONS), await session.fetch_value(DEAD_OR_ALIVE))
    assert after == before


async def test_a_benchmark_by_who_may_not_create_tables(database: DatabaseSettings) -> None:
    admin = await as_role(database, "arc_eval_admin")
    benchmark = await DatabaseHealthChecker(admin, settings=quick()).benchmark_writes(100)
    assert (benchmark.rows, benchmark.place) == (100, "temporary table")


async def test_a_benchmark_has_its_limits(database: DatabaseSettings, session: Session) -> None:
    assert (await benchmark_on(session, 1000, 0.0)).rows == 0
    for rows in (0, ROWS_MAX + 1):
        with pytest.raises(ValueError, match="rows must be between 1 and 1,000,000"):
            await benchmark_on(session, rows, 1.0)


@pytest.mark.parametrize("check", ROWS_LOOKED_THROUGH, ids=lambda check: check.name)
async def test_rows_are_found_by_an_index(session: Session, check: Check) -> None:
    await session.copy("outcomes", tuple(COLUMNS["outcomes"]), outcomes(100))
    await session.execute("INSERT INTO consumer_lag_samples VALUES (now(), 'g', 't', 0, 0, 0, 0, 0)")
    await session.execute("SET enable_seqscan = off")
    assert check.query is not None
    arguments = check.arguments(Context(quick()))
    plan = await session.fetch(f"EXPLAIN {queries('health')[check.query]}", *arguments)
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    tables = ("outcomes", "tool_usage", "failures", "execution_events", "executions", "dead_letters", "_hyper")
    assert [line for line in text.splitlines() if "Seq Scan on" in line and any(name in line for name in tables)] == []
    assert "Index" in text


def test_the_least_id_of_a_time_is_before_those_made_since() -> None:
    bound, _ = least_id(timedelta(0))
    assert least_id(timedelta(seconds=1))[0] < bound < uuid7()
