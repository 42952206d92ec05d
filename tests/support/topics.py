"""What happens to topics in tests: records by partition, retention, deletion, growth."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiokafka
import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.conditions import eventually


async def produce(settings: KafkaSettings, partition: TopicPartition, events: Sequence[dict[str, Any]]) -> None:
    """Events into one partition, each a batch of its own."""
    producer = aiokafka.AIOKafkaProducer(**settings.client_options(), acks="all")
    await producer.start()
    try:
        for content in events:
            await producer.send_and_wait(
                partition.topic,
                orjson.dumps(content),
                key=content["subject"].encode(),
                partition=partition.partition,
            )
    finally:
        await producer.stop()


async def produce_at(
    settings: KafkaSettings, partition: TopicPartition, events: Sequence[tuple[float, dict[str, Any]]]
) -> None:
    """Events into one partition, as if Kafka had got each at a moment (Unix time): for a topic by `CreateTime`."""
    producer = aiokafka.AIOKafkaProducer(**settings.client_options(), acks="all")
    await producer.start()
    try:
        for at_s, content in events:
            await producer.send_and_wait(
                partition.topic,
                orjson.dumps(content),
                partition=partition.partition,
                timestamp_ms=int(at_s * 1000),
            )
    finally:
        await producer.stop()


async def delete_records(settings: KafkaSettings, partition: TopicPartition, before: int) -> None:
    """As retention does: the log begins at `before`."""
    async with _admin(settings) as admin:
        await admin.delete_records({aiokafka.TopicPartition(*partition): RecordsToDelete(before_offset=before)})


async def delete_topic(settings: KafkaSettings, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    async with _admin(settings) as admin:
        await admin.delete_topics([topic])

        async def is_gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(is_gone, f"{topic} is gone")


async def create_topic(
    settings: KafkaSettings, topic: str, partitions: int, config: dict[str, str] | None = None
) -> None:
    """Make a topic, and wait until it is there."""
    async with _admin(settings) as admin:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, topic_configs=config or {})
        await admin.create_topics([new])

        async def is_there() -> bool:
            described = await admin.describe_topics([topic])
            return len(described[0]["partitions"]) == partitions

        await eventually(is_there, f"{topic} is there")


async def recreate_topic(settings: KafkaSettings, topic: str, partitions: int = 2) -> None:
    """Delete a topic and make it anew, empty."""
    await delete_topic(settings, topic)
    await create_topic(settings, topic, partitions)


async def grow_topic(settings: KafkaSettings, topic: str, partitions: int) -> None:
    """Give a topic more partitions."""
    async with _admin(settings) as admin:
        await admin.create_partitions({topic: NewPartitions(total_count=partitions)})


@contextlib.asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
