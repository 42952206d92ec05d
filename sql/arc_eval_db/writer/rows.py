"""From events to the rows of each table, and to what must exist before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import orjson

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import (
    CompletedEvent,
    Envelope,
    Event,
    FailureRecordedEvent,
    ProgressedEvent,
    StartedEvent,
    ToolUsedEvent,
)
from arc_eval_db.writer.parents import Parents
from arc_eval_db.writer.patterns import failure_signature

Row = tuple[Any, ...]

_COMMON = {
    "time": "timestamptz",
    "event_id": "uuid",
    "execution_id": "uuid",
    "configuration_version_id": "uuid",
    "scenario_id": "uuid",
    "simulation_id": "uuid",
    "sequence": "bigint",
}
_LOG = {"log_partition": "integer", "log_offset": "bigint"}

COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "execution_events": {
            **_COMMON,
            "type": "text",
            "source": "text",
            "traceparent": "text",
            "data": "jsonb",
            **_LOG,
        },
        "failures": {**_COMMON, "kind": "text", "message": "text", "details": "jsonb", "pattern_id": "uuid", **_LOG},
        "outcomes": {
            **_COMMON,
            "status": "text",
            "success": "boolean",
            "score": "double precision",
            "duration_ms": "double precision",
            "cost_usd": "double precision",
            "input_tokens": "bigint",
            "output_tokens": "bigint",
            "error_kind": "text",
            "error_message": "text",
            "metadata": "jsonb",
            "last_sequence": "bigint",
            "dropped": "jsonb",
            **_LOG,
        },
        "tool_usage": {
            **_COMMON,
            "tool": "text",
            "success": "boolean",
            "duration_ms": "double precision",
            "error": "text",
            "arguments": "jsonb",
            "result_bytes": "bigint",
            **_LOG,
        },
    }
)
"""The event tables, in the order in which every writer takes them, and their columns' types, in the order of a row."""

TABLES: Mapping[type[Envelope], str] = MappingProxyType(
    {
        StartedEvent: "execution_events",
        ProgressedEvent: "execution_events",
        CompletedEvent: "outcomes",
        ToolUsedEvent: "tool_usage",
        FailureRecordedEvent: "failures",
    }
)
"""Where the one row of each event lands."""

_CONTEXT_FIELDS = {"configuration_version_id", "scenario_id", "simulation_id"}


class LoggedEvent(NamedTuple):
    """An event and where it stands in the log; written without a log, it stands nowhere."""

    event: Event
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(slots=True)
class RowBatch:
    """The rows of a batch of events by table, and the parents they need."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    parents: Parents = field(default_factory=Parents)

    @classmethod
    def of(cls, events: Sequence[LoggedEvent]) -> Self:
        """Make the rows of `events`."""
        batch = cls()
        for logged in events:
            _ADDERS[logged.event.__class__](batch, logged)
        return batch


def _common(event: Event) -> Row:
    data = event.data
    return (
        event.time,
        event.id,
        event.subject,
        data.configuration_version_id,
        data.scenario_id,
        data.simulation_id,
        int(event.sequence),
    )


def _json(value: object) -> str | None:
    """The text of a jsonb column; an empty object takes no room."""
    return orjson.dumps(value).decode() if value else None


def _add_started(batch: RowBatch, logged: LoggedEvent) -> None:
    event = logged.event
    assert isinstance(event, StartedEvent)
    batch.parents.add_started(event)
    _add_execution_event(batch, logged, leave_out={"configuration"})


def _add_progressed(batch: RowBatch, logged: LoggedEvent) -> None:
    assert isinstance(logged.event, ProgressedEvent)
    batch.parents.add_mentioned(logged.event)
    _add_execution_event(batch, logged, leave_out=set())


def _add_execution_event(batch: RowBatch, logged: LoggedEvent, *, leave_out: set[str]) -> None:
    event = logged.event
    data = event.data.model_dump_json(exclude=_CONTEXT_FIELDS | leave_out, exclude_defaults=True)
    batch.tables["execution_events"].append(
        (*_common(event), event.type, event.source, event.traceparent, data, logged.partition, logged.offset)
    )


def _add_completed(batch: RowBatch, logged: LoggedEvent) -> None:
    event = logged.event
    assert isinstance(event, CompletedEvent)
    batch.parents.add_completed(event)
    data = event.data
    batch.tables["outcomes"].append(
        (
            *_common(event),
            data.status.value,
            data.status.value == "succeeded",
            data.score,
            data.duration_ms,
            data.cost_usd,
            data.input_tokens,
            data.output_tokens,
            data.error_kind,
            data.error_message,
            _json(data.metadata),
            data.last_sequence,
            _json(data.dropped),
            logged.partition,
            logged.offset,
        )
    )


def _add_tool_used(batch: RowBatch, logged: LoggedEvent) -> None:
    event = logged.event
    assert isinstance(event, ToolUsedEvent)
    batch.parents.add_mentioned(event)
    data = event.data
    batch.tables["tool_usage"].append(
        (
            *_common(event),
            data.tool,
            data.success,
            data.duration_ms,
            data.error,
            _json(data.arguments),
            data.result_bytes,
            logged.partition,
            logged.offset,
        )
    )


def _add_failure(batch: RowBatch, logged: LoggedEvent) -> None:
    event = logged.event
    assert isinstance(event, FailureRecordedEvent)
    data = event.data
    signature = failure_signature(data.message)
    pattern_id = ids.failure_pattern_id(data.kind, signature)
    batch.parents.add_mentioned(event)
    batch.parents.add_failure(event, pattern_id, signature)
    batch.tables["failures"].append(
        (*_common(event), data.kind, data.message, _json(data.details), pattern_id, logged.partition, logged.offset)
    )


_ADDERS: MappingProxyType[type[Envelope], Callable[[RowBatch, LoggedEvent], None]] = MappingProxyType(
    {
        StartedEvent: _add_started,
        ProgressedEvent: _add_progressed,
        CompletedEvent: _add_completed,
        ToolUsedEvent: _add_tool_used,
        FailureRecordedEvent: _add_failure,
    }
)
