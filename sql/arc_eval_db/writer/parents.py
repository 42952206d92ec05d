"""The rows that event rows point at: configurations, versions, scenarios, simulations, executions, failure patterns.

An event may arrive before the one that describes its parents (they travel on different topics), so every event brings
the ids, and the parents are made from those; what is still unknown is null until its event comes. Merging does not
depend on order or repetition: minimum, maximum, and first known value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import CompletedEvent, Event, FailureRecordedEvent, StartedEvent
from arc_eval_db.sql import queries


@dataclass(slots=True)
class _Execution:
    version_id: UUID
    scenario_id: UUID
    simulation_id: UUID | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int | None = None
    source: str | None = None
    metadata: str | None = None


@dataclass(slots=True)
class _Version:
    configuration_name: str | None = None
    content_hash: str | None = None
    content: str | None = None


@dataclass(slots=True)
class _Pattern:
    kind: str
    signature: str
    example: str
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(slots=True)
class Parents:
    """Everything that the rows of a batch point at, each once."""

    configurations: dict[UUID, str] = field(default_factory=dict)
    versions: dict[UUID, _Version] = field(default_factory=dict)
    scenarios: dict[UUID, str | None] = field(default_factory=dict)
    simulations: dict[UUID, str | None] = field(default_factory=dict)
    executions: dict[UUID, _Execution] = field(default_factory=dict)
    patterns: dict[UUID, _Pattern] = field(default_factory=dict)
    _mentioned: set[tuple[int, int, int]] = field(default_factory=set)

    def add_mentioned(self, event: Event) -> _Execution:
        """Parents of which an event only has the ids."""
        data = event.data
        # For every event, not for every execution: nothing keeps two events of one from naming two configurations.
        # Numbers, as a UUID is hashed and compared in Python: that would be half of the time that a batch's rows take.
        simulation = data.simulation_id
        mentioned = (data.configuration_version_id.int, data.scenario_id.int, simulation.int if simulation else 0)
        if mentioned not in self._mentioned:
            self._mentioned.add(mentioned)
            self._add_mentioned_ids(event)
        execution = self.executions.get(event.subject)
        if execution is None:
            execution = self.executions[event.subject] = _Execution(
                data.configuration_version_id, data.scenario_id, data.simulation_id
            )
        return execution

    def _add_mentioned_ids(self, event: Event) -> None:
        data = event.data
        self.versions.setdefault(data.configuration_version_id, _Version())
        self.scenarios.setdefault(data.scenario_id, None)
        if data.simulation_id is not None:
            self.simulations.setdefault(data.simulation_id, None)

    def add_started(self, event: StartedEvent) -> None:
        """Parents that an event describes."""
        execution = self.add_mentioned(event)
        data = event.data
        execution.started_at = min(execution.started_at or event.time, event.time)
        execution.attempt = max(execution.attempt or 1, data.attempt)
        execution.source = execution.source or event.source
        if data.metadata and execution.metadata is None:
            execution.metadata = orjson.dumps(data.metadata).decode()
        self.scenarios[data.scenario_id] = data.scenario
        if data.simulation_id is not None and data.simulation is not None:
            self.simulations[data.simulation_id] = data.simulation
        self._add_version(event)

    def add_completed(self, event: CompletedEvent) -> None:
        """The end of an execution."""
        execution = self.add_mentioned(event)
        execution.ended_at = max(execution.ended_at or event.time, event.time)

    def add_failure(self, event: FailureRecordedEvent, pattern_id: UUID, signature: str) -> None:
        """A sighting of a failure pattern."""
        hour = event.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        pattern = self.patterns.get(pattern_id)
        if pattern is None:
            data = event.data
            self.patterns[pattern_id] = _Pattern(data.kind, signature, data.message, hour, hour)
            return
        pattern.first_seen_at = min(pattern.first_seen_at, hour)
        pattern.last_seen_at = max(pattern.last_seen_at, hour)

    def _add_version(self, event: StartedEvent) -> None:
        data = event.data
        version = self.versions[data.configuration_version_id]
        if data.configuration_name is not None:
            version.configuration_name = data.configuration_name
            self.configurations[ids.configuration_id(data.configuration_name)] = data.configuration_name
        if data.configuration is not None and version.content is None:
            version.content = orjson.dumps(data.configuration).decode()
            version.content_hash = ids.configuration_hash(data.configuration)

    async def write(self, session: Session) -> None:
        """Insert what is missing and complete what is known by now, in the order of the foreign keys."""
        statements = queries("parents")
        for name, arguments in (
            ("upsert_configurations", _columns(self.configurations)),
            ("upsert_configuration_versions", _columns(self.versions)),
            ("upsert_scenarios", _columns(self.scenarios)),
            ("upsert_simulations", _columns(self.simulations)),
            ("upsert_executions", _columns(self.executions)),
            ("upsert_failure_patterns", _columns(self.patterns)),
        ):
            if arguments:
                await session.execute(statements[name], *arguments)


def _columns(rows: dict[UUID, Any]) -> list[list[Any]]:
    """One array a column, the id first; the dataclasses' fields stand in the order of the statements' parameters."""
    if not rows:
        return []
    first = next(iter(rows.values()))
    names = getattr(first, "__slots__", None)
    if names is None:
        return [list(rows.keys()), list(rows.values())]
    columns: list[list[Any]] = [list(rows.keys())]
    for name in names:
        column = [getattr(row, name) for row in rows.values()]
        # unnest() fills what is missing with null, and a null costs the driver as much as a value.
        columns.append(column if any(value is not None for value in column) else [])
    return columns
