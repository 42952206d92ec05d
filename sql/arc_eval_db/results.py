"""What reads give back: rows as frozen objects, JSON as Python values, times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from arc_eval_db.database import PoolStatistics
from arc_eval_db.errors import PoisonError
from arc_eval_db.schemas.status import ExecutionStatus

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record of a list that was not written."""

    index: int
    """Its place in the list, counted from 0."""
    error: PoisonError
    """Why: `EventRefusedError` from the validation, `RowRefusedError` from the database."""


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What became of a list of records: inserted + duplicates + refused = records."""

    inserted: int
    duplicates: int
    """Records whose row was there already; also those that this call wrote in an attempt whose answer was lost."""
    refused: tuple[RefusedRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """How an execution ended."""

    time: datetime
    event_id: UUID
    execution_id: UUID
    configuration_version_id: UUID
    scenario_id: UUID
    simulation_id: UUID | None
    sequence: int
    status: ExecutionStatus
    success: bool
    score: float | None
    duration_ms: float | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    error_kind: str | None
    error_message: str | None
    metadata: dict[str, Any] | None

    @classmethod
    def of(cls, row: Row) -> StoredOutcome:
        """From a row of `outcomes`."""
        status = ExecutionStatus(row["status"])
        return cls(**{**row, "status": status, "metadata": json_value(row["metadata"])})


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A start or a progress of an execution."""

    time: datetime
    event_id: UUID
    sequence: int
    type: str
    source: str
    data: dict[str, Any]

    @classmethod
    def of(cls, row: Row) -> StoredEvent:
        """From a row of `execution_events`."""
        return cls(**{**row, "data": json_value(row["data"])})


@dataclass(frozen=True, slots=True)
class StoredToolUse:
    """One use of a tool."""

    time: datetime
    event_id: UUID
    sequence: int
    tool: str
    success: bool
    duration_ms: float | None
    error: str | None
    arguments: dict[str, Any] | None
    result_bytes: int | None

    @classmethod
    def of(cls, row: Row) -> StoredToolUse:
        """From a row of `tool_usage`."""
        return cls(**{**row, "arguments": json_value(row["arguments"])})


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """Something that went wrong inside an execution."""

    time: datetime
    event_id: UUID
    sequence: int
    kind: str
    message: str
    details: dict[str, Any] | None
    pattern_id: UUID

    @classmethod
    def of(cls, row: Row) -> StoredFailure:
        """From a row of `failures`."""
        return cls(**{**row, "details": json_value(row["details"])})


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """An execution and everything that is known to have happened in it, each list in the order of time."""

    id: UUID
    configuration_version_id: UUID
    configuration: str | None
    """The configuration's name; like the two other names None as long as its event has not arrived."""
    scenario_id: UUID
    scenario: str | None
    simulation_id: UUID | None
    simulation: str | None
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    source: str | None
    metadata: dict[str, Any] | None
    outcome: StoredOutcome | None
    """None while it runs. Where several ends were recorded, the last."""
    events: tuple[StoredEvent, ...]
    tool_usage: tuple[StoredToolUse, ...]
    failures: tuple[StoredFailure, ...]
    is_truncated: bool
    """Whether one of the lists is longer in the database."""


@dataclass(frozen=True, slots=True)
class ActiveConfiguration:
    """A configuration version with recent executions."""

    id: UUID
    name: str | None
    content: dict[str, Any] | None
    executions: int
    """Those that started in the time asked for."""
    last_execution_at: datetime

    @classmethod
    def of(cls, row: Row) -> ActiveConfiguration:
        """From a row of the query `active_configurations`."""
        return cls(**{**row, "content": json_value(row["content"])})


@dataclass(frozen=True, slots=True)
class ActiveSimulation:
    """A simulation in which an execution is running."""

    simulation_id: UUID
    simulation: str | None
    """Its name."""
    started_at: datetime | None
    last_activity_at: datetime | None
    """When an execution of it last started or ended."""
    running: int
    completed: int
    abandoned: int
    """Executions without an end that have not been heard of for long."""
    succeeded: int
    """Those of the completed that reached their goal."""
    cost_usd: float | None


class OutcomeCursor(NamedTuple):
    """Where a page of outcomes ended."""

    time: datetime
    event_id: UUID


@dataclass(frozen=True, slots=True)
class OutcomePage:
    """Some outcomes in the order of time, and where to go on."""

    outcomes: tuple[StoredOutcome, ...]
    next: OutcomeCursor | None
    """None when there is nothing more."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How the database looks from here."""

    reachable: bool
    latency_ms: float | None
    """One round trip, over a connection that was open."""
    server_version: str | None
    edition: str | None
    """"timescaledb" or "postgresql"; None without a schema."""
    schema_version: int | None
    """The newest migration that the database has."""
    schema_version_needed: int
    """The newest that this release knows."""
    writable: bool
    """False on a standby, or where transactions are read-only."""
    pool: PoolStatistics
    problems: tuple[str, ...]
    """What is wrong and what to do about it, in words."""

    @property
    def is_healthy(self) -> bool:
        """Whether records can be written."""
        return not self.problems


def json_value(text: str | None) -> Any:
    """What a jsonb column holds."""
    return None if text is None else orjson.loads(text)
