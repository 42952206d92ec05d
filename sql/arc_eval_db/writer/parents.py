"""The rows that event rows point at: configurations, versions, scenarios, simulations, executions, failure patterns.

An event may arrive before the one that describes its parents (they travel on different topics), so every event brings
the ids, and the parents are made from those; what is still unknown is null until its event comes. Merging does not
depend on order or repetition: minimum, maximum, and first known value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Required, Self, TypedDict

import orjson

from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.bulk import PlainEvent
from arc_eval_db.sql import queries
from arc_eval_db.writer.patterns import failure_pattern
from arc_eval_db.writer.rows import Row

_ids_of = itemgetter(2, 3, 4, 5)
"""Of a row: the execution, the configuration's version, the scenario, the simulation."""


class _Execution(TypedDict, total=False):
    """What is known of an execution: the columns of `upsert_executions`; what is missing is unknown."""

    id: Required[str]
    version_id: Required[str]
    scenario_id: Required[str]
    simulation_id: str
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

    configurations: dict[str, str] = field(default_factory=dict)
    versions: dict[str, _Version] = field(default_factory=dict)
    scenarios: dict[str, str | None] = field(default_factory=dict)
    simulations: dict[str, str | None] = field(default_factory=dict)
    executions: dict[str, _Execution] = field(default_factory=dict)
    patterns: dict[str, _Pattern] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Mapping[str, Sequence[Row]], started: Iterable[PlainEvent]) -> Self:
        """What the rows of each table point at, and what the started events among them say of it."""
        parents = cls()
        for rows in tables.values():
            parents._add_mentioned(rows)
        for event in started:
            parents._add_started(event)
        for row in tables.get("outcomes", ()):
            parents._add_ended(row)
        for row in tables.get("failures", ()):
            parents._add_failure(row)
        return parents

    def _add_mentioned(self, rows: Iterable[Row]) -> None:
        """Parents of which an event only has the ids."""
        # All ids of each event, not only the execution's: nothing keeps two events of one from naming two
        # configurations. Each combination once, as most events of a batch name the same few.
        contexts: dict[tuple[str, str, str | None], None] = {}
        for execution_id, version_id, scenario_id, simulation_id in dict.fromkeys(map(_ids_of, rows)):
            contexts[version_id, scenario_id, simulation_id] = None
            if execution_id not in self.executions:
                execution: _Execution = {"id": execution_id, "version_id": version_id, "scenario_id": scenario_id}
                if simulation_id is not None:
                    execution["simulation_id"] = simulation_id
                self.executions[execution_id] = execution
        for version_id, scenario_id, simulation_id in contexts:
            self.versions.setdefault(version_id, _Version())
            self.scenarios.setdefault(scenario_id, None)
            if simulation_id is not None:
                self.simulations.setdefault(simulation_id, None)

    def _add_started(self, event: PlainEvent) -> None:
        """Parents that an event describes."""
        execution, time, data = self.executions[event["subject"]], event["time"], event["data"]
        execution["started_at"] = min(execution.get("started_at", time), time)
        execution["attempt"] = max(execution.get("attempt", 1), data["attempt"])
        execution.setdefault("source", event["source"])
        if data["metadata"] is not None:
            execution.setdefault("metadata", data["metadata"])
        self.scenarios[data["scenario_id"]] = data["scenario"]
        if data["simulation_id"] is not None and data["simulation"] is not None:
            self.simulations[data["simulation_id"]] = data["simulation"]
        self._add_version(data)

    def _add_ended(self, row: Row) -> None:
        """The end of an execution."""
        execution, time = self.executions[row[2]], row[0]
        known = execution.get("ended_at")
        if known is None or known < time:
            execution["ended_at"] = time

    def _add_failure(self, row: Row) -> None:
        """A sighting of a failure pattern."""
        kind, message = row[7:9]
        pattern_id, signature = failure_pattern(kind, message)
        hour = row[0].replace(minute=0, second=0, microsecond=0)
        pattern = self.patterns.get(pattern_id)
        if pattern is None:
            self.patterns[pattern_id] = _Pattern(kind, signature, message, hour, hour)
            return
        pattern.first_seen_at = min(pattern.first_seen_at, hour)
        pattern.last_seen_at = max(pattern.last_seen_at, hour)

    def _add_version(self, data: Mapping[str, Any]) -> None:
        version = self.versions[data["configuration_version_id"]]
        name, content = data["configuration_name"], data["configuration"]
        if name is not None:
            version.configuration_name = name
            self.configurations[str(ids.configuration_id(name))] = name
        if content is not None and version.content is None:
            version.content = content
            version.content_hash = _content_hash(content)

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


# To make JSON canonical takes long, and a simulation has few configurations.
@lru_cache(maxsize=1024)
def _content_hash(content: str) -> str:
    return ids.configuration_hash(orjson.loads(content))


def _columns(rows: dict[str, Any]) -> list[list[Any]]:
    """One array a column, the id first; the dataclasses' fields stand in the order of the statements' parameters."""
    if not rows:
        return []
    values = list(rows.values())
    names = getattr(values[0], "__slots__", None)
    columns = [values] if names is None else [[getattr(row, name) for row in values] for name in names]
    return [list(rows.keys()), *columns]
