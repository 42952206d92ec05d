"""Twenty literal bad events: each ends as one dead letter with its reason, and its neighbours as rows."""

from __future__ import annotations

from typing import Any

import aiokafka
import orjson
import pytest

from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from support.databases import connect
from support.events import event

pytestmark = [pytest.mark.database, pytest.mark.kafka]


def tool(data: dict[str, Any] | None = None, **envelope: Any) -> bytes:
    return orjson.dumps(event(TOOL_USED, data, **envelope))


def with_argument(literal: bytes) -> bytes:
    """A tool use with an argument that no Python value stands for."""
    return tool({"arguments": {"x": "HERE"}}).replace(b'"HERE"', literal)


BAD: dict[str, tuple[bytes | None, str]] = {
    "no value": (None, "empty"),
    "not JSON": (b"this is not json", "invalid_json"),
    "cut off": (tool()[:-1], "invalid_json"),
    "two documents": (tool() + tool(), "invalid_json"),
    "an array": (b"[1]", "invalid_envelope"),
    "NaN": (with_argument(b"NaN"), "invalid_data"),
    "1e999": (with_argument(b"1e999"), "invalid_data"),
    "a raw NUL byte": (with_argument(b'"\x00"'), "invalid_json"),
    "NUL in a name": (tool({"tool": "a\x00b"}), "invalid_data"),
    "a lone surrogate": (with_argument(rb'"\ud800"'), "invalid_json"),
    "invalid UTF-8": (with_argument(b'"\xff\xfe"'), "invalid_json"),
    "depth 1,000": (with_argument(b"[" * 1000 + b"]" * 1000), "too_deep"),
    "2 MB": (tool({"error": "x" * 2_000_000}), "too_large"),
    "30 digits": (with_argument(b"9" * 30), "invalid_data"),
    "year 9999": (tool(time="9999-12-31T23:59:59.999999Z"), "time_out_of_range"),
    "1970": (tool(time="1970-01-01T00:00:00Z"), "time_out_of_range"),
    "naive time": (tool(time="2026-11-23T02:00:00"), "invalid_envelope"),
    "unknown type": (orjson.dumps(event(TOOL_USED) | {"type": "arc_eval.tool.invented.v1"}), "unknown_type"),
    "unknown version": (orjson.dumps(event(TOOL_USED) | {"type": "arc_eval.tool.used.v2"}), "unknown_type"),
    "no subject": (orjson.dumps({k: v for k, v in event(TOOL_USED).items() if k != "subject"}), "invalid_envelope"),
    "a number as text": (tool({"duration_ms": "12"}), "invalid_data"),
    "a negative duration": (tool({"duration_ms": -1}), "invalid_data"),
    "an id of another kind": (tool(id="8c5d1d0c-32f1-4d3a-9a4e-111111111111"), "invalid_envelope"),
    "another topic's type": (
        orjson.dumps(event("arc_eval.execution.progressed.v1")),
        "wrong_topic",
    ),
}


async def test_each_bad_event_is_one_dead_letter_and_its_neighbours_are_rows(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    assert len(BAD) >= 20
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    subjects = {name: str(ids.uuid7()) for name in BAD}
    producer = aiokafka.AIOKafkaProducer(
        **kafka_settings.client_options(), max_request_size=3_000_000, acks="all", linger_ms=5
    )
    await producer.start()
    try:
        for name, (value, _) in BAD.items():
            # What no broker of ours would take comes as the largest that it does.
            sent = value[:1_000_000] if value is not None else None
            await producer.send(topic, tool(subject=subjects[name]), partition=0)
            await producer.send(topic, sent, key=name.encode(), partition=0)
            await producer.send(topic, tool(subject=subjects[name]), partition=0)
        await producer.flush()
    finally:
        await producer.stop()

    report = await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    assert (report.inserted, report.duplicates, report.dead_letters) == (2 * len(BAD), 0, len(BAD))
    async with await connect(database) as session:
        letters = await session.fetch("SELECT key, value, reason FROM dead_letters")
        assert {row["key"].decode(): row["reason"] for row in letters} == {
            name: reason for name, (_, reason) in BAD.items()
        }
        for row in letters:
            sent = BAD[row["key"].decode()][0]
            assert row["value"] == (sent[:1_000_000] if sent is not None else None)
        rows = await session.fetch("SELECT execution_id::text AS subject, count(*) AS rows FROM tool_usage GROUP BY 1")
        assert {row["subject"]: row["rows"] for row in rows} == dict.fromkeys(subjects.values(), 2)
