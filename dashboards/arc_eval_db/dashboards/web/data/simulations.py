"""What is running at the moment, how far it is, and when it may end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from arc_eval_db.dashboards.web.data.figures import RateInterval, wilson_interval
from arc_eval_db.dashboards.web.data.names import VersionName, scenario_names, version_names
from arc_eval_db.dashboards.web.data.selections import canary_versions
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

SIMULATIONS_MAX = 100
ALONE_MAX = 20
RATE_OVER = timedelta(minutes=15)
"""Over how long the rate of ends is taken: short enough to notice that it has changed."""


@dataclass(frozen=True, slots=True)
class RunningSimulation:
    """A simulation of which an execution is running."""

    simulation_id: UUID
    simulation: str
    started_at: datetime | None
    last_activity_at: datetime | None
    running: int
    completed: int
    abandoned: int
    """Without an end, and silent for long."""
    succeeded: int
    cost_usd: float | None
    ended_recently: int
    """In the last `RATE_OVER`, or since it began."""
    recent_s: float
    """How long that is."""

    @property
    def executions(self) -> int:
        """All that have been heard of."""
        return self.running + self.completed + self.abandoned

    @property
    def success_rate(self) -> float | None:
        """Of those that ended; None as long as none has."""
        return self.succeeded / self.completed if self.completed else None

    @property
    def success_interval(self) -> RateInterval | None:
        """How sure the rate is."""
        return wilson_interval(self.succeeded, self.completed)

    @property
    def ends_per_minute(self) -> float:
        """How many executions end in a minute, by the last 15."""
        return 60 * self.ended_recently / self.recent_s if self.recent_s > 0 else 0.0

    def end_expected_at(self, now: datetime) -> datetime | None:
        """When those that run now will have ended at this rate; None while none ends.

        Nobody says how many executions a simulation will have: it takes longer where more are started.
        """
        if not self.ends_per_minute:
            return None
        return now + timedelta(minutes=self.running / self.ends_per_minute)


@dataclass(frozen=True, slots=True)
class RunningAlone:
    """A running execution that belongs to no simulation."""

    execution_id: UUID
    version: VersionName
    scenario: str
    started_at: datetime
    source: str | None


@dataclass(frozen=True, slots=True)
class Running:
    """What is running."""

    simulations: tuple[RunningSimulation, ...]
    """The last that stirred first; at most `SIMULATIONS_MAX`."""
    alone: tuple[RunningAlone, ...]
    """At most `ALONE_MAX`, the latest first."""


async def read_running(session: Session) -> Running:
    """What is running at the moment. Canaries are in no simulation, and are left out of what runs alone."""
    statements = queries("dashboard_simulations")
    rows = await session.fetch(statements["running_simulations"], SIMULATIONS_MAX, RATE_OVER)
    alone = await session.fetch(statements["running_alone"], ALONE_MAX, await canary_versions(session))
    versions = await version_names(session, (row["configuration_version_id"] for row in alone))
    scenarios = await scenario_names(session, (row["scenario_id"] for row in alone))
    return Running(
        simulations=tuple(
            RunningSimulation(
                **{**row, "simulation": row["simulation"] or f"simulation {str(row['simulation_id'])[:8]}"}
            )
            for row in rows
        ),
        alone=tuple(
            RunningAlone(
                row["id"],
                versions[row["configuration_version_id"]],
                scenarios[row["scenario_id"]],
                row["started_at"],
                row["source"],
            )
            for row in alone
        ),
    )
