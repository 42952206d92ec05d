"""What the benchmark does with Kafka itself: fill topics fast, read them for nothing, watch a consumer begin."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient

from arc_eval_db.bench.measured import Span
from arc_eval_db.bench.wire import WireRecord
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings

# A producer's batch in the log; brokers see such from programs that send much.
_BATCH_BYTES_MAX = 65_536
_PENDING_BATCHES_MAX = 32
_JOIN_POLL_S = 0.01
_STOP_TIMEOUT_S = 5.0
_POLL_MS = 200


async def fill(settings: KafkaSettings, records: Iterable[WireRecord]) -> int:
    """Put records into the topics of the prefix, in their order, and return how many. Nobody else may be sending."""
    producer = aiokafka.AIOKafkaProducer(
        **settings.client_options(), acks=1, linger_ms=0, max_batch_size=_BATCH_BYTES_MAX, max_request_size=4_194_304
    )
    await producer.start()
    builders: dict[tuple[str, int], Any] = {}
    pending: set[asyncio.Future[Any]] = set()
    count = 0

    async def send(place: tuple[str, int]) -> None:
        topic, partition = place
        sent = await producer.send_batch(builders.pop(place), f"{settings.topic_prefix}.{topic}", partition=partition)
        pending.add(sent)
        if len(pending) >= _PENDING_BATCHES_MAX:
            await asyncio.gather(*pending)
            pending.clear()

    try:
        for topic, partition, key, value, headers in records:
            place = (topic, partition)
            if place not in builders:
                builders[place] = producer.create_batch()
            if builders[place].append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                await send(place)
                builders[place] = producer.create_batch()
                builders[place].append(timestamp=None, key=key, value=value, headers=list(headers))
            count += 1
        for place in list(builders):
            await send(place)
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return count


async def drain(
    settings: KafkaSettings, partitions: int, count: int, span: Span, *, fetch_bytes: int, records_max: int
) -> None:
    """Fetch `count` records of the prefix's topics, without a group, and do nothing with them; `span` is when.

    Records are taken apart as far as the worker's consumer does it.
    """
    # Not above: the sink of an older revision, which is compared with this one, does without.
    from arc_eval_db.consumers.kafka.raw_records import hand_out_raw_records  # noqa: PLC0415

    consumer = aiokafka.AIOKafkaConsumer(
        **settings.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=fetch_bytes,
    )
    await consumer.start()
    hand_out_raw_records(consumer)
    try:
        consumer.assign(_partitions(settings, partitions))
        span.begin()
        while count > 0:
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=records_max)
            count -= sum(map(len, batches.values()))
        span.mark()
    finally:
        await asyncio.wait_for(consumer.stop(), _STOP_TIMEOUT_S)


async def count_records(settings: KafkaSettings, partitions: int) -> int:
    """How many records the prefix's topics hold, by their offsets."""
    consumer = aiokafka.AIOKafkaConsumer(**settings.client_options())
    await consumer.start()
    try:
        everything = _partitions(settings, partitions)
        ends = await consumer.end_offsets(everything)
        starts = await consumer.beginning_offsets(everything)
        return int(sum(ends.values()) - sum(starts.values()))
    finally:
        await asyncio.wait_for(consumer.stop(), _STOP_TIMEOUT_S)


async def delete_topics(settings: KafkaSettings, prefix: str) -> None:
    """Delete every topic whose name begins so."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        if names := [name for name in await admin.list_topics() if name.startswith(prefix)]:
            await admin.delete_topics(names)
    finally:
        await admin.close()


def _partitions(settings: KafkaSettings, count: int) -> list[aiokafka.TopicPartition]:
    topics = TopicNames(settings.topic_prefix).all
    return [aiokafka.TopicPartition(topic, number) for topic in topics for number in range(count)]


@contextlib.contextmanager
def first_fetch(
    begin: Callable[[], None], *, share: int, settle_s: float = 0.0, meet: Callable[[bool], bool] = lambda ready: ready
) -> Any:
    """Call `begin` when this process's member of a group first asks for records, with `share` partitions of its own.

    Until the group has agreed on that, the member is given nothing: joining is not what is measured.

    Args:
        settle_s: how long it must have had the same partitions. Where several members join one after the other, the
            group may share anew at its next heartbeat, and one of them would get what another has just read.
        meet: told again and again whether this member is ready; answers whether all of the group are.
    """
    original = aiokafka.AIOKafkaConsumer.getmany
    has_begun = False
    held: frozenset[Any] = frozenset()
    held_since = 0.0

    async def getmany(self: Any, *partitions: Any, **options: Any) -> Any:
        nonlocal has_begun, held, held_since
        if not has_begun and self._group_id is not None:
            if self.assignment() != held:
                held, held_since = frozenset(self.assignment()), time.monotonic()
            is_settled = time.monotonic() - held_since >= settle_s
            if not meet(len(held) == share and not self.paused() and is_settled):
                await asyncio.sleep(_JOIN_POLL_S)
                return {}
            has_begun = True
            # What the client has fetched meanwhile is forgotten: to fetch it is a part of the work.
            for partition in held:
                self.seek(partition, await self.position(partition))
            begin()
        return await original(self, *partitions, **options)

    aiokafka.AIOKafkaConsumer.getmany = getmany
    try:
        yield
    finally:
        aiokafka.AIOKafkaConsumer.getmany = original
