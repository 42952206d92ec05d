"""From events to the rows of each table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from arc_eval_db.schemas.bulk import CONTEXT_IDS, PlainEvent, PlainEvents, plain_of
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


@dataclass(frozen=True, slots=True)
class _Derived:
    """A value of a row that is made of what the event has."""

    make: Callable[..., Any]
    names: tuple[str, ...]
    """Of what it is made."""


# A member of an enumeration takes longer to look up than all the rest of a row's values.
_SUCCEEDED = ExecutionStatus.SUCCEEDED.value

_ENVELOPE = ("time", "id", "subject", *CONTEXT_IDS, _Derived(int, ("sequence",)))
_PLACE = ("partition", "offset")


def _said(**values: Any) -> str:
    """The JSON text of what an event says; what is absent is left out."""
    return orjson.dumps({name: value for name, value in values.items() if value is not None}).decode()


def _fragment(text: str | None) -> orjson.Fragment | None:
    """JSON text as it is."""
    return None if text is None else orjson.Fragment(text)


def _said_by_start(
    scenario: str, simulation: str | None, configuration_name: str | None, attempt: int, metadata: str | None
) -> str:
    """The configuration is kept with its version."""
    return _said(
        scenario=scenario,
        simulation=simulation,
        configuration_name=configuration_name,
        attempt=None if attempt == 1 else attempt,
        metadata=_fragment(metadata),
    )


def _said_by_progress(message: str | None, step: int | None, details: str | None) -> str:
    return _said(message=message, step=step, details=_fragment(details))


def _pattern_id(kind: str, message: str) -> str:
    return failure_pattern(kind, message)[0]


_LAYOUTS: Mapping[str, tuple[str | _Derived, ...]] = MappingProxyType(
    {
        STARTED: (
            *_ENVELOPE,
            "type",
            "source",
            "traceparent",
            _Derived(_said_by_start, ("scenario", "simulation", "configuration_name", "attempt", "metadata")),
            *_PLACE,
        ),
        PROGRESSED: (
            *_ENVELOPE,
            "type",
            "source",
            "traceparent",
            _Derived(_said_by_progress, ("message", "step", "details")),
            *_PLACE,
        ),
        FAILURE_RECORDED: (
            *_ENVELOPE,
            "kind",
            "message",
            "details",
            _Derived(_pattern_id, ("kind", "message")),
            *_PLACE,
        ),
        COMPLETED: (
            *_ENVELOPE,
            _Derived(str, ("status",)),
            _Derived(_SUCCEEDED.__eq__, ("status",)),
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
            *_PLACE,
        ),
        TOOL_USED: (*_ENVELOPE, "tool", "success", "duration_ms", "error", "arguments", "result_bytes", *_PLACE),
    }
)
"""Where each value of a row comes from, by the event's type, in the order of `COLUMNS`."""


def event_row(logged: LoggedEvent) -> EventRow:
    """The row of an event."""
    return plain_row(plain_of(logged.event), logged.partition, logged.offset)


def plain_row(event: PlainEvent, partition: int | None = None, offset: int | None = None) -> EventRow:
    """The row of a plain event."""
    type_ = event["type"]
    known = {**event, "partition": partition, "offset": offset}
    row = tuple(
        [
            known[part] if part.__class__ is str else part.make(*[known[name] for name in part.names])  # type: ignore[union-attr]
            for part in _LAYOUTS[type_]
        ]
    )
    return EventRow(TABLE_OF_TYPE[type_], row, event if type_ == STARTED else None)


def plain_rows(events: PlainEvents, partition: int, offsets: Iterable[int]) -> Iterator[Row]:
    """The rows of plain events, each with its offset."""
    known: dict[str, Iterable[Any]] = {
        **events.columns,
        "type": repeat(events.type),
        "partition": repeat(partition),
        "offset": offsets,
    }
    return zip(
        *[
            known[part] if isinstance(part, str) else map(part.make, *[known[name] for name in part.names])
            for part in _LAYOUTS[events.type]
        ],
        strict=False,  # what is the same for all has no end
    )
