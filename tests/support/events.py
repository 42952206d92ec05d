"""Events and records as bytes, made by hand: what tests change is what they pass."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED, TopicNames

CONFIGURATION = {"name": "careful", "model": "m1", "temperature": 0.2}

_DATA: dict[str, dict[str, Any]] = {
    STARTED: {
        "scenario": "refund-flow",
        "simulation": "nightly",
        "configuration": CONFIGURATION,
        "configuration_name": "careful",
    },
    PROGRESSED: {"message": "asked the customer", "step": 1},
    COMPLETED: {"status": "succeeded", "score": 0.5, "duration_ms": 12.5, "cost_usd": 0.25},
    TOOL_USED: {"tool": "lookup_order", "success": True, "duration_ms": 1.5, "arguments": {"order_id": 7}},
    FAILURE_RECORDED: {"kind": "policy_violation", "message": "refunded order 1234 without approval"},
}


def event(event_type: str, data: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
    """A valid event of a type; `data` and `envelope` are laid over it."""
    subject = str(envelope.pop("subject", None) or ids.uuid7())
    context = {
        "configuration_version_id": str(ids.configuration_version_id(CONFIGURATION)),
        "scenario_id": str(ids.scenario_id("refund-flow")),
        "simulation_id": str(ids.simulation_id("nightly")),
    }
    return {
        "specversion": "1.0",
        "id": str(ids.uuid7()),
        "source": "/sandboxes/test",
        "type": event_type,
        "subject": subject,
        "time": datetime.now(UTC).isoformat(),
        "partitionkey": subject,
        "sequence": "0000000001",
        **envelope,
        "data": {**context, **_DATA.get(event_type, {}), **(data or {})},
    }


def lifecycle(subject: UUID | None = None) -> list[dict[str, Any]]:
    """One event of each type, of one execution, numbered."""
    subject = subject or ids.uuid7()
    types = (STARTED, PROGRESSED, TOOL_USED, FAILURE_RECORDED, COMPLETED)
    return [event(kind, subject=subject, sequence=f"{number:010d}") for number, kind in enumerate(types, start=1)]


def record(
    content: dict[str, Any] | bytes | None, *, offset: int = 0, partition: int = 0, topic: str | None = None
) -> LogRecord:
    """A record of the log; by default on the topic where the event's type belongs."""
    names = TopicNames()
    value = orjson.dumps(content) if isinstance(content, dict) else content
    if topic is None:
        topic = names.of_type(content["type"]) if isinstance(content, dict) else names.all[0]
    headers: tuple[tuple[str, bytes], ...] = ()
    if isinstance(content, dict):
        headers = (("ce_type", str(content["type"]).encode()), ("ce_id", str(content["id"]).encode()))
    return LogRecord(topic, partition, offset, 1_770_000_000_000, b"key", value, headers)
