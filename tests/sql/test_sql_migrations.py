"""Migrations: up, down, up again, and what stops them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from arc_eval_db import sql as sql_files
from arc_eval_db.database import DatabaseSettings, RowRefusedError, SchemaMismatchError, Session
from arc_eval_db.errors import FatalError
from arc_eval_db.migrations import (
    Edition,
    Migrator,
    describe_schema,
    load_migrations,
    require_current_schema,
    runner,
)
from arc_eval_db.migrations import files as migration_files
from arc_eval_db.migrations.files import MigrationFileError
from arc_eval_db.migrations.runner import MigrationDriftError, MigrationLockedError, SchemaOutdatedError
from arc_eval_db.migrations.snapshot import expected_schema
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.writer import DeadLetter, OffsetRange, OffsetStore, TopicPartition, insert_dead_letters
from support.conditions import eventually
from support.databases import connect

pytestmark = pytest.mark.database

CORE_TABLES = {
    "configurations",
    "configuration_versions",
    "scenarios",
    "simulations",
    "executions",
    "outcomes",
    "tool_usage",
    "failures",
    "failure_patterns",
    "execution_events",
    "llm_recommendation_sessions",
    "recommendations",
}
PIPELINE_TABLES = {
    *("consumer_offsets", "dead_letters", "consumer_lag_samples", "log_gaps", "replay_jobs", "schema_migrations"),
}
POLICY_TABLES = {"storage_policies"}
CONFIGURATION_TABLES = {
    *("configuration_version_numbers", "configuration_labels", "configuration_deployments", "configuration_audit"),
    "api_tokens",
}

VERSION = len(load_migrations(Edition.POSTGRESQL))
REQUIRED = [migration.version for migration in load_migrations(Edition.POSTGRESQL) if migration.up.is_required]


async def tables(session: Session) -> set[str]:
    rows = await session.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_up_makes_every_table_of_the_design(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        applied = await Migrator(session).up()
        assert [migration.version for migration in applied] == list(range(1, len(applied) + 1))
        assert await tables(session) == CORE_TABLES | PIPELINE_TABLES | POLICY_TABLES | CONFIGURATION_TABLES


async def test_up_twice_does_nothing(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        assert await Migrator(session).up()
        assert await Migrator(session).up() == []


async def test_all_migrations_make_the_committed_schema(session: Session, edition: Edition) -> None:
    assert await describe_schema(session, edition) == expected_schema(edition)


async def test_down_leaves_nothing_and_up_again_makes_the_same(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        migrator = Migrator(session)
        await migrator.up()
        edition = await migrator.edition()
        before = await describe_schema(session, edition)
        undone = await migrator.down(0)
        assert [migration.version for migration in undone] == list(range(len(undone), 0, -1))
        assert await tables(session) == {"schema_migrations"}
        await migrator.up()
        assert await describe_schema(session, edition) == before


async def test_each_step_down_and_up_again_makes_the_same_schema(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        migrator = Migrator(session)
        for migration in load_migrations(await migrator.edition()):
            await migrator.up(migration.version)
            description = await describe_schema(session, await migrator.edition())
            await migrator.down(migration.version - 1)
            await migrator.up(migration.version)
            assert await describe_schema(session, await migrator.edition()) == description, migration.label


async def test_undoing_hypertables_keeps_the_rows(timescaledb: None, session: Session) -> None:
    await session.execute(
        "INSERT INTO failures (time, event_id, execution_id, configuration_version_id, scenario_id, sequence, kind,"
        " message, pattern_id) SELECT now() - i * interval '1 day', gen_random_uuid(), gen_random_uuid(),"
        " gen_random_uuid(),"
        " gen_random_uuid(), 1, 'k', 'm', gen_random_uuid() FROM generate_series(1, 5) AS i"
    )
    rows = await session.fetch("SELECT * FROM failures ORDER BY time")
    migrator = Migrator(session)
    await migrator.down(2)
    assert await session.fetch("SELECT * FROM failures ORDER BY time") == rows
    await migrator.up()
    assert await session.fetch("SELECT * FROM failures ORDER BY time") == rows


async def test_hypertables_have_one_day_chunks_compression_and_retention(timescaledb: None, session: Session) -> None:
    rows = await session.fetch(
        "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions"
        " WHERE hypertable_schema = current_schema()"
    )
    assert {row["hypertable_name"]: row["time_interval"].days for row in rows} == dict.fromkeys(
        ("outcomes", "tool_usage", "failures", "execution_events", "consumer_lag_samples"), 1
    )
    rows = await session.fetch(
        "SELECT hypertable_name, config->>'drop_after' AS kept FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_retention'"
    )
    assert {row["hypertable_name"]: row["kept"] for row in rows} == {
        "outcomes": "365 days",
        "tool_usage": "90 days",
        "failures": "180 days",
        "execution_events": "30 days",
        "consumer_lag_samples": "14 days",
    }


async def test_a_changed_file_is_noticed_and_nothing_is_done(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        migrator = Migrator(session)
        await migrator.up(2)
        await session.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
        drifted = [state.version for state in await migrator.status() if state.drifted]
        assert drifted == [1]
        with pytest.raises(MigrationDriftError, match="0001_core_tables was changed after it was applied"):
            await migrator.up()
        assert await session.fetch_value("SELECT max(version) FROM schema_migrations") == 2


async def test_a_failing_migration_leaves_no_trace(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_file(path: str) -> str:
        text = original(path)
        return text + "SELECT 1/0;" if "0002" in path and "up" in path else text

    original = sql_files.read_file
    monkeypatch.setattr(migration_files, "read_file", read_file)
    async with await connect(empty_database) as session:
        with pytest.raises(Exception, match=r"22012"):
            await Migrator(session).up()
        assert await session.fetch_value("SELECT max(version) FROM schema_migrations") == 1
        assert not await tables(session) & (PIPELINE_TABLES - {"schema_migrations"})
    monkeypatch.undo()
    async with await connect(empty_database) as session:
        applied = [migration.version for migration in await Migrator(session).up()]
        assert applied == list(range(2, VERSION + 1))


async def test_two_at_once_take_turns(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as first, await connect(empty_database) as second:
        applied = await asyncio.gather(Migrator(first).up(), Migrator(second).up())
    assert sorted(len(migrations) for migrations in applied) == [0, VERSION]


async def test_waiting_for_another_migration_has_a_deadline(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_LOCK_TIMEOUT_S", 0.1)
    async with await connect(empty_database) as first, await connect(empty_database) as second:
        await first.execute("SELECT pg_advisory_lock($1)", runner._LOCK_KEY)
        reports: list[str] = []
        with pytest.raises(MigrationLockedError):
            await Migrator(second, report=reports.append).up()
        assert "waiting for another migration to end" in reports


async def test_a_newer_database_is_left_alone(session: Session) -> None:
    await session.execute("INSERT INTO schema_migrations VALUES (99, 'later', 'postgresql', 'x')")
    migrator = Migrator(session)
    assert (await migrator.status())[-1].unknown
    assert await migrator.up() == []
    await require_current_schema(session)
    with pytest.raises(FatalError, match="0099 was applied by a newer release"):
        await migrator.down(0)


async def test_what_only_takes_away_is_not_required(empty_database: DatabaseSettings) -> None:
    """Workers run with and without it, so that those of the release before can be replaced first."""
    assert REQUIRED[-1] == 8
    async with await connect(empty_database) as session:
        await Migrator(session).up(REQUIRED[-1])
        await require_current_schema(session)
        missing = [state.version for state in await Migrator(session).status() if state.applied_at is None]
        assert missing == [9, 10, 11, 12, 13, 14]
        # What the release before says of its dead letters.
        await session.execute(
            "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
            " headers, consumer_group, consumer_version) VALUES ('t', 0, 1, now(), 'r', 'e', 'd', '[]', 'g', 'v')"
            " ON CONFLICT (topic, log_partition, log_offset) DO NOTHING"
        )
        await session.execute("UPDATE consumer_offsets SET next_offset = 2, updated_at = now() WHERE topic = 't'")


async def test_letters_that_were_resolved_by_hand_outlive_the_retries_columns(empty_database: DatabaseSettings) -> None:
    """What for, nobody knows; from then on whoever resolves one says it."""
    async with await connect(empty_database) as session:
        migrator = Migrator(session)
        await migrator.up(9)
        async with session.transaction():
            await insert_dead_letters(session, [letter_at(datetime.now(UTC))], group="g", version="1")
        await session.execute("UPDATE dead_letters SET resolved_at = now()")
        await migrator.up()
        (row,) = await session.fetch("SELECT resolved_at, resolution FROM dead_letters")
        assert (row["resolved_at"] is None, row["resolution"]) == (False, None)
        await session.execute("UPDATE dead_letters SET resolved_at = NULL")
        for half in ("resolved_at = now()", "resolution = 'stored'", "resolved_at = now(), resolution = 'lost'"):
            with pytest.raises(RowRefusedError, match="23514"):
                await session.execute(f"UPDATE dead_letters SET {half}")
        await session.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'stored'")
        await migrator.down(9)
        assert await session.fetch_value("SELECT count(*) FROM dead_letters WHERE resolved_at IS NOT NULL") == 1


def letter_at(time: datetime) -> DeadLetter:
    return DeadLetter(TopicPartition("t", 0), 5, time, RefusalReason.INVALID_DATA, "E", "d", None, b"v", ())


async def test_where_the_older_key_stands_a_letter_of_a_recreated_topic_names_the_next_step(
    empty_database: DatabaseSettings,
) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(REQUIRED[-1])
        old, new = letter_at(datetime(2026, 1, 1, tzinfo=UTC)), letter_at(datetime(2026, 1, 2, tzinfo=UTC))
        for _ in range(2):
            async with session.transaction():
                await insert_dead_letters(session, [old], group="g", version="1")
        with pytest.raises(SchemaMismatchError, match="run: arc-eval-db migrate up"):
            async with session.transaction():
                await insert_dead_letters(session, [new], group="g", version="1")
        await Migrator(session).up()
        async with session.transaction():
            await insert_dead_letters(session, [new], group="g", version="1")
        assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 2


async def test_the_way_back_takes_its_locks_in_the_workers_order(database: DatabaseSettings) -> None:
    """A worker adds dead letters and then moves its offsets; the other way round the two would wait for each other."""
    async with await connect(database) as worker, await connect(database) as other:
        await Migrator(other).down(8)
        await OffsetStore("g").start_at(worker, {TopicPartition("t", 0): 0})
        async with worker.transaction():
            await insert_dead_letters(worker, [letter_at(datetime.now(UTC))], group="g", version="1")
            going_back = asyncio.create_task(Migrator(other).down(7))
            await eventually_waits(worker)
            await OffsetStore("g").advance(worker, {TopicPartition("t", 0): OffsetRange(0, 6)})
        await going_back
        assert await worker.fetch_value("SELECT next_offset FROM consumer_offsets") == 6


async def eventually_waits(session: Session) -> None:
    """Until another session waits for a lock that `session` holds."""

    async def is_waiting() -> bool:
        return bool(
            await session.fetch_value(
                "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
        )

    await eventually(is_waiting, "another session waits")


async def test_letters_of_a_recreated_topic_outlive_the_way_back(session: Session) -> None:
    for time in ("2026-01-01", "2026-01-02"):
        await session.execute(
            "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
            " headers, consumer_group, consumer_version) VALUES ('t', 0, 1, $1::text::timestamptz, 'r', 'e', 'd', '[]',"
            " 'g', 'v')",
            time,
        )
    migrator = Migrator(session)
    await migrator.down(8)
    await migrator.up()
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 2


async def test_an_outdated_schema_names_the_next_step(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(1)
        expected = rf"lacks migration 0002.*and {len(REQUIRED) - 2} more; run: arc-eval-db migrate up"
        with pytest.raises(SchemaOutdatedError, match=expected):
            await require_current_schema(session)


async def test_the_plain_edition_can_be_chosen_on_timescaledb(
    timescaledb: None, empty_database: DatabaseSettings
) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session, edition=Edition.POSTGRESQL).up()
        # From then on it is what the database is.
        assert await Migrator(session).edition() is Edition.POSTGRESQL
        assert await describe_schema(session, Edition.POSTGRESQL) == expected_schema(Edition.POSTGRESQL)


@pytest.mark.parametrize("edition", list(Edition))
def test_both_editions_have_every_file(edition: Edition) -> None:
    assert [migration.version for migration in load_migrations(edition)] == list(range(1, VERSION + 1))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.up.sql", "0001_a.down.sql", "readme.sql"], "not the name of a migration"),
        (["0001_a.up.sql"], "an up and a down script are needed"),
        (["0002_a.up.sql", "0002_a.down.sql"], "expected version 0001"),
        (["0001_a.up.sql", "0001_a.postgresql.up.sql", "0001_a.down.sql"], "two such files"),
    ],
)
def test_wrong_migration_files_are_refused(names: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_files, "list_files", lambda _: sorted(names))
    monkeypatch.setattr(migration_files, "read_file", lambda _: "SELECT 1")
    with pytest.raises(MigrationFileError, match=message):
        load_migrations(Edition.POSTGRESQL)


async def test_a_migration_without_transaction_runs_outside_of_one(
    empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "migrations/0001_t.up.sql": "CREATE TABLE t (a int)",
        "migrations/0001_t.down.sql": "DROP TABLE t",
        "migrations/0002_i.up.sql": "-- no-transaction\nCREATE INDEX CONCURRENTLY t_a_idx ON t (a)",
        "migrations/0002_i.down.sql": "-- no-transaction\nDROP INDEX CONCURRENTLY t_a_idx",
    }
    monkeypatch.setattr(migration_files, "list_files", lambda _: sorted(path.rpartition("/")[2] for path in texts))
    monkeypatch.setattr(migration_files, "read_file", texts.__getitem__)
    async with await connect(empty_database) as session:
        migrator = Migrator(session, edition=Edition.POSTGRESQL)
        await migrator.up()
        assert await session.fetch_value("SELECT to_regclass('t_a_idx')::text") == "t_a_idx"
        await migrator.down(1)
        assert await session.fetch_value("SELECT to_regclass('t_a_idx')::text") is None
