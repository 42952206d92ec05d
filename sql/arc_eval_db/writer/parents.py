"""The rows that event rows point at: configurations, versions, scenarios, simulations, executions, failure patterns.

An event may arrive before the one that describes its parents (they travel on different topics), so every event brings
the ids, and the parents are made from those; what is still unknown is null until its event comes. Merging does not
depend on order or repetition: minimum, maximum, and first known value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Required, TypedDict
from uuid import UUID

import orjson

from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import StartedEvent
from arc_eval_db.sql import queries

Row = tuple[Any, ...]


class _Execution(TypedDict, total=False):
    """What is known of an execution: the columns of `upsert_executions`; what is missing is unknown."""

    id: Required[UUID]
    version_id: Required[UUID]
    scenario_id: Required[UUID]
    simulation_id: UUID
    started_at: datetime
    ended_at: datetime
    attempt: int
    source: str
    metadata: str


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
    executions: dict[int, _Execution] = field(default_factory=dict)
    patterns: dict[UUID, _Pattern] = field(default_factory=dict)
    _mentioned: set[tuple[int, int, int]] = field(default_factory=set)

    def add_mentioned(self, row: Row) -> _Execution:
        """Parents of which an event only has the ids."""
        execution_id, version_id, scenario_id, simulation_id = row[2:6]
        # For every event, not for every execution: nothing keeps two events of one from naming two configurations.
        # Numbers, as a UUID is hashed and compared in Python: that would be half of the time that a batch's rows take.
        mentioned = (version_id.int, scenario_id.int, simulation_id.int if simulation_id else 0)
        if mentioned not in self._mentioned:
            self._mentioned.add(mentioned)
            self.versions.setdefault(version_id, _Version())
            self.scenarios.setdefault(scenario_id, None)
            if simulation_id is not None:
                self.simulations.setdefault(simulation_id, None)
        execution = self.executions.get(execution_id.int)
        if execution is None:
            execution = {"id": execution_id, "version_id": version_id, "scenario_id": scenario_id}
            if simulation_id is not None:
                execution["simulation_id"] = simulation_id
            self.executions[execution_id.int] = execution
        return execution

    def add_started(self, row: Row, event: StartedEvent) -> None:
        """Parents that an event describes."""
        execution = self.add_mentioned(row)
        data = event.data
        execution["started_at"] = min(execution.get("started_at", event.time), event.time)
        execution["attempt"] = max(execution.get("attempt", 1), data.attempt)
        execution.setdefault("source", event.source)
        if data.metadata and "metadata" not in execution:
            execution["metadata"] = orjson.dumps(data.metadata).decode()
        self.scenarios[data.scenario_id] = data.scenario
        if data.simulation_id is not None and data.simulation is not None:
            self.simulations[data.simulation_id] = data.simulation
        self._add_version(event)

    def add_completed(self, row: Row) -> None:
        """The end of an execution."""
        execution, time = self.add_mentioned(row), row[0]
        known = execution.get("ended_at")
        if known is None or known < time:
            execution["ended_at"] = time

    def add_failure(self, row: Row, signature: str) -> None:
        """A sighting of a failure pattern."""
        self.add_mentioned(row)
        kind, message, _, pattern_id = row[7:11]
        hour = row[0].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        pattern = self.patterns.get(pattern_id)
        if pattern is None:
            self.patterns[pattern_id] = _Pattern(kind, signature, message, hour, hour)
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
            ("upsert_executions", self._executions()),
            ("upsert_failure_patterns", _columns(self.patterns)),
        ):
            if arguments:
                await session.execute(statements[name], *arguments)

    def _executions(self) -> list[Any]:
        # One document, where the others are arrays: the driver takes six times as long for an array of times or UUIDs,
        # and there are as many executions as there are outcomes.
        return [orjson.dumps(list(self.executions.values())).decode()] if self.executions else []


def _columns(rows: dict[UUID, Any]) -> list[list[Any]]:
    """One array a column, the id first; the dataclasses' fields stand in the order of the statements' parameters."""
    if not rows:
        return []
    values = list(rows.values())
    names = getattr(values[0], "__slots__", None)
    columns = [values] if names is None else [[getattr(row, name) for row in values] for name in names]
    return [list(rows.keys()), *columns]
