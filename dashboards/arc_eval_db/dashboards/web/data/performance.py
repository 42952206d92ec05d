"""How good configurations and scenarios are, what they cost, and how that changes over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from arc_eval_db.dashboards.web.data.figures import Figures
from arc_eval_db.dashboards.web.data.names import VersionName, scenario_names, version_names
from arc_eval_db.dashboards.web.data.selections import Selection, reference_to
from arc_eval_db.dashboards.web.data.spans import latest_span, rows_span
from arc_eval_db.database import Session
from arc_eval_db.schemas.ids import scenario_id
from arc_eval_db.sql import queries

ROWS_MAX = 500
"""Of configurations, or scenarios, that a table shows; those with the most executions."""
SERIES_MAX = 6
"""Lines in a chart of trends: more cannot be told apart."""
LATEST_EXECUTIONS = 1_000
"""Of each version, for the percentiles of durations."""
LATEST_FILTERED = 5_000
"""The same, where only those of a scenario or simulation count."""
LATEST_OUTCOMES = 20_000
"""Of all, for the percentiles of scenarios."""
_SAMPLE_MAX = 4 * LATEST_OUTCOMES
_TIMED_VERSIONS_MAX = 50
"""Versions whose durations are looked at."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations of the latest executions."""

    executions: int
    """So many of them said how long they took."""
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class ConfigurationRow:
    """A configuration version and its figures."""

    version: VersionName
    figures: Figures


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """A scenario and its figures."""

    id: UUID
    scenario: str
    figures: Figures

    @property
    def reference(self) -> str:
        """What finds it again, in an address."""
        return reference_to(self.scenario, self.id, scenario_id)


@dataclass(frozen=True, slots=True)
class Performance:
    """All figures of one look; they fit together."""

    total: Figures
    buckets: Mapping[datetime, Figures]
    """By the beginning of each hour or day in which an execution ended."""
    configurations: tuple[ConfigurationRow, ...]
    """The most executions first; at most `ROWS_MAX`."""
    configurations_all: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class ScenarioPerformance:
    """Figures by scenario."""

    scenarios: tuple[ScenarioRow, ...]
    """The most executions first; at most `ROWS_MAX`."""
    scenarios_all: int
    durations: Mapping[UUID, Percentiles] = field(default_factory=dict)
    """By scenario, of the latest executions of all of them."""
    durations_since: datetime | None = None
    """From when those are."""


@dataclass(frozen=True, slots=True)
class Series:
    """A configuration version over time."""

    version: VersionName
    buckets: Mapping[datetime, Figures]


async def read_performance(session: Session, selection: Selection) -> Performance:
    """Totals, their course, and figures by configuration version, of the executions that ended in the window."""
    rows = _by_level(await _rows(session, selection))
    versions = _most(rows["version"])
    names = await version_names(session, (row["configuration_version_id"] for row in versions))
    return Performance(
        total=Figures.of(rows["total"][0]) if rows["total"] else Figures(),
        buckets={row["bucket"]: Figures.of(row) for row in sorted(rows["bucket"], key=lambda row: row["bucket"])},
        configurations=tuple(
            ConfigurationRow(names[row["configuration_version_id"]], Figures.of(row)) for row in versions
        ),
        configurations_all=len(rows["version"]),
    )


async def read_scenarios(session: Session, selection: Selection) -> ScenarioPerformance:
    """Figures by scenario, of the executions that ended in the window."""
    rows = _by_level(await _rows_of_scenarios(session, selection))["scenario"]
    shown = _most(rows)
    names = await scenario_names(session, (row["scenario_id"] for row in shown))
    durations: dict[UUID, Percentiles] = {}
    since: datetime | None = None
    if selection.simulation_id is not None:
        durations = _percentiles(rows, "scenario_id")
    elif shown:
        since, until = await latest_span(session, selection, "outcomes", LATEST_OUTCOMES)
        found = await session.fetch(
            queries("dashboard_performance")["scenario_durations"],
            *(since, until, selection.versions, selection.excluded, _SAMPLE_MAX),
        )
        durations = _percentiles(found, "scenario_id")
    return ScenarioPerformance(
        scenarios=tuple(ScenarioRow(row["scenario_id"], names[row["scenario_id"]], Figures.of(row)) for row in shown),
        scenarios_all=len(rows),
        durations=durations,
        durations_since=since,
    )


async def read_series(session: Session, selection: Selection, versions: Iterable[VersionName]) -> tuple[Series, ...]:
    """How the versions did over time, in the order given; at most `SERIES_MAX` of them."""
    wanted = list(versions)[:SERIES_MAX]
    if not wanted:
        return ()
    ids = tuple(version.id for version in wanted)
    of_them = selection.of_versions(ids)
    rows = await _rows(session, of_them, series=ids)
    found: dict[UUID, dict[datetime, Figures]] = {version: {} for version in ids}
    for row in sorted(_by_level(rows)["series"], key=lambda row: row["bucket"]):
        found[row["configuration_version_id"]][row["bucket"]] = Figures.of(row)
    return tuple(Series(version, found[version.id]) for version in wanted)


async def read_durations(session: Session, selection: Selection, versions: Iterable[UUID]) -> dict[UUID, Percentiles]:
    """By version: how long its latest executions took, of those in the window; at most 50 versions.

    The rollups hold sums and not what percentiles are made of, and to read all of a month takes too long.
    """
    ids = list(versions)[:_TIMED_VERSIONS_MAX]
    is_filtered = selection.scenario_id is not None or selection.simulation_id is not None
    since, until = await rows_span(session, selection)
    rows = await session.fetch(
        queries("dashboard_performance")["version_durations"],
        *(since, until, ids, LATEST_FILTERED if is_filtered else LATEST_EXECUTIONS),
        *(selection.scenario_id, selection.simulation_id),
    )
    return _percentiles(rows, "configuration_version_id")


async def _rows(session: Session, selection: Selection, *, series: tuple[UUID, ...] = ()) -> list[Mapping[str, Any]]:
    statements, window = queries("dashboard_performance"), selection.window
    chosen = (window.since, window.until, selection.versions, selection.excluded, series)
    if selection.simulation_id is not None:
        return await _rows_of_simulation(session, selection, series)
    if selection.scenario_id is not None:
        return await session.fetch(statements[f"scenario_{window.step}"], *chosen, selection.scenario_id)
    return await session.fetch(statements[f"configurations_{window.step}"], *chosen)


async def _rows_of_scenarios(session: Session, selection: Selection) -> list[Mapping[str, Any]]:
    if selection.simulation_id is not None:
        return await _rows_of_simulation(session, selection, ())
    window = selection.window
    statement = queries("dashboard_performance")[f"scenarios_{window.step}"]
    chosen = (window.since, window.until, selection.versions, selection.excluded, selection.scenario_id)
    return await session.fetch(statement, *chosen)


async def _rows_of_simulation(
    session: Session, selection: Selection, series: tuple[UUID, ...]
) -> list[Mapping[str, Any]]:
    since, until = await rows_span(session, selection)
    return await session.fetch(
        queries("dashboard_performance")["simulation_outcomes"],
        *(since, until, selection.versions, selection.excluded, series),
        *(selection.scenario_id, selection.simulation_id, selection.window.step.duration),
    )


def _by_level(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {
        level: [] for level in ("total", "bucket", "version", "scenario", "series")
    }
    for row in rows:
        found[row["level"]].append(row)
    return found


def _most(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    def place(row: Mapping[str, Any]) -> tuple[int, str]:
        return -row["executions"], str(row["configuration_version_id"] or row["scenario_id"])

    return sorted(rows, key=place)[:ROWS_MAX]


def _percentiles(rows: Iterable[Mapping[str, Any]], key: str) -> dict[UUID, Percentiles]:
    return {
        row[key]: Percentiles(row["timed"], row["p50_ms"], row["p95_ms"]) for row in rows if row["p50_ms"] is not None
    }
