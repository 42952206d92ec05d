"""The checks of what only TimescaleDB has."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.health import State
from arc_eval_db.health.synthetic import INSERT_OUTCOME, outcomes
from arc_eval_db.writer.rows import COLUMNS
from support.conditions import eventually
from support.health import look

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("timescaledb")]


@pytest.fixture(autouse=True)
async def _no_job_comes_in_between(session: Session, timescaledb: None) -> None:
    await session.fetch("SELECT alter_job(job_id, scheduled => false)::text FROM timescaledb_information.jobs")


async def becomes(database: DatabaseSettings, name: str, state: State) -> None:
    async def is_so() -> bool:
        return (await look(database, name)).state is state

    await eventually(is_so, f"{name} is {state}")


async def insert_outcome(session: Session, age: timedelta) -> None:
    (row,) = outcomes(1)
    values = {**dict(zip(COLUMNS["outcomes"], row, strict=True)), "time": datetime.now(UTC) - age}
    await session.execute(INSERT_OUTCOME, *values.values())


async def test_a_chunk_in_the_future(database: DatabaseSettings, session: Session) -> None:
    await insert_outcome(session, timedelta(0))
    assert (await look(database, "chunks")).state is State.OK
    await insert_outcome(session, timedelta(days=-10))
    found = await look(database, "chunks")
    assert (found.state, found.value, "of outcomes" in found.found) == (State.WARN, 1, True)
    assert (await look(database, "chunks", chunks_ahead_s=11 * 86_400)).state is State.OK
    await session.fetch("SELECT drop_chunks('outcomes', newer_than => now() + INTERVAL '5 days')")
    assert (await look(database, "chunks")).state is State.OK


async def test_a_chunk_that_should_be_compressed(database: DatabaseSettings, session: Session) -> None:
    await insert_outcome(session, timedelta(days=5))
    assert (await look(database, "compression")).state is State.OK
    await insert_outcome(session, timedelta(days=30))
    found = await look(database, "compression")
    assert (found.state, found.value) == (State.WARN, 1)
    assert (await look(database, "compression", compression_critical_chunks=1)).state is State.CRITICAL
    await session.fetch("SELECT compress_chunk(show_chunks('outcomes', older_than => INTERVAL '20 days'))::text")
    found = await look(database, "compression")
    assert (found.state, "of their size" in found.found) == (State.OK, True)


async def test_an_aggregate_that_is_behind(database: DatabaseSettings, session: Session) -> None:
    assert (await look(database, "aggregates")).state is State.OK
    await insert_outcome(session, timedelta(days=4))
    found = await look(database, "aggregates")
    assert found.state is State.CRITICAL
    assert (await look(database, "aggregates", aggregate_critical_s=1e9)).state is State.WARN
    # Of this row there is nothing in errors_hourly, whose refresh leaves no other trace than that it was done.
    await session.fetch_value("SELECT _timescaledb_functions.start_background_workers()")

    async def is_mended() -> bool:
        """By the step that is told, which each of the aggregates needs."""
        found = await look(database, "aggregates")
        if found.next_step:
            await session.fetch(f"{found.next_step}::text")
        return found.state is State.OK

    await eventually(is_mended, "every aggregate is up to date", timeout_s=60)


async def test_the_step_that_brings_an_aggregate_up_to_date_empties_no_history(
    database: DatabaseSettings, session: Session
) -> None:
    """A refresh from the beginning would: of what it finds no rows for it keeps no rollup."""
    history = "SELECT count(*) FROM outcomes_hourly WHERE bucket < now() - INTERVAL '300 days'"
    await insert_outcome(session, timedelta(days=400))
    await session.execute("CALL refresh_continuous_aggregate('outcomes_hourly', NULL, NULL)")
    await session.fetch("SELECT drop_chunks('outcomes', older_than => INTERVAL '380 days')")
    assert await session.fetch_value(history) == 1
    await insert_outcome(session, timedelta(days=4))
    assert re.match(r"SELECT alter_job\(\d+, ", (await look(database, "aggregates")).next_step)
    jobs = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    for row in await session.fetch(jobs):
        await session.execute(f"CALL run_job({row['job_id']})")
    assert await session.fetch_value(history) == 1


async def test_jobs_that_are_paused_and_jobs_that_fail(database: DatabaseSettings, session: Session) -> None:
    found = await look(database, "jobs")
    assert (found.state, "paused" in found.found) == (State.WARN, True)
    await session.fetch(
        "SELECT alter_job(job_id, scheduled => true, next_start => now() + INTERVAL '1 day')::text"
        " FROM timescaledb_information.jobs"
    )
    assert (await look(database, "jobs")).state is State.OK
    body = "CREATE OR REPLACE PROCEDURE does(job_id int, config jsonb) LANGUAGE plpgsql AS $$ BEGIN {} END $$"
    await session.execute(body.format("RAISE EXCEPTION 'a-literal';"))
    await session.fetch_value("SELECT _timescaledb_functions.start_background_workers()")
    job = await session.fetch_value("SELECT add_job('does', '1 hour', initial_start => now())")

    await becomes(database, "jobs", State.WARN)
    found = await look(database, "jobs")
    assert f"{job} (does)" in found.found
    assert "a-literal" not in repr(found)
    await session.execute(body.format("NULL;"))
    await session.fetch("SELECT alter_job($1, next_start => now())::text", job)
    await becomes(database, "jobs", State.OK)
