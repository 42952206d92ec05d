"""From events to the rows of each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from arc_eval_db.schemas.bulk import CONTEXT_IDS, PlainEvent, plain_of
from arc_eval_db.schemas.events import Event
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.writer.patterns import failure_pattern

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

Row = tuple[Any, ...]

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

TABLE_OF_TYPE: Mapping[str, str] = MappingProxyType(
    {
        STARTED: "execution_events",
        PROGRESSED: "execution_events",
        FAILURE_RECORDED: "failures",
        COMPLETED: "outcomes",
        TOOL_USED: "tool_usage",
    }
)
"""Where the row of an event goes, by the event's type."""


class LoggedEvent(NamedTuple):
    """An event and where it stands in the log; written without a log, it stands nowhere."""

    event: Event
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class EventRow(NamedTuple):
    """The row of an event. Keeps nothing of the event but plain values, where those are all that its parents need."""

    table: str
    row: Row
    """The values of `COLUMNS[table]`; ids are text."""
    started: PlainEvent | None = None
    """The event of a start, which says more of its execution than its row."""


def event_row(logged: LoggedEvent) -> EventRow:
    """The row of an event."""
    return plain_row(plain_of(logged.event), logged.partition, logged.offset)


def plain_row(event: PlainEvent, partition: int | None = None, offset: int | None = None) -> EventRow:
    """The row of a plain event."""
    type_ = event["type"]
    row = ROW_OF_TYPE[type_](event, partition, offset)
    return EventRow(TABLE_OF_TYPE[type_], row, event if type_ == STARTED else None)


# A member of an enumeration takes longer to look up than all the rest of a row's values.
_SUCCEEDED = ExecutionStatus.SUCCEEDED.value

# One call a row, and no tuple that is taken apart again: these lines are run for every event.
_envelope = itemgetter("time", "id", "subject", "sequence", "data")
_lifecycle = itemgetter("type", "source", "traceparent")
_started = itemgetter(*CONTEXT_IDS, "scenario", "simulation", "configuration_name", "attempt", "metadata")
_progress = itemgetter(*CONTEXT_IDS, "message", "step", "details")
_failure = itemgetter(*CONTEXT_IDS, "kind", "message", "details")
_tool_use = itemgetter(*CONTEXT_IDS, "tool", "success", "duration_ms", "error", "arguments", "result_bytes")
_outcome = itemgetter(
    *CONTEXT_IDS,
    "status",
    "score",
    "duration_ms",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "error_kind",
    "error_message",
    "metadata",
    "last_sequence",
    "dropped",
)


def _started_row(event: PlainEvent, partition: int | None, offset: int | None) -> Row:
    """The configuration is kept with its version."""
    time, event_id, subject, sequence, data = _envelope(event)
    type_, source, traceparent = _lifecycle(event)
    version, scenario, simulation, scenario_name, simulation_name, configuration, attempt, metadata = _started(data)
    said = {"scenario": scenario_name, "simulation": simulation_name, "configuration_name": configuration}
    if attempt != 1:
        said["attempt"] = attempt
    # fmt: off
    return (
        time, event_id, subject, version, scenario, simulation, int(sequence), type_, source, traceparent,
        _said(said, "metadata", metadata), partition, offset,
    )
    # fmt: on


def _progress_row(event: PlainEvent, partition: int | None, offset: int | None) -> Row:
    time, event_id, subject, sequence, data = _envelope(event)
    type_, source, traceparent = _lifecycle(event)
    version, scenario, simulation, message, step, details = _progress(data)
    # fmt: off
    return (
        time, event_id, subject, version, scenario, simulation, int(sequence), type_, source, traceparent,
        _said({"message": message, "step": step}, "details", details), partition, offset,
    )
    # fmt: on


def _said(values: Mapping[str, Any], name: str, text: str | None) -> str:
    """The JSON text of what an event says; what is absent is left out. `text` is JSON already."""
    said = {key: value for key, value in values.items() if value is not None}
    if text is not None:
        said[name] = orjson.Fragment(text)
    return orjson.dumps(said).decode()


def _failure_row(event: PlainEvent, partition: int | None, offset: int | None) -> Row:
    time, event_id, subject, sequence, data = _envelope(event)
    version, scenario, simulation, kind, message, details = _failure(data)
    pattern_id, _ = failure_pattern(kind, message)
    # fmt: off
    return (
        time, event_id, subject, version, scenario, simulation, int(sequence), kind, message,
        details, pattern_id, partition, offset,
    )
    # fmt: on


def _tool_use_row(event: PlainEvent, partition: int | None, offset: int | None) -> Row:
    time, event_id, subject, sequence, data = _envelope(event)
    version, scenario, simulation, tool, success, duration, error, arguments, result_bytes = _tool_use(data)
    # fmt: off
    return (
        time, event_id, subject, version, scenario, simulation, int(sequence), tool, success, duration, error,
        arguments, result_bytes, partition, offset,
    )
    # fmt: on


def _outcome_row(event: PlainEvent, partition: int | None, offset: int | None) -> Row:
    time, event_id, subject, sequence, data = _envelope(event)
    # fmt: off
    (
        version, scenario, simulation, status, score, duration, cost, input_tokens, output_tokens, kind, message,
        metadata, last_sequence, dropped,
    ) = _outcome(data)
    return (
        time, event_id, subject, version, scenario, simulation, int(sequence), str(status),
        status == _SUCCEEDED, score, duration, cost, input_tokens, output_tokens, kind, message,
        metadata, last_sequence, dropped, partition, offset,
    )
    # fmt: on


ROW_OF_TYPE: Mapping[str, Callable[[PlainEvent, int | None, int | None], Row]] = MappingProxyType(
    {
        STARTED: _started_row,
        PROGRESSED: _progress_row,
        FAILURE_RECORDED: _failure_row,
        COMPLETED: _outcome_row,
        TOOL_USED: _tool_use_row,
    }
)
"""Makes the row of a plain event of a type, from the event, its partition and its offset."""
