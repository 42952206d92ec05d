"""Which executions a page is about: as the address says it in words, and as queries need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from arc_eval_db.consumers.canary import CANARY_NAME
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX
from arc_eval_db.sql import queries

RANGES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT_RANGE = "24h"


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_NUMBER = re.compile(r"[0-9]{1,9}")


class NothingMeantError(ArcEvalError):
    """A filter names what is not there."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which executions, as queries need it."""

    window: Window
    versions: tuple[UUID, ...] | None = None
    """None: all of them."""
    scenario_id: UUID | None = None
    simulation_id: UUID | None = None
    excluded: tuple[UUID, ...] = ()
    """Versions that are left out, unless they are asked for: those of the canary."""

    def of_versions(self, versions: tuple[UUID, ...]) -> Selection:
        """The same, of these versions only."""
        return replace(self, versions=versions)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which executions, in the words of an address: `?range=7d&configuration=careful@3`."""

    range: str = DEFAULT_RANGE
    """One of `RANGES`; without meaning where `since` is given."""
    since: datetime | None = None
    until: datetime | None = None
    """None: now."""
    configuration: str = ""
    """A name (all of its versions), `name@3`, or a version's id."""
    scenario: str = ""
    """Like a simulation by its name or its id, as whose name has not arrived has none."""
    simulation: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Filters:
        """From an address's parameters; what is none of ours is passed over.

        Raises:
            ValueError: a range or a time that is none.
        """
        chosen = parameters.get("range", DEFAULT_RANGE)
        if chosen not in RANGES:
            raise ValueError(f"range: choose one of {', '.join(RANGES)}")
        return cls(
            range=chosen,
            since=_moment("from", parameters.get("from", "")),
            until=_moment("to", parameters.get("to", "")),
            **{name: clean(parameters.get(name, "")) for name in ("configuration", "scenario", "simulation")},
        )

    def parameters(self) -> dict[str, str]:
        """For an address: only what differs from the default, so that links stay short."""
        said = {
            "range": self.range if self.range != DEFAULT_RANGE else "",
            "from": _text(self.since),
            "to": _text(self.until),
            "configuration": self.configuration,
            "scenario": self.scenario,
            "simulation": self.simulation,
        }
        return {name: value for name, value in said.items() if value}

    def window(self, now: datetime) -> Window:
        """The span of time.

        Raises:
            ValueError: as `Window.of`.
        """
        until = self.until or now
        return Window.of(self.since or until - RANGES[self.range], until)


async def resolve(session: Session, filters: Filters, *, now: datetime) -> Selection:
    """What the filters mean in this database. Canaries are left out, unless the filters ask for them.

    Raises:
        NothingMeantError: there is no configuration of that name or id.
        ValueError: the range is none.
    """
    versions = await resolve_versions(session, filters.configuration) if filters.configuration else None
    asks_for_canaries = versions is not None or filters.scenario == CANARY_NAME
    return Selection(
        window=filters.window(now),
        versions=versions,
        scenario_id=_id_of(filters.scenario, ids.scenario_id),
        simulation_id=_id_of(filters.simulation, ids.simulation_id),
        excluded=() if asks_for_canaries else await canary_versions(session),
    )


def reference_to(name: str | None, identifier: UUID, id_of: Callable[[str], UUID]) -> str:
    """What finds a scenario or a simulation again, in an address: its name, or its id where it goes by another."""
    return name if name is not None and id_of(name) == identifier else str(identifier)


def _id_of(text: str, id_of: Callable[[str], UUID]) -> UUID | None:
    if not text:
        return None
    return UUID(text) if _UUID.fullmatch(text) else id_of(text)


async def canary_versions(session: Session) -> tuple[UUID, ...]:
    """The configuration versions under which canaries run; none where there never was one."""
    rows = await session.fetch(queries("dashboard_performance")["versions_named"], CANARY_NAME, None)
    return tuple(row["id"] for row in rows)


async def resolve_versions(session: Session, text: str) -> tuple[UUID, ...]:
    """The versions that a text means: all of a name, one of `name@3`, one of an id.

    Raises:
        NothingMeantError: there is none.
    """
    if _UUID.fullmatch(text):
        return (UUID(text),)
    name, at, number = text.rpartition("@")
    found: list[Mapping[str, Any]] = []
    statement = queries("dashboard_performance")["versions_named"]
    if at and _NUMBER.fullmatch(number):
        found = await session.fetch(statement, name, int(number))
    if not found:
        # A name may hold an @ itself.
        found = await session.fetch(statement, text, None)
    if not found:
        raise NothingMeantError(f"there is no configuration {text}; choose one from the list, or clear the filter")
    return tuple(row["id"] for row in found)


def clean(text: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """What somebody typed, without what no name may hold and the database does not take."""
    return _CONTROL.sub("", text).strip()[:characters_max]


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: must be a time such as 2026-11-24T13:00Z") from None
    return moment.replace(second=0, microsecond=0)


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="minutes") + "Z"
