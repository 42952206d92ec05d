"""The rows that event rows point at: configurations, versions, scenarios, simulations, executions, failure patterns.

An event may arrive before the one that describes its parents (they travel on different topics), so every event brings
the ids, and the parents are made from those; what is still unknown is null until its event comes. Merging does not
depend on order or repetition: minimum, maximum, and first known value.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Required, Self, TypedDict

import orjson

from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.bulk import CONTEXT_IDS, PlainEvent
from arc_eval_db.sql import queries
from arc_eval_db.writer.known_parents import Context
from arc_eval_db.writer.patterns import failure_pattern
from arc_eval_db.writer.rows import Row

context_of = itemgetter(2, 3, 4, 5)
"""The `Context` of a row."""
CONTEXT_COLUMNS = ("subject", *CONTEXT_IDS)
"""Where a `Context` stands in a plain event."""
_context_of_event = itemgetter(*CONTEXT_COLUMNS)


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
    def of(
        cls,
        contexts: Iterable[Context],
        started: Iterable[PlainEvent],
        ended: Mapping[Context, datetime],
        failures: Iterable[Row],
        known: Container[Context] = (),
    ) -> Self:
        """What rows point at, and what their events say of it.

        Args:
            contexts: all ids of each event, not only the execution's: nothing keeps two events of one from naming two
                configurations.
            ended: when the executions ended that did.
            failures: the rows of failures.
            known: contexts whose parents are there already; they are left out where nothing new is said of them.
        """
        parents = cls()
        for context in contexts:
            if context not in known:
                parents._execution(context)
        for event in started:
            parents._add_started(event)
        for context, time in ended.items():
            parents._add_ended(context, time)
        for row in failures:
            parents._add_failure(row)
        return parents

    def _execution(self, context: Context) -> _Execution:
        """An execution, and whatever else its event points at."""
        execution_id, version_id, scenario_id, simulation_id = context
        self._version(version_id)
        self.scenarios.setdefault(scenario_id, None)
        if simulation_id is not None:
            self.simulations.setdefault(simulation_id, None)
        if execution := self.executions.get(execution_id):
            return execution
        self.executions[execution_id] = execution = {
            "id": execution_id,
            "version_id": version_id,
            "scenario_id": scenario_id,
        }
        if simulation_id is not None:
            execution["simulation_id"] = simulation_id
        return execution

    def _version(self, version_id: str) -> _Version:
        version = self.versions.get(version_id)
        if version is None:
            version = self.versions[version_id] = _Version()
        return version

    def _add_started(self, event: PlainEvent) -> None:
        """Parents that an event describes."""
        execution, time = self._execution(_context_of_event(event)), event["time"]
        execution["started_at"] = min(execution.get("started_at", time), time)
        execution["attempt"] = max(execution.get("attempt", 1), event["attempt"])
        execution.setdefault("source", event["source"])
        if event["metadata"] is not None:
            execution.setdefault("metadata", event["metadata"])
        self.scenarios[event["scenario_id"]] = event["scenario"]
        if event["simulation_id"] is not None and event["simulation"] is not None:
            self.simulations[event["simulation_id"]] = event["simulation"]
        self._add_version(event)

    def _add_ended(self, context: Context, time: datetime) -> None:
        """The end of an execution."""
        execution = self._execution(context)
        execution["ended_at"] = max(execution.get("ended_at", time), time)

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

    def _add_version(self, event: PlainEvent) -> None:
        version = self._version(event["configuration_version_id"])
        name, content = event["configuration_name"], event["configuration"]
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
