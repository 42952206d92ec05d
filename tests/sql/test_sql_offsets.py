"""Stored offsets: where a group begins, and the fence."""

from __future__ import annotations

import asyncio

import pytest

from arc_eval_db.database import DatabaseSettings, Session, TransactionConflictError
from arc_eval_db.writer import Anchor, FencedError, OffsetRange, OffsetStore, StoredPosition, TopicPartition
from support.conditions import eventually
from support.databases import connect

pytestmark = pytest.mark.database

A = TopicPartition("a", 0)
B = TopicPartition("b", 3)
MARK = Anchor(8, 1_770_000_000_000, b"0123456789abcdef")


async def test_a_group_stands_nowhere_until_it_starts(session: Session) -> None:
    store = OffsetStore("g")
    assert await store.read(session, [A, B]) == {}
    await store.start_at(session, {A: 5})
    assert await store.read(session, [A, B]) == {A: 5}


async def test_starting_again_moves_nothing(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5})
    await store.start_at(session, {A: 0, B: 1})
    assert await store.read(session, [A, B]) == {A: 5, B: 1}


async def test_groups_do_not_share_offsets(session: Session) -> None:
    await OffsetStore("g").start_at(session, {A: 5})
    assert await OffsetStore("h").read(session, [A]) == {}


async def test_advancing_from_where_the_group_stands(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 0})
    await store.advance(session, {A: OffsetRange(5, 9), B: OffsetRange(0, 4)})
    assert await store.read(session, [A, B]) == {A: 9, B: 4}


@pytest.mark.parametrize("first", [4, 6])
async def test_advancing_from_elsewhere_is_fenced(session: Session, first: int) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 0})
    with pytest.raises(FencedError, match="has moved a/0") as caught:
        async with session.transaction():
            await store.advance(session, {A: OffsetRange(first, 9), B: OffsetRange(0, 4)})
    assert caught.value.partitions == (A,)
    assert await store.read(session, [A, B]) == {A: 5, B: 0}


async def test_advancing_a_partition_never_seen_is_fenced(session: Session) -> None:
    with pytest.raises(FencedError):
        await OffsetStore("g").advance(session, {A: OffsetRange(0, 1)})


async def test_the_second_of_two_waits_for_the_first_and_is_fenced(database: DatabaseSettings) -> None:
    store = OffsetStore("g")
    async with await connect(database) as first, await connect(database) as second:
        await store.start_at(first, {A: 0})
        async with first.transaction():
            await store.advance(first, {A: OffsetRange(0, 3)})
            late = asyncio.create_task(store.advance(second, {A: OffsetRange(0, 7)}))
            async with await connect(database) as observer:

                async def waits() -> bool:
                    return bool(
                        await observer.fetch_value(
                            "SELECT count(*) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                        )
                    )

                await eventually(waits, "the second waits for the first one's lock")
        with pytest.raises(FencedError):
            await late
        assert await store.read(second, [A]) == {A: 3}


async def test_a_frozen_consumer_holds_the_others_up_only_for_a_while(database: DatabaseSettings) -> None:
    """Its transaction is ended by the server, and whoever took over goes on."""
    brief = database.model_copy(
        update={"database_idle_in_transaction_timeout_ms": 300, "database_lock_timeout_ms": 100}
    )
    store = OffsetStore("g")
    async with await connect(brief) as frozen, await connect(brief) as owner:
        await store.start_at(owner, {A: 0})
        await frozen.execute("BEGIN")
        await store.advance(frozen, {A: OffsetRange(0, 3)})
        with pytest.raises(TransactionConflictError):
            await store.advance(owner, {A: OffsetRange(0, 7)})

        async def advanced() -> bool:
            try:
                await store.advance(owner, {A: OffsetRange(0, 7)})
            except TransactionConflictError:
                return False
            return True

        await eventually(advanced, "the frozen transaction is ended by the server")
        assert await store.read(owner, [A]) == {A: 7}


async def positions(session: Session) -> dict[TopicPartition, StoredPosition]:
    return await OffsetStore("g").read_positions(session, [A, B])


async def gaps(session: Session) -> list[tuple[object, ...]]:
    rows = await session.fetch(
        "SELECT consumer_group, topic, partition, first_offset, end_offset, reason, consumer_version FROM log_gaps"
        " ORDER BY noticed_at, topic"
    )
    return [tuple(row.values()) for row in rows]


async def test_the_last_record_read_is_kept_as_an_anchor(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 0})
    assert await positions(session) == {A: StoredPosition(5, None), B: StoredPosition(0, None)}
    await store.advance(session, {A: OffsetRange(5, 9), B: OffsetRange(0, 4)}, {A: MARK})
    assert await positions(session) == {A: StoredPosition(9, MARK), B: StoredPosition(4, None)}


async def test_moving_past_holes_leaves_the_anchor(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5})
    await store.advance(session, {A: OffsetRange(5, 9)}, {A: MARK})
    await store.advance(session, {A: OffsetRange(9, 11)})
    assert await positions(session) == {A: StoredPosition(11, MARK)}


async def test_a_gap_is_recorded_and_jumped(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 7})
    await store.advance(session, {A: OffsetRange(5, 9)}, {A: MARK})
    await store.record_gap(session, A, OffsetRange(9, 20), version="1.2")
    assert await gaps(session) == [("g", "a", 0, 9, 20, "retention", "1.2")]
    assert await positions(session) == {A: StoredPosition(20, None), B: StoredPosition(7, None)}


async def test_a_gap_is_recorded_by_one_of_two(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5})
    await store.record_gap(session, A, OffsetRange(5, 9), version="1")
    with pytest.raises(FencedError):
        await store.record_gap(session, A, OffsetRange(5, 9), version="1")
    assert len(await gaps(session)) == 1
    assert await positions(session) == {A: StoredPosition(9, None)}


async def test_a_topic_made_anew_is_begun_again(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 7})
    await store.advance(session, {A: OffsetRange(5, 9)}, {A: MARK})
    await store.reset(session, {A: (9, 0), B: (7, 3)}, version="1")
    assert await gaps(session) == [("g", "a", 0, 9, None, "recreated", "1"), ("g", "b", 3, 7, None, "recreated", "1")]
    assert await positions(session) == {A: StoredPosition(0, None), B: StoredPosition(3, None)}
    # The same offsets can be lost a second time.
    await store.advance(session, {A: OffsetRange(0, 9)}, {A: MARK})
    await store.reset(session, {A: (9, 0)}, version="1")
    assert len(await gaps(session)) == 3


async def test_a_reset_is_all_or_nothing(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 7})
    with pytest.raises(FencedError) as caught:
        await store.reset(session, {A: (5, 0), B: (8, 3)}, version="1")
    assert caught.value.partitions == (B,)
    assert await gaps(session) == []
    assert await positions(session) == {A: StoredPosition(5, None), B: StoredPosition(7, None)}


async def test_a_topic_is_read_with_the_partitions_that_it_has_lost(session: Session) -> None:
    store = OffsetStore("g")
    await store.start_at(session, {A: 5, B: 7, TopicPartition("a", 9): 1})
    await OffsetStore("h").start_at(session, {A: 6})
    assert await store.read_topic(session, "a") == {
        A: StoredPosition(5, None),
        TopicPartition("a", 9): StoredPosition(1, None),
    }


@pytest.mark.parametrize(("first", "end"), [(-1, 0), (5, 4)])
def test_a_range_runs_forwards(first: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a range of offsets"):
        OffsetRange(first, end)
