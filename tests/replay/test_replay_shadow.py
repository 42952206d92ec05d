"""Shadow tables: what today's code makes of the log, beside the live tables and never in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, SchemaMismatchError, Session
from arc_eval_db.replay import (
    DifferenceKind,
    Interval,
    LetterFilter,
    RetryOptions,
    ShadowPrivilegeError,
    ShadowTables,
    drop_shadows,
    list_shadows,
    retry_letters,
)
from arc_eval_db.replay.shadow import SHADOWED
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import COMPLETED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.writer import OffsetRange, TopicPartition
from support.databases import connect
from support.dead_letters import LONG_AGO, set_aside, set_aside_as
from support.events import event, lifecycle, record
from support.replayed import add_row, change, content, delete, event_id, logged, named
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

WRITER, READER, ADMIN = ROLES
TOPIC = "arc-eval.tool-usage"
P0 = TopicPartition(TOPIC, 0)
TOPICS = TopicNames()


def uses(*offsets: int) -> list[LogRecord]:
    return [one for offset in offsets for one in logged(TOOL_USED, first=offset)]


def broken(*offsets: int) -> list[LogRecord]:
    return [record(b"{", offset=offset, topic=TOPIC) for offset in offsets]


def whole(records: Sequence[LogRecord]) -> dict[TopicPartition, OffsetRange]:
    """From offset 0 to the last of each partition."""
    ends: dict[TopicPartition, int] = {}
    for one in records:
        ends[one.topic_partition] = max(ends.get(one.topic_partition, 0), one.offset + 1)
    return {partition: OffsetRange(0, end) for partition, end in ends.items()}


async def shadow_counts(session: Session, shadow: ShadowTables) -> dict[str, int]:
    counts = {table: await session.fetch_value(f"SELECT count(*) FROM {shadow.name}.{table}") for table in SHADOWED}
    return {table: count for table, count in counts.items() if count}


async def test_the_same_rows_go_into_the_shadow_and_none_into_the_live_tables(session: Session) -> None:
    """What events point at and dead letters too; what is written twice is there once."""
    records = [record(one, offset=offset) for offset, one in enumerate(lifecycle())]
    before = await content(session)
    async with ShadowTables(session, TOPICS) as shadow:
        reports = [await shadow.write(session, [*records, *broken(7)]) for _ in range(2)]
        assert [(one.records, one.inserted, one.duplicates) for one in reports] == [(6, 5, 0), (6, 0, 5)]
        assert reports[0].dead_letters == {"invalid_json": 1}
        assert await content(session) == before
        assert await shadow_counts(session, shadow) == {
            "execution_events": 2,
            "failures": 1,
            "outcomes": 1,
            "tool_usage": 1,
            "configurations": 1,
            "configuration_versions": 1,
            "scenarios": 1,
            "simulations": 1,
            "executions": 1,
            "failure_patterns": 1,
            "dead_letters": 1,
        }
    assert await content(session) == before


async def test_live_rows_stay_as_they_are(session: Session) -> None:
    """Also where the same executions are there and would be merged into."""
    records = [record(one, offset=offset) for offset, one in enumerate(lifecycle())]
    await set_aside(session, [*records[1:], *broken(9)])
    before = await content(session)
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, [*records, *broken(9)])
        await shadow.diff(session, whole(records))
        assert await content(session) == before
    assert await content(session) == before


async def test_a_table_that_the_shadow_lacks_is_never_the_live_one(session: Session) -> None:
    before = await content(session)
    async with ShadowTables(session, TOPICS) as shadow:
        for table in ("tool_usage", "executions", "dead_letters"):
            await session.execute(f"ALTER TABLE {shadow.name}.{table} RENAME TO away")
            with pytest.raises(SchemaMismatchError):
                await shadow.write(session, [*uses(0), *broken(1)])
            await session.execute(f"ALTER TABLE {shadow.name}.away RENAME TO {table}")
        assert await content(session) == before


async def test_after_a_transaction_names_mean_the_live_tables_again(session: Session) -> None:
    async with ShadowTables(session, TOPICS) as shadow:
        async with shadow.transaction(session):
            assert await session.fetch_value("SELECT current_schema()") == shadow.name
        assert await session.fetch_value("SELECT current_schema()") == "public"
        await set_aside(session, uses(0))
        assert await shadow_counts(session, shadow) == {}


async def test_what_agrees(session: Session) -> None:
    """Checksums of both sides are the same, on all topics."""
    records = [record(one, offset=offset) for offset, one in enumerate([*lifecycle(), *lifecycle()])]
    records += broken(20)
    await set_aside(session, records)
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, records)
        diff = await shadow.diff(session, whole(records))
        assert (diff.agrees, diff.differences, diff.unnamed, diff.schema) == (True, [], 0, shadow.name)
        assert {table: tally.made for table, tally in diff.tables.items()} == {
            "execution_events": 4,
            "failures": 2,
            "outcomes": 2,
            "tool_usage": 2,
        }
        assert all(tally.agrees and tally.made_checksum for tally in diff.tables.values())


async def test_names_what_only_one_side_has_and_what_differs(session: Session) -> None:
    records = logged(*[STARTED, COMPLETED] * 5)
    await set_aside(session, records)
    await delete(session, "execution_events", records[2])
    await change(session, "outcomes", "score", records[3])
    added = await add_row(session, "outcomes", records[1], 5)
    await add_row(session, "outcomes", records[1], 10)
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, records)
        diff = await shadow.diff(session, whole(records))
        assert named(diff.differences) == {
            ("only_in_shadow", "execution_events", event_id(records[2]), 2, ()),
            ("changed", "outcomes", event_id(records[3]), 3, ("score",)),
            ("only_live", "outcomes", added, 5, ()),
        }
        assert (diff.counts.total(), diff.agrees) == (3, False)
        assert (diff.tables["outcomes"].made, diff.tables["outcomes"].stored) == (5, 6)


async def test_live_rows_of_what_was_not_replayed_are_no_difference(session: Session) -> None:
    """Of other offsets, other partitions and other times; and of none at all, where only some records were taken."""
    records = [*uses(*range(6)), *logged(TOOL_USED, partition=1)]
    await set_aside(session, [*records, *broken(6)])
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, records[2:4])
        assert (await shadow.diff(session, {P0: OffsetRange(2, 4)})).agrees
        assert (await shadow.diff(session, {})).agrees
        diff = await shadow.diff(session, {P0: OffsetRange(1, 7)})
        assert [(one.kind, one.table, one.offset) for one in diff.differences] == [
            *[("only_live", "tool_usage", offset) for offset in (1, 4, 5)],
            ("only_live", "dead_letters", 6),
        ]
        long_ago = Interval(LONG_AGO, LONG_AGO)
        diff = await shadow.diff(session, {P0: OffsetRange(1, 6)}, long_ago)
        assert (diff.agrees, diff.searched) == (True, [long_ago])


async def test_dead_letters_are_compared(session: Session) -> None:
    """Set aside by both, by one, and for another reason. A letter that became a row since is a row."""
    records = [*uses(0, 1, 2), *broken(3, 4)]
    await set_aside_as(session, RefusalReason.INVALID_DATA, [records[0], records[4]])
    await set_aside(session, records[1:2], now=LONG_AGO)
    await retry_letters(session, LetterFilter(), options=RetryOptions(by="tester", batch_letters_max=1))
    await session.execute("UPDATE dead_letters SET resolved_at = NULL, resolution = NULL WHERE log_offset = 0")
    await delete(session, "tool_usage", records[0])
    await set_aside(session, records[2:3])
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, records)
        diff = await shadow.diff(session, {P0: OffsetRange(0, 5)})
        letters = [one for one in diff.differences if one.table == "dead_letters"]
        assert {(str(one.kind), one.offset, one.columns) for one in letters} == {
            ("only_live", 0, ()),
            ("only_in_shadow", 3, ()),
            ("changed", 4, ("reason",)),
        }
        assert [(one.kind, one.offset) for one in diff.differences if one.table != "dead_letters"] == [
            (DifferenceKind.ONLY_IN_SHADOW, 0)
        ]


async def test_where_nothing_became_a_row_the_records_times_are_searched(session: Session) -> None:
    model = uses(0)
    await set_aside(session, model)
    added = await add_row(session, "tool_usage", model[0], 1, time="to_timestamp(1770000000)")
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, broken(1))
        diff = await shadow.diff(session, {P0: OffsetRange(1, 2)})
        assert ("only_live", "tool_usage", added, 1, ()) in named(diff.differences)


async def test_differences_past_the_limit_are_counted(session: Session) -> None:
    records = [*uses(*range(4)), *broken(4, 5, 6)]
    await set_aside(session, records[:1])
    async with ShadowTables(session, TOPICS, named_max=2) as shadow:
        await shadow.write(session, records)
        diff = await shadow.diff(session, {P0: OffsetRange(0, 7)})
        assert (len(diff.differences), diff.unnamed) == (2, 4)
        assert diff.counts == {DifferenceKind.ONLY_IN_SHADOW: 6}


async def test_the_schema_is_dropped_at_the_end(session: Session) -> None:
    async with ShadowTables(session, TOPICS) as shadow:
        assert await list_shadows(session) == [shadow.name]
        await shadow.write(session, uses(0))
    assert await list_shadows(session) == []
    with pytest.raises(ZeroDivisionError):
        async with ShadowTables(session, TOPICS):
            raise ZeroDivisionError
    assert await list_shadows(session) == []


async def test_a_shadow_that_is_kept_can_be_dropped_later(session: Session, database: DatabaseSettings) -> None:
    async with ShadowTables(session, TOPICS, keep=True) as shadow:
        await shadow.write(session, uses(0))
    async with await connect(database) as other:
        assert await list_shadows(other) == [shadow.name]
        assert (await shadow_counts(other, shadow))["tool_usage"] == 1
        await other.execute("CREATE SCHEMA arc_eval_shadow_of_mine")
        assert await drop_shadows(other) == [shadow.name]
        assert await list_shadows(other) == []
        assert await other.fetch_value("SELECT count(*) FROM pg_namespace WHERE nspname = 'arc_eval_shadow_of_mine'")


async def test_a_shadow_in_use_is_not_dropped(session: Session, database: DatabaseSettings) -> None:
    async with await connect(database) as other, ShadowTables(session, TOPICS) as shadow:
        assert await drop_shadows(other) == []
        await shadow.write(session, uses(0))


async def test_what_a_lost_connection_leaves_is_dropped_later(session: Session, database: DatabaseSettings) -> None:
    async with await connect(database) as lost, ShadowTables(lost, TOPICS) as shadow:
        lost.terminate()
    assert await list_shadows(session) == [shadow.name]
    await session.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert await drop_shadows(session) == [shadow.name]


@pytest.mark.parametrize("role", [READER, ADMIN])
async def test_who_may_not_make_a_schema_is_told_who_may(
    session: Session, database: DatabaseSettings, role: str
) -> None:
    async with await connect(await as_role(database, role)) as own:
        with pytest.raises(ShadowPrivilegeError, match=f"{role} may not make a schema; use the database's owner"):
            async with ShadowTables(own, TOPICS):
                pass
    assert await list_shadows(session) == []


async def test_the_admin_may_where_the_owner_lets_it(session: Session, database: DatabaseSettings) -> None:
    name = await session.fetch_value("SELECT current_database()")
    await session.execute(f"GRANT CREATE ON DATABASE {name} TO {ADMIN}")
    records = uses(0)
    await set_aside(session, records)
    async with await connect(await as_role(database, ADMIN)) as own, ShadowTables(own, TOPICS) as shadow:
        await shadow.write(own, [*records, *records])
        assert (await shadow.diff(own, whole(records))).agrees


async def test_a_shadow_of_another_login_is_left(session: Session, database: DatabaseSettings) -> None:
    async with ShadowTables(session, TOPICS, keep=True) as shadow:
        pass
    async with await connect(await as_role(database, ADMIN)) as other:
        assert await list_shadows(other) == [shadow.name]
        assert await drop_shadows(other) == []
    assert await drop_shadows(session) == [shadow.name]


async def test_another_session_may_write(session: Session, database: DatabaseSettings) -> None:
    records = uses(0, 1)
    async with ShadowTables(session, TOPICS) as shadow, await connect(database) as other:
        await shadow.write(other, records)
        assert (await shadow.diff(other, whole(records))).counts == {DifferenceKind.ONLY_IN_SHADOW: 2}


@pytest.mark.usefixtures("timescaledb")
async def test_live_chunks_may_be_compressed(session: Session) -> None:
    old = datetime.now(UTC) - timedelta(days=20)
    records = [record(event(TOOL_USED, time=(old + timedelta(hours=9 * n)).isoformat()), offset=n) for n in range(6)]
    await set_aside(session, records)
    await session.execute("SELECT compress_chunk(chunk) FROM show_chunks('tool_usage') AS chunk")
    async with ShadowTables(session, TOPICS) as shadow:
        await shadow.write(session, records)
        before = await content(session)
        assert (await shadow.diff(session, whole(records))).agrees
        assert await content(session) == before
        assert await session.fetch_value(
            "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'tool_usage' AND is_compressed"
        )
        await change(session, "tool_usage", "tool", records[2])
        added = await add_row(session, "tool_usage", records[3], 4)
        assert named((await shadow.diff(session, whole(records))).differences) == {
            ("changed", "tool_usage", event_id(records[2]), 2, ("tool",)),
            ("only_live", "tool_usage", added, 4, ()),
        }
