"""Under which names people know versions, scenarios and simulations. Every name is text from an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from arc_eval_db.database import Session
from arc_eval_db.sql import queries


@dataclass(frozen=True, slots=True)
class VersionName:
    """A configuration version as people name it."""

    id: UUID
    name: str | None = None
    number: int | None = None

    @property
    def text(self) -> str:
        """`careful@3`, or where it has no name the beginning of its id, as in the views."""
        if self.name is None:
            return f"version {str(self.id)[:8]}"
        return self.name if self.number is None else f"{self.name}@{self.number}"

    @property
    def reference(self) -> str:
        """What finds it again, in an address."""
        return str(self.id) if self.name is None or self.number is None else self.text


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer: what came last."""

    configurations: tuple[str, ...]
    """Names and names with numbers."""
    scenarios: tuple[str, ...]
    simulations: tuple[str, ...]


async def version_names(session: Session, ids: Iterable[UUID]) -> dict[UUID, VersionName]:
    """For each id its name; one that the database does not know has none."""
    wanted = list(dict.fromkeys(ids))
    rows = await session.fetch(queries("dashboard_performance")["versions"], wanted) if wanted else []
    found = {row["id"]: VersionName(row["id"], row["name"], row["number"]) for row in rows}
    return {version: found.get(version, VersionName(version)) for version in wanted}


async def scenario_names(session: Session, ids: Iterable[UUID]) -> dict[UUID, str]:
    """For each id the scenario's name, or the beginning of its id."""
    return await _names(session, "scenarios", "scenario", ids)


async def simulation_names(session: Session, ids: Iterable[UUID]) -> dict[UUID, str]:
    """For each id the simulation's name, or the beginning of its id."""
    return await _names(session, "simulations", "simulation", ids)


async def read_choices(session: Session, *, at_most: int = 200) -> Choices:
    """What the filters offer."""
    statements = queries("dashboard_performance")
    versions = await session.fetch(statements["configuration_choices"], at_most)
    names = dict.fromkeys(row["name"] for row in versions)
    scenarios = await session.fetch(statements["scenario_choices"], at_most)
    simulations = await session.fetch(statements["simulation_choices"], at_most)
    return Choices(
        configurations=(*names, *(f"{row['name']}@{row['number']}" for row in versions)),
        scenarios=tuple(dict.fromkeys(row["name"] for row in scenarios)),
        simulations=tuple(dict.fromkeys(row["name"] for row in simulations)),
    )


async def _names(session: Session, query: str, kind: str, ids: Iterable[UUID]) -> dict[UUID, str]:
    wanted = list(dict.fromkeys(ids))
    rows: Iterable[Mapping[str, object]] = ()
    if wanted:
        rows = await session.fetch(queries("dashboard_performance")[query], wanted)
    found = {row["id"]: row["name"] for row in rows}
    return {each: str(found.get(each) or f"{kind} {str(each)[:8]}") for each in wanted}
