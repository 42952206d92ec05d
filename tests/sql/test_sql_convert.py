"""From the plain edition to TimescaleDB's: all rows, the same schema, or nothing at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import FatalError
from arc_eval_db.migrations import Edition, Migrator, StoragePolicy, read_policies, schema_difference, set_policy
from arc_eval_db.migrations.edition import UnsupportedServerError
from arc_eval_db.migrations.policies import refresh_aggregates_of
from arc_eval_db.migrations.runner import SchemaOutdatedError
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.writer import BatchWriter, LoggedEvent, OffsetRange, OffsetStore, TopicPartition
from arc_eval_db.writer.rows import COLUMNS
from support.databases import connect
from support.events import lifecycle

pytestmark = pytest.mark.database

PARTITION = TopicPartition("t", 0)

KEPT = (
    *("executions", "log_gaps", "consumer_offsets", "dead_letters", "configurations", "configuration_versions"),
    *("configuration_version_numbers", "configuration_labels", "configuration_deployments", "configuration_audit"),
)


async def rows(session: Session) -> dict[str, list[str]]:
    return {
        table: sorted(row["t"] for row in await session.fetch(f"SELECT to_jsonb(t)::text AS t FROM {table} AS t"))
        for table in (*COLUMNS, *KEPT)
    }


async def set_aside_letters(session: Session) -> None:
    """One of each state: open, tried, quarantined, resolved, and resolved by hand before that said what for."""
    await session.execute(
        "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
        " headers, consumer_group, consumer_version) SELECT 't', 0, number, now(), 'empty', 'E', 'd', '[]', 'g', '1'"
        " FROM generate_series(1, 5) AS number"
    )
    for offset, changes in (
        (2, "attempts = 1, last_attempt_at = now(), last_detail = 'why'"),
        (3, "attempts = 5, last_attempt_at = now(), last_detail = 'why', quarantined_at = now()"),
        (4, "resolved_at = now(), resolution = 'discarded', resolved_by = 'somebody'"),
        (5, "resolved_at = now()"),
    ):
        if offset == 5:
            await session.execute("ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_resolved_check")
        await session.execute(f"UPDATE dead_letters SET {changes} WHERE log_offset = {offset}")
    await session.execute(
        "ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_resolved_check"
        " CHECK ((resolution IS NULL) = (resolved_at IS NULL)) NOT VALID"
    )


async def configure(session: Session) -> None:
    """A label, a deployment and a schema for the version that the events have brought."""
    await session.execute("UPDATE configurations SET content_schema = '{}', revision = 7, archived_at = now()")
    numbers = "FROM configuration_version_numbers"
    await session.execute(
        "INSERT INTO configuration_labels (configuration_id, label, number, moved_by)"
        f" SELECT configuration_id, 'best', number, 'ann' {numbers}"
    )
    await session.execute(
        "INSERT INTO configuration_deployments (configuration_id, number, deployment, environment, deployed_by)"
        f" SELECT configuration_id, number, 'ap-1', 'main', 'ann' {numbers}"
    )


async def write_lifecycles(session: Session, count: int) -> None:
    events = []
    for number in range(count):
        time = (datetime.now(UTC) - timedelta(days=number)).isoformat()
        events += [{**content, "time": time} for content in lifecycle()]
    async with session.transaction():
        await BatchWriter().write(session, [LoggedEvent(parse_event(orjson.dumps(content))) for content in events])


async def test_all_rows_and_policies_are_kept(timescaledb: None, empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session, edition=Edition.POSTGRESQL).up()
        await write_lifecycles(session, 20)
        kept = StoragePolicy("tool_usage", timedelta(days=3), timedelta(days=400))
        await set_policy(session, Edition.POSTGRESQL, kept)
        await OffsetStore("g").start_at(session, {PARTITION: 0})
        await OffsetStore("g").record_gap(session, PARTITION, OffsetRange(0, 5), version="1")
        await set_aside_letters(session)
        await configure(session)
        before = await rows(session)
        migrator = Migrator(session)
        assert [migration.version for migration in await migrator.convert()] == [3, 4, 5, 6, 7, 8, 9, 10, 13]
        assert await rows(session) == before
        assert kept in await read_policies(session)
        assert await migrator.edition() is Edition.TIMESCALEDB
        assert await schema_difference(session, Edition.TIMESCALEDB) == []
        # Another connection sees the same edition, and nothing left to apply.
        async with await connect(empty_database) as other:
            assert await Migrator(other).edition() is Edition.TIMESCALEDB
            assert await Migrator(other).up() == []
        with pytest.raises(FatalError, match="has the TimescaleDB edition already"):
            await migrator.convert()


async def test_rows_older_than_their_policy_stay_and_are_counted(
    timescaledb: None, empty_database: DatabaseSettings
) -> None:
    reports: list[str] = []
    async with await connect(empty_database) as session:
        await Migrator(session, edition=Edition.POSTGRESQL).up()
        time = (datetime.now(UTC) - timedelta(days=400)).isoformat()
        events = [{**content, "time": time} for content in lifecycle()]
        async with session.transaction():
            await BatchWriter().write(session, [LoggedEvent(parse_event(orjson.dumps(content))) for content in events])
        before = await rows(session)
        await Migrator(session, report=reports.append).convert()
        kept = {policy.relation: policy.drop_after for policy in await read_policies(session)}
        assert [kept[table] for table in COLUMNS] == [None, None, None, None]
        assert kept["consumer_lag_samples"] == timedelta(days=14)
        assert sum("would drop" in report for report in reports) == 4
        for table in COLUMNS:
            await refresh_aggregates_of(session, table)
        assert await rows(session) == before
        assert await session.fetch_value("SELECT sum(calls) FROM tool_reliability") == 1
        assert await schema_difference(session, Edition.TIMESCALEDB) == []


async def test_a_failure_leaves_the_plain_edition(timescaledb: None, empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session, edition=Edition.POSTGRESQL).up()
        await write_lifecycles(session, 2)
        # Something of the user's own depends on what must be made anew.
        await session.execute("CREATE VIEW mine AS SELECT * FROM performance_daily")
        before = await rows(session)
        with pytest.raises(FatalError, match="2BP01"):
            await Migrator(session).convert()
        await session.execute("DROP VIEW mine")
        assert await rows(session) == before
        assert await Migrator(session).edition() is Edition.POSTGRESQL
        assert await schema_difference(session, Edition.POSTGRESQL) == []


async def test_an_old_schema_is_brought_up_first(timescaledb: None, empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session, edition=Edition.POSTGRESQL).up(4)
        with pytest.raises(SchemaOutdatedError):
            await Migrator(session).convert()


async def test_a_server_without_timescaledb_is_left_alone(session: Session, edition: Edition) -> None:
    if edition is Edition.TIMESCALEDB:
        pytest.skip("this server has TimescaleDB")
    with pytest.raises(UnsupportedServerError, match=r"timescaledb is (not )?installed"):
        await Migrator(session).convert()
    assert await schema_difference(session, edition) == []
