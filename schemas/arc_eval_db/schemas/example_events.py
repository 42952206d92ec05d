"""Examples of every event type, valid and invalid. `generate` writes them to `schemas/examples/`.

Ids and times are fixed, so that writing them again changes nothing. An example of a released version is never removed
or changed: it is the proof that events of that version can still be read.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.limits import FREE_INTEGER_MAX, INTEGER_MAX, JSON_DEPTH_MAX, NAME_CHARACTERS_MAX
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
"""A moment at which every valid example is accepted, and which times "ahead" are measured from."""

_MISSING = object()
_VERSION_4_ID = "9b2c1a3e-6d4f-4e8a-b0c7-1f2e3d4c5b6a"


@dataclass(frozen=True, slots=True)
class Example:
    """One event, and what becomes of it."""

    event_type: str
    """The type it is an example of; `document["type"]` differs where that is what is wrong."""
    case: str
    document: dict[str, Any]
    reason: RefusalReason | None = None
    """Why it is refused; None for a valid example."""
    refused_by_schema: bool = False
    """Whether JSON Schema can express what is wrong with it."""

    @property
    def path(self) -> str:
        """Where it is written, relative to the folder `schemas/`; the name says what must become of it."""
        kind = "valid" if self.reason is None else f"invalid-{self.reason}"
        return f"examples/{self.event_type}/{kind}-{self.case}.json"


def reason_in_name(name: str) -> RefusalReason | None:
    """The reason in an example's file name: None for "valid-full.json"."""
    kind, rest = name.split("-", 1)
    return RefusalReason(rest.split("-", 1)[0]) if kind == "invalid" else None


def all_examples() -> tuple[Example, ...]:
    """Every example of every type."""
    return tuple(example for event_type in _DATA for example in _examples(event_type))


def _uuid7(number: int) -> str:
    milliseconds = 1_795_399_200_123  # 2026-11-23T02:00:00.123Z
    return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x1F7 << 64 | 0x2 << 62 | 0x1234_5678_9ABC_0000 | number))


_EXECUTION_ID = _uuid7(1)
_CONFIGURATION = {
    "name": "careful",
    "model": "example-model-1",
    "temperature": 0.2,
    "tools": ["lookup_order", "refund"],
    "limits": {"steps": 40, "cost_usd": 0.5},
}
_CONTEXT = {
    "configuration_version_id": str(ids.configuration_version_id(_CONFIGURATION)),
    "scenario_id": str(ids.scenario_id("refund-flow")),
}

# By type: what every event of it must say, and what it can say besides.
_DATA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    STARTED: (
        {"scenario": "refund-flow"},
        {
            "simulation": "nightly-2026-11-23",
            "configuration_name": "careful",
            "configuration": _CONFIGURATION,
            "attempt": 2,
            "metadata": {"git_commit": "5f0c2d1", "seed": 7},
        },
    ),
    PROGRESSED: (
        {},
        {"message": "asked the customer for the order's number", "step": 3, "details": {"tokens_left": 5120}},
    ),
    COMPLETED: (
        {"status": "succeeded"},
        {
            "status": "errored",
            "score": 0.82,
            "duration_ms": 41_250.5,
            "cost_usd": 0.0134,
            "input_tokens": 1200,
            "output_tokens": 310,
            "error_kind": "ConnectionError",
            "error_message": "the order service closed the connection",
            "metadata": {"retries": 2},
            "last_sequence": 18,
            "dropped": {"queue_full": 1},
        },
    ),
    TOOL_USED: (
        {"tool": "lookup_order", "success": True},
        {
            "success": False,
            "duration_ms": 182.25,
            "error": "order 7 does not exist",
            "arguments": {"order_id": 7, "fields": ["status", "total"], "strict": True, "hint": None},
            "result_bytes": 0,
        },
    ),
    FAILURE_RECORDED: (
        {"kind": "policy_violation", "message": "refunded without approval"},
        {"details": {"order_id": 7, "amount": 129.9, "approvals": []}},
    ),
}


def _minimal(event_type: str) -> dict[str, Any]:
    required, _ = _DATA[event_type]
    return {
        "specversion": "1.0",
        "id": _uuid7(2),
        "source": "/sandboxes/sb-01",
        "type": event_type,
        "subject": _EXECUTION_ID,
        "time": "2026-11-23T02:00:00Z",
        "sequence": "0000000001",
        "data": copy.deepcopy({**_CONTEXT, **required}),
    }


def _full(event_type: str) -> dict[str, Any]:
    _, optional = _DATA[event_type]
    document = _minimal(event_type)
    document["time"] = "2026-11-23T03:00:00.123456+01:00"
    document["sequence"] = "0000000018"
    document["partitionkey"] = _EXECUTION_ID
    document["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    document["data"] |= copy.deepcopy({"simulation_id": str(ids.simulation_id("nightly-2026-11-23")), **optional})
    return document


def _newer(event_type: str) -> dict[str, Any]:
    document = _minimal(event_type)
    document["datacontenttype"] = "application/json"
    document["data"]["added_later"] = {"by": "a newer producer"}
    return document


def _examples(event_type: str) -> Iterator[Example]:
    yield Example(event_type, "minimal", _minimal(event_type))
    yield Example(event_type, "full", _full(event_type))
    yield Example(event_type, "unknown-fields", _newer(event_type))
    for attribute, value, reason, case, by_schema in _ENVELOPE_DEFECTS:
        yield Example(event_type, case, _with(_minimal(event_type), attribute, value), reason, by_schema)
    version_2 = _with(_minimal(event_type), "type", event_type.removesuffix("v1") + "v2")
    yield Example(event_type, "version-2", version_2, RefusalReason.UNKNOWN_TYPE, refused_by_schema=True)
    for attribute, value, case, by_schema in (*_DATA_DEFECTS[""], *_DATA_DEFECTS[event_type]):
        document = _minimal(event_type)
        _with(document["data"], attribute, value)
        yield Example(event_type, case, document, RefusalReason.INVALID_DATA, by_schema)
    document = _minimal(event_type)
    document["data"]["added_later"] = _nested(JSON_DEPTH_MAX - 1)
    yield Example(event_type, "depth-33", document, RefusalReason.TOO_DEEP)


def _with(target: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is _MISSING:
        del target[key]
    else:
        target[key] = copy.deepcopy(value)
    return target


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


# attribute, what it becomes, reason, case, whether JSON Schema refuses it
_ENVELOPE_DEFECTS: tuple[tuple[str, Any, RefusalReason, str, bool], ...] = (
    ("id", _VERSION_4_ID, RefusalReason.INVALID_ENVELOPE, "id-not-uuid7", True),
    ("subject", _MISSING, RefusalReason.INVALID_ENVELOPE, "no-subject", True),
    ("time", "2026-11-23T02:00:00", RefusalReason.INVALID_ENVELOPE, "naive-time", True),
    ("time", 1_795_399_200, RefusalReason.INVALID_ENVELOPE, "epoch-time", True),
    ("sequence", 1, RefusalReason.INVALID_ENVELOPE, "sequence-a-number", True),
    ("time", "2019-12-31T23:59:59Z", RefusalReason.TIME_OUT_OF_RANGE, "2019", False),
    ("time", "9999-12-31T23:59:59Z", RefusalReason.TIME_OUT_OF_RANGE, "9999", False),
)

_TOO_LONG = "a" * (NAME_CHARACTERS_MAX + 1)

# field of data, what it becomes, case, whether JSON Schema refuses it; under "" what every type has
_DATA_DEFECTS: dict[str, tuple[tuple[str, Any, str, bool], ...]] = {
    "": (
        ("configuration_version_id", _MISSING, "no-configuration-version", True),
        ("scenario_id", _VERSION_4_ID, "scenario-id-not-uuid5", True),
    ),
    STARTED: (
        ("scenario_id", str(ids.scenario_id("another")), "scenario-id-of-another", False),
        ("simulation", "nightly", "simulation-without-id", False),
        ("configuration", {"name": "changed"}, "version-id-of-another", False),
        ("configuration", {"seed": 2**53}, "configuration-not-canonical", False),
        ("scenario", "", "empty-scenario", True),
        ("attempt", 0, "attempt-0", True),
    ),
    PROGRESSED: (
        ("step", -1, "negative-step", True),
        ("message", 5, "message-a-number", True),
        ("details", [], "details-a-list", True),
    ),
    COMPLETED: (
        ("status", "done", "unknown-status", True),
        ("duration_ms", -1, "negative-duration", True),
        ("score", True, "score-a-boolean", True),
        ("input_tokens", INTEGER_MAX + 1, "tokens-over-64-bits", True),
        ("dropped", {"queue_full": -1}, "negative-dropped", True),
        ("dropped", {"two\nlines": 1}, "dropped-control-character", True),
    ),
    TOOL_USED: (
        ("tool", "", "empty-tool", True),
        ("tool", _TOO_LONG, "tool-201-characters", True),
        ("success", "true", "success-a-text", True),
        ("duration_ms", -0.5, "negative-duration", True),
        ("arguments", {"order_id": FREE_INTEGER_MAX + 1}, "argument-over-64-bits", False),
    ),
    FAILURE_RECORDED: (
        ("message", _MISSING, "no-message", True),
        ("kind", "two\nlines", "kind-control-character", True),
        ("kind", _TOO_LONG, "kind-201-characters", True),
    ),
}
