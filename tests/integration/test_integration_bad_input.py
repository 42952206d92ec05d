"""Literal bad events: each ends as one dead letter with its reason, and its neighbours as rows."""

from __future__ import annotations

import aiokafka
import pytest

from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from support.databases import connect
from support.poison import REFUSED, SENT_BYTES_MAX, tool

pytestmark = [pytest.mark.database, pytest.mark.kafka]


async def test_each_bad_event_is_one_dead_letter_and_its_neighbours_are_rows(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    assert len(REFUSED) >= 20
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    subjects = {name: str(ids.uuid7()) for name in REFUSED}
    producer = aiokafka.AIOKafkaProducer(
        **kafka_settings.client_options(), max_request_size=3_000_000, acks="all", linger_ms=5
    )
    await producer.start()
    try:
        for name, (value, _) in REFUSED.items():
            sent = value[:SENT_BYTES_MAX] if value is not None else None
            await producer.send(topic, tool(subject=subjects[name]), partition=0)
            await producer.send(topic, sent, key=name.encode(), partition=0)
            await producer.send(topic, tool(subject=subjects[name]), partition=0)
        await producer.flush()
    finally:
        await producer.stop()

    report = await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    assert (report.inserted, report.duplicates, report.dead_letters) == (2 * len(REFUSED), 0, len(REFUSED))
    async with await connect(database) as session:
        letters = await session.fetch("SELECT key, value, reason FROM dead_letters")
        assert {row["key"].decode(): row["reason"] for row in letters} == {
            name: reason for name, (_, reason) in REFUSED.items()
        }
        for row in letters:
            sent = REFUSED[row["key"].decode()][0]
            assert row["value"] == (sent[:SENT_BYTES_MAX] if sent is not None else None)
        rows = await session.fetch("SELECT execution_id::text AS subject, count(*) AS rows FROM tool_usage GROUP BY 1")
        assert {row["subject"]: row["rows"] for row in rows} == dict.fromkeys(subjects.values(), 2)
