"""Records into the log, without the SDK."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiokafka
import orjson

from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings


async def send_events(settings: KafkaSettings, events: Sequence[dict[str, Any]]) -> None:
    """Each on the topic of its type, keyed as the SDK does."""
    names = TopicNames(settings.topic_prefix)
    async with _producer(settings) as producer:
        for content in events:
            await producer.send(names.of_type(content["type"]), orjson.dumps(content), key=content["subject"].encode())


async def send_values(
    settings: KafkaSettings, topic: str, values: Sequence[bytes | dict[str, Any]], *, partition: int | None = None
) -> None:
    """Anything, events or not, in this order."""
    async with _producer(settings) as producer:
        for value in values:
            raw = orjson.dumps(value) if isinstance(value, dict) else value
            await producer.send(topic, raw, partition=partition)


@contextlib.asynccontextmanager
async def _producer(settings: KafkaSettings) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(**settings.client_options(), acks="all", linger_ms=2)
    await producer.start()
    try:
        yield producer
        await producer.flush()
    finally:
        await producer.stop()
