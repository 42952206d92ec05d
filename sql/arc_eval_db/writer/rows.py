"""From events to the rows of each table, and to what must exist before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Self

import orjson

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import (
    Event,
    ExecutionCompleted,
    FailureRecorded,
    ProgressedEvent,
    StartedEvent,
    ToolUsed,
)
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.writer.parents import Parents, Row
from arc_eval_db.writer.patterns import failure_signature

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

_CONTEXT_FIELDS = {"configuration_version_id", "scenario_id", "simulation_id"}


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
    """The values of `COLUMNS[table]`."""
    described: StartedEvent | str | None = None
    """What the row's parents need besides: the event of a start, the signature of a failure."""


@dataclass(slots=True)
class RowBatch:
    """Rows by table, and the parents they need."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    parents: Parents = field(default_factory=Parents)

    @classmethod
    def of(cls, rows: Sequence[EventRow]) -> Self:
        """Sort rows by table, and collect their parents."""
        batch = cls()
        tables, parents = batch.tables, batch.parents
        for table, row, described in rows:
            tables[table].append(row)
            if table == "outcomes":
                parents.add_completed(row)
            elif described is None:
                parents.add_mentioned(row)
            elif isinstance(described, str):
                parents.add_failure(row, described)
            else:
                parents.add_started(row, described)
        return batch


def event_row(logged: LoggedEvent) -> EventRow:
    """The row of an event."""
    event, _, partition, offset = logged
    data = event.data
    context = (
        event.time,
        event.id,
        event.subject,
        data.configuration_version_id,
        data.scenario_id,
        data.simulation_id,
        int(event.sequence),
    )
    if isinstance(event, StartedEvent):
        return _lifecycle_row(context, event, {"configuration"}, event, partition, offset)
    if isinstance(event, ProgressedEvent):
        return _lifecycle_row(context, event, set(), None, partition, offset)
    return row_of(context, event.data, partition, offset)


def row_of(
    context: Row,
    data: ExecutionCompleted | ToolUsed | FailureRecorded,
    partition: int | None = None,
    offset: int | None = None,
) -> EventRow:
    """The row of what has a table of its own: an outcome, a tool's use, a failure.

    Args:
        context: the values of the columns that all tables begin with.
    """
    if isinstance(data, ExecutionCompleted):
        return EventRow("outcomes", _outcome(context, data, partition, offset))
    if isinstance(data, ToolUsed):
        return EventRow("tool_usage", (*context, *_tool_use(data), partition, offset))
    signature = failure_signature(data.message)
    pattern_id = ids.failure_pattern_id(data.kind, signature)
    failure = (data.kind, data.message, _json(data.details), pattern_id)
    return EventRow("failures", (*context, *failure, partition, offset), signature)


def _outcome(context: Row, data: ExecutionCompleted, partition: int | None, offset: int | None) -> Row:
    status = data.status
    return (
        *context,
        str(status),
        status is ExecutionStatus.SUCCEEDED,
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
        partition,
        offset,
    )


def _tool_use(data: ToolUsed) -> Row:
    return (data.tool, data.success, data.duration_ms, data.error, _json(data.arguments), data.result_bytes)


def _lifecycle_row(
    context: Row,
    event: StartedEvent | ProgressedEvent,
    leave_out: set[str],
    described: StartedEvent | None,
    partition: int | None,
    offset: int | None,
) -> EventRow:
    data = event.data.model_dump_json(exclude=_CONTEXT_FIELDS | leave_out, exclude_defaults=True)
    row = (*context, event.type, event.source, event.traceparent, data, partition, offset)
    return EventRow("execution_events", row, described)


def _json(value: object) -> str | None:
    """The text of a jsonb column; an empty object takes no room."""
    return orjson.dumps(value).decode() if value else None
