"""The batch that is made while another is written, and the garbage collector that waits for neither."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arc_eval_db.consumers.garbage import CollectorBetweenBatches
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.read_ahead import PolledBatch, ReadAhead
from arc_eval_db.consumers.records import PartitionRecords
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings, RowRefusedError
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import Place
from support.conditions import eventually
from support.events import event
from support.log import send_events


@pytest.fixture
async def source(kafka_settings: KafkaSettings, group: str) -> AsyncIterator[GroupSource]:
    """At the beginning of all partitions, with 1,200 records to come."""
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(1_200)])
    topics = TopicNames(kafka_settings.topic_prefix)
    source = GroupSource(kafka_settings, ConsumerSettings.load(group=group), topics.all)
    await source.start()
    try:
        await eventually(lambda: len(source.unpositioned()) == 6, "all partitions assigned")
        source.seek(dict.fromkeys(source.unpositioned(), 0))
        yield source
    finally:
        await source.close()


@pytest.mark.kafka
async def test_batches_come_in_order_and_whole(source: GroupSource, kafka_settings: KafkaSettings) -> None:
    ahead = ReadAhead(source, ExecutionEventHandler(TopicNames(kafka_settings.topic_prefix)), 0.5)
    offsets: dict[int, list[int]] = {}
    rows = 0
    while rows < 1_200:
        polled = await ahead.next(700)
        ahead.begin(700)
        assert len(polled.batch.rows) == sum(map(len, polled.records.values()))
        rows += len(polled.batch.rows)
        for partition, records in polled.records.items():
            offsets.setdefault(partition.partition, []).extend(records.offsets)
    await ahead.drop()
    assert all(found == list(range(len(found))) for found in offsets.values())
    assert sum(map(len, offsets.values())) == 1_200


@pytest.mark.kafka
async def test_a_batch_grows_until_it_is_asked_for(source: GroupSource, kafka_settings: KafkaSettings) -> None:
    handler = CountingHandler(TopicNames(kafka_settings.topic_prefix))
    ahead = ReadAhead(source, handler, 0.5)
    ahead.begin(1_300)
    await eventually(lambda: handler.records == 1_200, "all that is there was read")
    for number in (1_250, 1_300):
        await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
        await eventually(lambda number=number: handler.records == number, "what came since was read as well")
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
    polled = await ahead.next(1_300)
    assert len(polled) == len(polled.batch.rows) == 1_300, "and no more than a batch may have"
    assert sorted(letter.offset for letter in polled.batch.refused(_all_refused(polled))) == sorted(
        offset for records in polled.records.values() for offset in records.offsets
    ), "each row's record is still found"
    left = 0
    while left < 50:
        polled = await ahead.next(1_300)
        assert polled.records, "what was too much comes next"
        left += len(polled)
    assert left == 50


class CountingHandler(ExecutionEventHandler):
    """Knows how many records it has handled."""

    records = 0

    def add(self, batch: HandledBatch, source: PartitionRecords, first: int = 0, *others: Any, **named: Any) -> None:
        super().add(batch, source, first, *others, **named)
        self.records = batch.records.total()


def _all_refused(polled: PolledBatch) -> dict[Place, RowRefusedError]:
    return {place: RowRefusedError("refused") for place in polled.batch.rows.places()}


@pytest.mark.kafka
async def test_what_was_dropped_is_read_again(source: GroupSource, kafka_settings: KafkaSettings) -> None:
    handler = CountingHandler(TopicNames(kafka_settings.topic_prefix))
    ahead = ReadAhead(source, handler, 0.5)
    ahead.begin(10_000)
    await eventually(lambda: handler.records == 1_200, "all that is there was read")
    await ahead.drop()
    assert not ahead.is_ahead
    assert len(source.unpositioned()) == 6, "nobody can go on behind what was lost"
    source.seek(dict.fromkeys(source.unpositioned(), 0))
    first = await ahead.next(10_000)
    assert all(records.offsets[0] == 0 for records in first.records.values())


def test_the_collector_runs_between_batches_only() -> None:
    now = [100.0]
    passes: list[dict[str, int]] = []

    def noted(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            passes.append(info)

    with CollectorBetweenBatches(clock=lambda: now[0]) as collector:
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        gc.callbacks.append(noted)
        try:
            counts = []
            for moment in (105.0, 110.0, 115.0, 125.0):
                now[0] = moment
                garbage = [[number] for number in range(10_000)]
                collector.between_batches()
                counts.append(len(passes))
            del garbage
        finally:
            gc.callbacks.remove(noted)
    assert counts == [0, 1, 1, 2]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.kafka
async def test_garbage_is_collected_while_the_database_is_away(kafka_settings: KafkaSettings, group: str) -> None:
    nowhere = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/nothing")
    calls: list[None] = []
    settings = ConsumerSettings.load(group=group, retry_backoff_s_max=0.1)
    worker = Worker(kafka_settings, nowhere, settings, between_batches=lambda: calls.append(None))
    running = asyncio.create_task(worker.run())
    await eventually(lambda: len(calls) > 2, "it is called between the attempts")
    worker.stop()
    assert (await asyncio.wait_for(running, 30)).batches == 0
