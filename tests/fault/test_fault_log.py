"""A log that changes under its readers: retention, a topic made anew, more partitions (rows F17 to F19).

F23 (replay against live consumption) does not arise: there is no command that replays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from aiokafka import TopicPartition as NativePartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.schemas.topics import TOOL_USED
from fault import invariants
from fault.arena import Arena
from fault.evidence import Evidence, collect, read_log
from support.conditions import eventually
from support.databases import connect

pytestmark = [pytest.mark.database, pytest.mark.kafka, pytest.mark.stack]

CAUGHT_UP = ("--until-caught-up",)


@contextlib.asynccontextmanager
async def _admin(arena: Arena) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**arena.kafka.client_options())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def _read_to_the_end(arena: Arena) -> None:
    consumer = await arena.consume(options=CAUGHT_UP, wait=False)
    assert await consumer.ended(40) == 0, consumer.last_words()


async def _log(arena: Arena) -> Evidence:
    evidence = Evidence()
    await read_log(evidence, arena.kafka, arena.topics)
    return evidence


async def test_retention_overtakes_the_group(arena: Arena) -> None:
    """F17: what was deleted before it was read stands in the table of gaps, and nothing else is missing."""
    await arena.load(300)
    await _read_to_the_end(arena)
    stands_at = (await _log(arena)).log_ends
    await arena.load(300, seed=2)
    before = await _log(arena)
    # Half of what is unread of each partition, and of one partition nothing.
    cuts = {
        partition: (stands_at[partition] + end) // 2
        for partition, end in before.log_ends.items()
        if end > stands_at[partition] + 1
    }
    spared = next(iter(cuts))
    del cuts[spared]
    async with _admin(arena) as admin:
        await admin.delete_records(
            {NativePartition(*partition): RecordsToDelete(before_offset=offset) for partition, offset in cuts.items()}
        )
    deleted: set[UUID] = set()
    for record in before.log:
        partition = record.topic_partition
        if stands_at[partition] <= record.offset < cuts.get(partition, 0):
            event_id = invariants._event_id(record)
            assert event_id is not None
            deleted.add(event_id)
    consumer = await arena.consume(wait=False)
    await consumer.logged("log_gap_recorded")
    evidence = await arena.check(deleted=deleted)
    assert deleted
    assert not deleted & {row.event_id for row in evidence.rows}
    async with await connect(arena.database) as session:
        gaps = await session.fetch("SELECT topic, partition, first_offset, end_offset FROM log_gaps")
    assert {(gap["topic"], gap["partition"]): (gap["first_offset"], gap["end_offset"]) for gap in gaps} == {
        tuple(partition): (stands_at[partition], offset) for partition, offset in cuts.items()
    }


@pytest.mark.parametrize(
    "events", [pytest.param(100, marks=pytest.mark.long, id="fewer"), pytest.param(1500, id="more")]
)
async def test_a_topic_made_anew(arena: Arena, events: int) -> None:
    """F18: with fewer records than the group has read, and with more. Its partitions halt; the others go on; a person
    accepts the topic, and everything in it is read from its beginning."""
    topic = arena.topics.of_type(TOOL_USED)
    await arena.load(600)
    await _read_to_the_end(arena)
    async with _admin(arena) as admin:
        await admin.delete_topics([topic])
    async with TopicsAdmin(arena.kafka) as topics:

        async def is_gone() -> bool:
            return any(state.name == topic and not state.exists for state in await topics.states())

        await eventually(is_gone, "the topic is gone")
        await topics.create(partitions=2)
    await arena.load(events, seed=2)
    consumer = await arena.consume(wait=False)
    await consumer.logged("partition_halted")

    async def others_are_read() -> bool:
        ends = (await _log(arena)).log_ends
        async with await connect(arena.database) as session:
            rows = await session.fetch("SELECT topic, partition, next_offset FROM consumer_offsets")
        return all(
            row["next_offset"] == end
            for partition, end in ends.items()
            for row in rows
            if (row["topic"], row["partition"]) == tuple(partition) and partition.topic != topic
        )

    await eventually(others_are_read, "the other topics are read")
    assert await arena.fetch("SELECT count(*) FROM tool_usage") < 600, "nothing of the topic made anew is taken"
    consumer.term()
    assert await consumer.ended() == 0
    await asyncio.to_thread(_accept, arena, topic)
    await _read_to_the_end(arena)
    await arena.stop_producers()
    evidence = await collect(arena.kafka, arena.database, arena.group, arena.ledgers)
    assert invariants.nothing_is_lost(evidence) == []
    assert invariants.nothing_is_twice(evidence)[:1] == []
    assert evidence.dead_letters == []


def _accept(arena: Arena, topic: str) -> None:
    """As the operator does it."""
    accepted = subprocess.run(
        [sys.executable, "-m", "arc_eval_db.cli", "topics", "accept", topic, "--group", arena.group, "--yes"],
        env={**os.environ, **arena.consumer_settings()},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert accepted.returncode == 0, accepted.stderr


@pytest.mark.long
async def test_more_partitions_under_load(arena: Arena) -> None:
    """F19: new partitions are found by themselves, and read from their beginning."""
    await arena.consume()
    producer = arena.producer(events_per_s=200)
    producer.start()
    await arena.moves(200)
    async with _admin(arena) as admin:
        await admin.create_partitions({topic: NewPartitions(total_count=6) for topic in arena.topics.all})
    # A producer that comes now knows them all; the consumer does not yet.
    await arena.load(600, seed=2)
    evidence = await arena.check(timeout_s=60)
    assert len(evidence.log_ends) == 18
    assert {record.partition for record in evidence.log} == set(range(6))
