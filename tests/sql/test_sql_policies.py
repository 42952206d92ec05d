"""Policies on old rows: recorded, done by the server, changed, and missed by `migrate verify` when they are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import (
    Edition,
    PolicyError,
    StoragePolicy,
    chunks_to_drop,
    read_policies,
    schema_difference,
    set_policy,
)
from arc_eval_db.migrations.policies import AGGREGATES, refresh_aggregates_of
from support.databases import connect, temporary_database

pytestmark = pytest.mark.database

DEFAULTS = {
    "outcomes": (7, 365),
    "tool_usage": (7, 90),
    "failures": (7, 180),
    "execution_events": (7, 30),
    "consumer_lag_samples": (7, 14),
    **dict.fromkeys(AGGREGATES, (None, None)),
    "scenario_outcomes_hourly": (30, None),
}


@pytest.fixture(scope="module")
async def untouched(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[Session]:
    """One database for all tests that undo what they do."""
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(database_server, template=name) as settings, await connect(settings) as opened:
        yield opened


def days(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(days=count)


async def job(session: Session, relation: str, procedure: str) -> dict[str, Any] | None:
    rows = await session.fetch(
        "SELECT (config ->> 'drop_after')::interval AS drop_after, (config ->> 'compress_after')::interval AS"
        " compress_after, (config ->> 'start_offset')::interval AS start_offset FROM timescaledb_information.jobs"
        " WHERE hypertable_name = $1 AND proc_name = $2",
        relation,
        procedure,
    )
    return dict(rows[0]) if rows else None


async def test_the_policies_of_the_design_are_recorded_in_both_editions(session: Session) -> None:
    found = {policy.relation: (policy.compress_after, policy.drop_after) for policy in await read_policies(session)}
    assert found == {relation: (days(first), days(second)) for relation, (first, second) in DEFAULTS.items()}


async def test_a_change_is_done_by_the_servers_jobs(timescaledb: None, session: Session, edition: Edition) -> None:
    await set_policy(session, edition, StoragePolicy("tool_usage", days(3), days(20)))
    retention = await job(session, "tool_usage", "policy_retention")
    compression = await job(session, "tool_usage", "policy_compression")
    assert retention is not None
    assert compression is not None
    assert (retention["drop_after"], compression["compress_after"]) == (days(20), days(3))
    for aggregate in ("tool_usage_hourly", "tool_usage_daily"):
        refresh = await job(session, aggregate, "policy_refresh_continuous_aggregate")
        # A refresh of dropped rows would empty the aggregate.
        assert refresh is not None
        assert refresh["start_offset"] == days(18)
    assert await schema_difference(session, edition) == []


async def test_never_removes_a_job_and_an_age_brings_it_back(
    timescaledb: None, session: Session, edition: Edition
) -> None:
    await set_policy(session, edition, StoragePolicy("failures", None, None))
    assert await job(session, "failures", "policy_retention") is None
    assert await job(session, "failures", "policy_compression") is None
    refresh = await job(session, "failures_daily", "policy_refresh_continuous_aggregate")
    assert refresh is not None
    # What was dropped before is not there to be computed again.
    assert refresh["start_offset"] == days(178)
    assert await schema_difference(session, edition) == []
    await set_policy(session, edition, StoragePolicy("failures", days(7), days(180)))
    assert await job(session, "failures", "policy_retention") is not None
    assert await schema_difference(session, edition) == []


async def test_rollups_may_be_compressed_and_dropped_too(timescaledb: None, session: Session, edition: Edition) -> None:
    await set_policy(session, edition, StoragePolicy("scenario_outcomes_hourly", days(10), days(730)))
    retention = await job(session, "scenario_outcomes_hourly", "policy_retention")
    compression = await job(session, "scenario_outcomes_hourly", "policy_compression")
    assert retention is not None
    assert compression is not None
    assert (retention["drop_after"], compression["compress_after"]) == (days(730), days(10))
    assert await schema_difference(session, edition) == []


async def calls_by_refresh(session: Session) -> int:
    await refresh_aggregates_of(session, "tool_usage")
    return int(await session.fetch_value("SELECT sum(calls) FROM tool_reliability"))


async def write_tool_uses(session: Session, ages: Sequence[int]) -> None:
    await session.execute(
        "INSERT INTO tool_usage (time, event_id, execution_id, configuration_version_id, scenario_id, sequence, tool,"
        " success) SELECT now() - age * INTERVAL '1 day', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
        " gen_random_uuid(), 1, 'edit', true FROM unnest($1::int[]) AS age",
        list(ages),
    )


@pytest.mark.parametrize("kept", [180, 400, None])
async def test_a_longer_life_leaves_the_history_of_what_was_dropped(
    timescaledb: None, session: Session, edition: Edition, kept: int | None
) -> None:
    await set_policy(session, edition, StoragePolicy("tool_usage", days(7), None))
    await write_tool_uses(session, range(1, 200, 10))
    await session.execute("CALL refresh_continuous_aggregate('tool_usage_hourly', NULL, NULL)")
    await session.execute("CALL refresh_continuous_aggregate('tool_usage_daily', NULL, NULL)")
    await set_policy(session, edition, StoragePolicy("tool_usage", days(7), days(90)))
    await session.execute("SELECT drop_chunks('tool_usage', INTERVAL '90 days')")
    assert await calls_by_refresh(session) == 20
    await set_policy(session, edition, StoragePolicy("tool_usage", days(7), days(kept)))
    assert await calls_by_refresh(session) == 20
    assert await schema_difference(session, edition) == []


async def test_a_shorter_life_counts_first_what_it_drops(timescaledb: None, session: Session, edition: Edition) -> None:
    await write_tool_uses(session, (1, 30, 60, 80))
    await set_policy(session, edition, StoragePolicy("tool_usage", days(7), days(20)))
    await session.execute("SELECT drop_chunks('tool_usage', INTERVAL '20 days')")
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 1
    assert await calls_by_refresh(session) == 4


async def test_how_much_a_shorter_life_drops(timescaledb: None, session: Session) -> None:
    await session.execute(
        "INSERT INTO consumer_lag_samples SELECT now() - age * INTERVAL '1 day', 'g', 't', 0, 0, 0, 0, 0"
        " FROM generate_series(0, 9) AS age"
    )
    assert await chunks_to_drop(session, StoragePolicy("consumer_lag_samples", None, days(4))) in (5, 6)
    assert await chunks_to_drop(session, StoragePolicy("consumer_lag_samples", None, None)) == 0


async def test_the_plain_edition_only_records(session: Session) -> None:
    await set_policy(session, Edition.POSTGRESQL, StoragePolicy("outcomes", days(3), None))
    assert StoragePolicy("outcomes", days(3), None) in await read_policies(session)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (("outcomes", None, 6), "outcomes: must be kept for at least 7 days"),
        (("execution_events", None, 6), "execution_events: must be kept for at least 7 days"),
        (("consumer_lag_samples", None, 0), "consumer_lag_samples: can drop after one day at the earliest"),
        (("execution_events", 0, None), "execution_events: can compress after one day at the earliest"),
        (("outcomes_daily", 7, None), "outcomes_daily: it is small, and is not compressed"),
    ],
)
def test_what_cannot_be_a_policy(policy: tuple[str, int | None, int | None], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        StoragePolicy(policy[0], days(policy[1]), days(policy[2]))


async def test_an_unknown_table_is_refused_and_nothing_changes(session: Session, edition: Edition) -> None:
    before = await read_policies(session)
    with pytest.raises(PolicyError, match="nonsense: nothing is recorded for it; there are consumer_lag_samples, "):
        await set_policy(session, edition, StoragePolicy("nonsense", None, None))
    assert await read_policies(session) == before


async def test_the_schema_of_a_fresh_database_is_the_committed_one(session: Session, edition: Edition) -> None:
    assert await schema_difference(session, edition) == []


@pytest.mark.parametrize(
    ("drift", "missing", "found"),
    [
        ("DROP INDEX outcomes_execution_id_idx", "CREATE INDEX outcomes_execution_id_idx", None),
        ("CREATE INDEX extra ON outcomes (status)", None, None),
        ("ALTER TABLE outcomes DROP COLUMN score CASCADE", "score double precision", None),
        ("ALTER TABLE outcomes DROP CONSTRAINT outcomes_status_check", "CONSTRAINT outcomes_status_check", None),
        ("DROP VIEW performance_trends", "CREATE VIEW performance_trends AS", None),
        (
            (
                "CREATE OR REPLACE FUNCTION abandoned_after() RETURNS interval LANGUAGE sql STABLE AS"
                " $$ SELECT INTERVAL '1 day' $$"
            ),
            "current_setting",
            "SELECT INTERVAL '1 day'",
        ),
        (
            "REVOKE SELECT ON outcomes FROM arc_eval_reader",
            "-- arc_eval_reader may SELECT on outcomes",
            None,
        ),
        ("GRANT DELETE ON outcomes TO arc_eval_writer", "may INSERT on outcomes", "may DELETE, INSERT on outcomes"),
    ],
)
async def test_verify_finds_what_has_drifted(
    untouched: Session, edition: Edition, drift: str, missing: str | None, found: str | None
) -> None:
    await check_drift(untouched, edition, drift, missing, found)


@pytest.mark.parametrize(
    ("drift", "missing", "found"),
    [
        (
            "SELECT set_chunk_time_interval('failures', INTERVAL '7 days')",
            "failures: chunks of 1 day",
            "chunks of 7 days",
        ),
        ("SELECT remove_retention_policy('outcomes')", "policy_retention on outcomes: as", "outcomes: missing"),
        ("SELECT remove_compression_policy('outcomes')", "policy_compression on outcomes: as", "outcomes: missing"),
        (
            "SELECT remove_continuous_aggregate_policy('errors_daily')",
            "policy_refresh_continuous_aggregate on errors_daily: as",
            "errors_daily: missing",
        ),
        (
            "SELECT remove_retention_policy('outcomes'); SELECT add_retention_policy('outcomes', INTERVAL '9 days')",
            "policy_retention on outcomes: as",
            "outcomes: after 9 days, 0:00:00, where storage_policies says 365 days, 0:00:00",
        ),
        (
            "SELECT add_retention_policy('outcomes_daily', INTERVAL '999 days')",
            "policy_retention on outcomes_daily: as",
            "outcomes_daily: after 999 days, 0:00:00, where storage_policies says never",
        ),
        (
            (
                "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs"
                " WHERE hypertable_name = 'tool_usage' AND proc_name = 'policy_retention'"
            ),
            "policy_retention on tool_usage: as",
            "tool_usage: paused",
        ),
        (
            (
                "SELECT alter_job(job_id, schedule_interval => INTERVAL '7 days') FROM timescaledb_information.jobs"
                " WHERE hypertable_name = 'outcomes_hourly' AND proc_name LIKE 'policy_refresh%'"
            ),
            "outcomes_hourly: as in storage_policies, every 00:15:00",
            "outcomes_hourly: as in storage_policies, every 7 days",
        ),
        (
            "ALTER MATERIALIZED VIEW outcomes_hourly SET (timescaledb.materialized_only = true)",
            "real-time",
            "materialized rows only",
        ),
        (
            (
                "SELECT alter_job(job_id, config => jsonb_set(config, '{start_offset}', 'null'))"
                " FROM timescaledb_information.jobs WHERE hypertable_name = 'outcomes_daily'"
                " AND proc_name LIKE 'policy_refresh%'"
            ),
            "outcomes_daily: as in storage_policies",
            "outcomes_daily: reaches back for ever",
        ),
        ("ALTER TABLE outcomes SET (timescaledb.orderby = 'time')", "orderby execution_id", "orderby "),
        ("DROP MATERIALIZED VIEW errors_daily CASCADE", "CREATE MATERIALIZED VIEW errors_daily", None),
    ],
)
async def test_verify_finds_what_has_drifted_on_timescaledb(
    timescaledb: None, untouched: Session, edition: Edition, drift: str, missing: str | None, found: str | None
) -> None:
    await check_drift(untouched, edition, drift, missing, found)


async def check_drift(session: Session, edition: Edition, drift: str, missing: str | None, found: str | None) -> None:
    await session.execute("BEGIN")
    try:
        await session.execute(drift)
        difference = await schema_difference(session, edition)
    finally:
        await session.execute("ROLLBACK")
    assert difference, "the drift was not found"
    if missing is not None:
        assert any(line.startswith("-") and missing in line for line in difference), "\n".join(difference)
    if found is not None:
        assert any(line.startswith("+") and found in line for line in difference), "\n".join(difference)
    assert await schema_difference(session, edition) == []
