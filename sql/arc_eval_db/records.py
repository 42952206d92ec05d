"""Records of programs that write without Kafka: the same events, checked by the same parser.

Idempotent by `event_id`: the same id again is the same row, also from another process, as long as `time` is the same.
Without `time` it is the moment in the id, so whoever repeats a call has to keep nothing but the id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import Event, ExecutionCompleted, FailureRecorded, ToolUsed
from arc_eval_db.schemas.limits import TIME_MIN
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.schemas.text import replace_nul
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOOL_USED

DEFAULT_SOURCE = "/clients/arc-eval-db"


@dataclass(frozen=True, slots=True)
class ExecutionReference:
    """An execution and what every row about it says."""

    execution_id: UUID
    configuration_version_id: UUID
    scenario_id: UUID
    simulation_id: UUID | None = None

    @classmethod
    def of(cls, event: Event) -> ExecutionReference:
        """The execution that an event belongs to."""
        data = event.data
        return cls(event.subject, data.configuration_version_id, data.scenario_id, data.simulation_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a record says about itself."""

    event_id: UUID | None = None
    """A UUIDv7; by default a new one. The same id again is the same record."""
    time: datetime | None = None
    """When it happened, with its offset from UTC; by default the moment in `event_id`."""
    sequence: int = 0
    """Its place among the execution's events, counted from 1; 0 where nobody counts."""
    source: str = DEFAULT_SOURCE
    """A URI reference to what wrote it."""


_NEW = Envelope()


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """An agent began to work on a scenario."""

    scenario: str
    configuration: Mapping[str, Any] | UUID
    """The content, or the id of a version that is known already."""
    simulation: str | None = None
    configuration_name: str | None = None
    """Groups versions of one configuration; by default `configuration["name"]`, if that is text."""
    attempt: int = 1
    metadata: Mapping[str, Any] | None = None
    execution_id: UUID | None = None
    """A UUIDv7; by default a new one."""
    envelope: Envelope = _NEW


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended."""

    execution: ExecutionReference
    status: ExecutionStatus | str
    score: float | None = None
    duration_ms: float | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error_kind: str | None = None
    error_message: str | None = None
    metadata: Mapping[str, Any] | None = None
    envelope: Envelope = _NEW


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool."""

    execution: ExecutionReference
    tool: str
    success: bool
    duration_ms: float | None = None
    error: str | None = None
    arguments: Mapping[str, Any] | None = None
    result_bytes: int | None = None
    envelope: Envelope = _NEW


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong inside an execution, which may have gone on."""

    execution: ExecutionReference
    kind: str
    message: str
    details: Mapping[str, Any] | None = None
    envelope: Envelope = _NEW


Record = ExecutionStart | Outcome | ToolUse | Failure

_TYPES = {ExecutionStart: STARTED, Outcome: COMPLETED, ToolUse: TOOL_USED, Failure: FAILURE_RECORDED}


def event_of(record: Record) -> Event:
    """The event that a record is.

    Raises:
        EventRefusedError: a value does not fit; the detail names the field and never shows the value.
    """
    envelope = record.envelope
    try:
        if isinstance(record, ExecutionStart):
            execution_id, data = record.execution_id or ids.uuid7(), _started(record)
        else:
            execution_id, data = record.execution.execution_id, _about(record)
        event_id = envelope.event_id or ids.uuid7()
        document = {
            "specversion": "1.0",
            "id": event_id,
            "source": envelope.source,
            "type": _TYPES[type(record)],
            "subject": execution_id,
            "time": envelope.time or ids.time_of(event_id),
            "sequence": f"{envelope.sequence:010d}",
            "data": data,
        }
        raw = orjson.dumps(document, option=orjson.OPT_UTC_Z, default=_text_of_uuid)
    except ids.NotCanonicalError as error:
        raise EventRefusedError(RefusalReason.INVALID_DATA, str(error), event_id=envelope.event_id) from error
    except (TypeError, ValueError, RecursionError) as error:
        detail = f"cannot be written as JSON ({type(error).__name__})"
        raise EventRefusedError(RefusalReason.INVALID_DATA, detail, event_id=envelope.event_id) from error
    return parse_event(replace_nul(raw)[0] if b"\\" in raw else raw)


def _text_of_uuid(value: object) -> str:
    # Drivers have UUIDs of their own, which orjson does not know: ids that were read are recorded with.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


PlainData = tuple[datetime, UUID, ExecutionCompleted | ToolUsed | FailureRecorded]
"""Time, event id and data of a record whose values are all plain."""


class _Plain(NamedTuple):
    """How the short way looks at one kind of record."""

    check: Callable[[dict[str, Any]], Any]
    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    texts: Callable[[Any], tuple[Any, ...]]
    free: Callable[[Any], Any]
    """The field with JSON of any shape, which is never plain."""


def _data_fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(name for name in kind.__slots__ if name not in ("execution", "envelope"))


def _plain(kind: type[Any], model: type[BaseModel], texts: tuple[str, ...], free: str) -> _Plain:
    names = tuple(name for name in _data_fields(kind) if name != free)
    check = model.__pydantic_validator__.validate_python
    return _Plain(check, names, attrgetter(*names), attrgetter(*texts), attrgetter(free))


_PLAIN: dict[type[Record], _Plain] = {
    Outcome: _plain(Outcome, ExecutionCompleted, ("error_kind", "error_message"), "metadata"),
    ToolUse: _plain(ToolUse, ToolUsed, ("tool", "error"), "arguments"),
    Failure: _plain(Failure, FailureRecorded, ("kind", "message"), "details"),
}
_STATUSES: dict[Any, ExecutionStatus] = {status.value: status for status in ExecutionStatus}
_PLAIN_TYPES = frozenset({type(None), str, int, float, bool, ExecutionStatus})
_PLAIN_CHARACTERS_MAX = 8192
_SEQUENCE_MAX = 10**18


def plain_data_of(record: Outcome | ToolUse | Failure) -> PlainData | None:
    """What `event_of` would find in the record, checked by the same models; None: ask `event_of`, who says why.

    Only for values that JSON gives back as they are, so that both find the same. It is for whoever makes tens of
    thousands of rows a second: to write ids and times as JSON and to read them again takes longer than all the rest.
    """
    plain = _PLAIN[type(record)]
    values = plain.values(record)
    if plain.free(record) is not None or not _PLAIN_TYPES.issuperset(map(type, values)):
        return None
    for text in plain.texts(record):
        # What is not printable may be escaped, replaced, or no text at all.
        if type(text) is str and not (len(text) <= _PLAIN_CHARACTERS_MAX and text.isprintable()):
            return None
    execution = record.execution
    identity = _plain_identity(record.envelope)
    if identity is None or not _is_uuid7(execution.execution_id) or not _is_plain_context(execution):
        return None
    data = dict(zip(plain.names, values, strict=True))
    if type(record) is Outcome:
        data["status"] = _STATUSES.get(data["status"])
    data["configuration_version_id"] = execution.configuration_version_id
    data["scenario_id"] = execution.scenario_id
    data["simulation_id"] = execution.simulation_id
    try:
        return (*identity, plain.check(data))
    except ValidationError:
        return None


def _plain_identity(envelope: Envelope) -> tuple[datetime, UUID] | None:
    if envelope is _NEW:
        event_id, time = ids.uuid7_with_time()
        return time, event_id
    if not (
        envelope.source == DEFAULT_SOURCE
        and type(envelope.sequence) is int
        and 0 <= envelope.sequence < _SEQUENCE_MAX
        and (envelope.event_id is None or _is_uuid7(envelope.event_id))
    ):
        return None
    event_id = envelope.event_id or ids.uuid7()
    time = envelope.time or ids.time_of(event_id)
    if type(time) is not datetime or time.tzinfo is not UTC or not TIME_MIN <= time <= datetime.now(UTC):
        return None
    return time, event_id


def _is_plain_context(execution: ExecutionReference) -> bool:
    return (
        type(execution.configuration_version_id) is UUID
        and type(execution.scenario_id) is UUID
        and (execution.simulation_id is None or type(execution.simulation_id) is UUID)
    )


def _is_uuid7(value: object) -> bool:
    # As `UUID.version` and `UUID.variant` say it, in a third of the time.
    return type(value) is UUID and value.int >> 76 & 0xF == 7 and value.int >> 62 & 0x3 == 2


def _started(record: ExecutionStart) -> dict[str, Any]:
    content = None if isinstance(record.configuration, UUID) else dict(record.configuration)
    name = record.configuration_name
    if name is None and content is not None and isinstance(content.get("name"), str):
        name = content["name"]
    data = {
        "configuration_version_id": record.configuration if content is None else ids.configuration_version_id(content),
        "scenario_id": ids.scenario_id(record.scenario),
        "simulation_id": None if record.simulation is None else ids.simulation_id(record.simulation),
        "scenario": record.scenario,
        "simulation": record.simulation,
        "configuration_name": name,
        "configuration": content,
        "attempt": record.attempt,
        "metadata": record.metadata,
    }
    return {name: value for name, value in data.items() if value is not None}


def _about(record: Outcome | ToolUse | Failure) -> dict[str, Any]:
    execution = record.execution
    data: dict[str, Any] = {
        "configuration_version_id": execution.configuration_version_id,
        "scenario_id": execution.scenario_id,
    }
    if execution.simulation_id is not None:
        data["simulation_id"] = execution.simulation_id
    for name in _data_fields(type(record)):
        value = getattr(record, name)
        # JSON has no such number, and orjson would write null: a measurement would silently become none.
        if isinstance(value, float) and not math.isfinite(value):
            raise EventRefusedError(
                RefusalReason.INVALID_DATA, f"data.{name}: must be finite", event_id=record.envelope.event_id
            )
        if value is not None:
            data[name] = value
    return data
