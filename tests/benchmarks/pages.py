"""What the dashboard's pages ask, as the benchmark of the views asks it: docs/dashboard.md says what each is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from arc_eval_db.dashboards.web.data.errors import read_errors, read_patterns
from arc_eval_db.dashboards.web.data.executions import read_execution
from arc_eval_db.dashboards.web.data.names import VersionName, read_choices
from arc_eval_db.dashboards.web.data.performance import read_durations, read_performance, read_scenarios, read_series
from arc_eval_db.dashboards.web.data.searching import Cursor, Search, State, find_by_id, search
from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.dashboards.web.data.simulations import read_running
from arc_eval_db.dashboards.web.data.tools import read_tools
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TopicNames

Ask = Callable[[Session], Awaitable[Any]]

_RANGES = {"1 day": timedelta(days=1), "7 days": timedelta(days=7), "30 days": timedelta(days=30)}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in the database to be asked for."""

    versions: tuple[UUID, ...]
    scenario_id: UUID
    simulation_id: UUID
    """One that is over, of yesterday."""
    executions: tuple[UUID, UUID]
    """One of an hour ago, and one of 20 days ago."""


async def find_facts(session: Session) -> Facts:
    """What there is."""

    async def execution(age: str) -> Any:
        return (
            await session.fetch(
                "SELECT id, scenario_id, simulation_id FROM executions"
                f" WHERE started_at < now() - INTERVAL '{age}' AND started_at > now() - INTERVAL '{age}'"
                " - INTERVAL '10 minutes' AND ended_at IS NOT NULL ORDER BY started_at LIMIT 1"
            )
        )[0]

    versions = await session.fetch("SELECT DISTINCT configuration_version_id AS id FROM performance_daily")
    recent, yesterday, old = [await execution(age) for age in ("1 hour", "1 day", "20 days")]
    return Facts(
        tuple(row["id"] for row in versions),
        recent["scenario_id"],
        yesterday["simulation_id"],
        (recent["id"], old["id"]),
    )


def questions(facts: Facts) -> dict[str, Ask]:
    """By what is asked: how it is asked."""
    now = datetime.now(UTC)
    found: dict[str, Ask] = {"running": read_running, "choices of filters": read_choices}
    for name, duration in _RANGES.items():
        found |= {f"{panel}, {name}": ask for panel, ask in _panels(Window.last(duration, now), facts).items()}
    month = Window.last(_RANGES["30 days"], now)
    found |= _searches(month, facts)
    for name, execution in zip(("an hour ago", "20 days ago"), facts.executions, strict=True):
        found[f"one execution, {name}"] = _story(execution)
    return found


def _panels(window: Window, facts: Facts) -> dict[str, Ask]:
    everything = Selection(window)
    names = [VersionName(version) for version in facts.versions[:6]]
    found: dict[str, Ask] = {
        "performance": lambda session: read_performance(session, everything),
        "performance of a scenario": lambda session: read_performance(
            session, Selection(window, scenario_id=facts.scenario_id)
        ),
        "performance of a simulation": lambda session: read_performance(
            session, Selection(window, simulation_id=facts.simulation_id)
        ),
        "scenarios": lambda session: read_scenarios(session, everything),
        "trends": lambda session: read_series(session, everything, names),
        "durations": lambda session: read_durations(session, everything, facts.versions),
        "errors": lambda session: read_errors(session, everything),
        "patterns": lambda session: read_patterns(session, everything),
        "tools": lambda session: read_tools(session, everything),
        "tools of a simulation": lambda session: read_tools(
            session, Selection(window, simulation_id=facts.simulation_id)
        ),
    }
    return found


def _searches(window: Window, facts: Facts) -> dict[str, Ask]:
    def ask(state: State | None = None, text: str = "", after: Cursor | None = None, **narrowed: Any) -> Ask:
        return lambda session: search(session, Search(Selection(window, **narrowed), state, text, after))

    deep = Cursor(window.until - timedelta(days=20), UUID(int=0))
    prefix = facts.executions[0].int >> 68 << 68
    return {
        "search: newest": ask(),
        "search: a page of 20 days ago": ask(after=deep),
        "search: a configuration": ask(versions=facts.versions[:4]),
        "search: a scenario": ask(scenario_id=facts.scenario_id),
        "search: a simulation": ask(simulation_id=facts.simulation_id),
        "search: a configuration and a scenario": ask(versions=facts.versions[:4], scenario_id=facts.scenario_id),
        "search: errored": ask(State.ERRORED),
        "search: a text that there is not": ask(text="no such text"),
        "search: a text that there is not, 20 days ago": ask(text="no such text", after=deep),
        "search: running": ask(State.RUNNING),
        "search: abandoned": ask(State.ABANDONED),
        "search: the beginning of an id": lambda session: find_by_id(
            session, UUID(int=prefix), UUID(int=prefix | (1 << 68) - 1)
        ),
    }


def _story(execution: UUID) -> Ask:
    return lambda session: read_execution(session, execution, TopicNames())
