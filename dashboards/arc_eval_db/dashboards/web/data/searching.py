"""Executions that fit what is asked, a page at a time, newest first. A page costs the same wherever it is."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from arc_eval_db.dashboards.web.data.names import VersionName, scenario_names, simulation_names, version_names
from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.database import Session
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.sql import queries

PAGE_ROWS = 50
CANDIDATES_MAX = 5_000
"""Executions that one page looks through: a search that finds little ends there, and says how far back it looked."""
ID_DIGITS_MIN = 4
TEXT_CHARACTERS_MAX = 200

_ID_MAX = UUID(int=2**128 - 1)
_ID_PREFIX = re.compile(rf"[0-9a-f]{{{ID_DIGITS_MIN},32}}")


class State(StrEnum):
    """What an execution is doing, or how it ended."""

    RUNNING = "running"
    ABANDONED = "abandoned"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    """Ended, and its outcome is gone: retention took it, or it has not arrived."""

    @property
    def is_unended(self) -> bool:
        """Whether no end has arrived."""
        return self in (State.RUNNING, State.ABANDONED)


CHOICES = tuple(state for state in State if state is not State.COMPLETED)
"""What can be searched by."""


class Cursor(NamedTuple):
    """Behind which execution a page begins."""

    started_at: datetime
    id: UUID

    def text(self) -> str:
        """For an address. It is no secret: it says what the page shows."""
        return base64.urlsafe_b64encode(orjson.dumps([self.started_at.isoformat(), str(self.id)])).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Read it again.

        Raises:
            ValueError: it is none.
        """
        try:
            decoded = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
            moment, execution = decoded
            found = cls(datetime.fromisoformat(moment), UUID(execution))
        except (ValueError, TypeError, AttributeError):
            raise ValueError("this page's address is damaged; search again") from None
        if found.started_at.tzinfo is None:
            raise ValueError("this page's address is damaged; search again")
        return found


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked."""

    selection: Selection
    state: State | None = None
    text: str = ""
    """What the error's kind or message contains, in whatever case."""
    after: Cursor | None = None


@dataclass(frozen=True, slots=True)
class FoundExecution:
    """An execution in a list."""

    id: UUID
    version: VersionName
    scenario: str
    simulation: str | None
    started_at: datetime | None
    """None: its start has not arrived."""
    ended_at: datetime | None
    state: State
    score: float | None = None
    duration_ms: float | None = None
    cost_usd: float | None = None
    error_kind: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Some of them, newest first, and how to go on."""

    executions: tuple[FoundExecution, ...]
    next: Cursor | None
    """Behind which execution the next page begins; None: there are no more."""
    searched: int
    """Executions that were looked at."""
    searched_to: datetime | None = None
    """Given up here, without having looked at all: older ones are on the next page."""


def id_range(text: str) -> tuple[UUID, UUID] | None:
    """The lowest and the highest id that begin like this; None where it is no beginning of an id.

    >>> id_range("0193-a")
    (UUID('0193a000-0000-0000-0000-000000000000'), UUID('0193afff-ffff-ffff-ffff-ffffffffffff'))
    """
    digits = text.strip().lower().replace("-", "")
    if not _ID_PREFIX.fullmatch(digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


async def find_by_id(session: Session, low: UUID, high: UUID) -> FoundPage:
    """Executions whose ids are in a range, at most a page of them, whatever else was asked."""
    rows = await session.fetch(queries("dashboard_executions")["candidates_by_id"], low, high, PAGE_ROWS)
    outcomes = await _outcomes(session, rows, None, "")
    return FoundPage(await _shown(session, rows, outcomes), None, len(rows))


async def search(session: Session, asked: Search) -> FoundPage:
    """A page of the executions that started in the window and fit.

    An execution whose start has not arrived is in no window; it is found by its id.
    """
    is_narrow = not _needs_looking(asked)
    limit = PAGE_ROWS + 1 if is_narrow else CANDIDATES_MAX
    candidates = await _candidates(session, asked, limit)
    fitting = [row for row in candidates if _fits(asked, row)]
    wants_outcomes = not is_narrow and _asks_for_outcome(asked)
    outcomes = await _outcomes(session, fitting if wants_outcomes else fitting[:PAGE_ROWS], _status(asked), asked.text)
    if wants_outcomes:
        fitting = [row for row in fitting if row["id"] in outcomes]
    shown = fitting[:PAGE_ROWS]
    is_more = len(candidates) == limit
    last: Mapping[str, Any] | None = None
    if len(fitting) > PAGE_ROWS:
        last = shown[-1]
    elif is_more:
        last = candidates[-1]
    return FoundPage(
        executions=await _shown(session, shown, outcomes),
        next=None if last is None else Cursor(last["started_at"], last["id"]),
        searched=len(candidates),
        searched_to=last["started_at"] if last is not None and len(fitting) <= PAGE_ROWS else None,
    )


def _asks_for_outcome(asked: Search) -> bool:
    return bool(asked.text) or (asked.state is not None and not asked.state.is_unended)


def _needs_looking(asked: Search) -> bool:
    """Whether something is asked for that the candidates' index does not know."""
    selection = asked.selection
    narrowings = (selection.versions, selection.scenario_id, selection.simulation_id)
    named = sum(narrowing is not None for narrowing in narrowings)
    if asked.state is not None and asked.state.is_unended:
        named += 1
    return named > 1 or _asks_for_outcome(asked)


def _status(asked: Search) -> str | None:
    return None if asked.state is None or asked.state.is_unended else asked.state.value


async def _candidates(session: Session, asked: Search, limit: int) -> list[Mapping[str, Any]]:
    statements, selection = queries("dashboard_executions"), asked.selection
    window = selection.window
    after = asked.after or Cursor(window.until, _ID_MAX)
    common = (window.since, window.until, after.started_at, after.id, limit, selection.excluded)
    if asked.state is not None and asked.state.is_unended:
        is_running = asked.state is State.RUNNING
        return await session.fetch(statements["candidates_unended"], *common, is_running)
    if selection.simulation_id is not None:
        return await session.fetch(statements["candidates_of_simulation"], *common, selection.simulation_id)
    if selection.scenario_id is not None:
        return await session.fetch(statements["candidates_of_scenario"], *common, selection.scenario_id)
    if selection.versions is not None:
        return await session.fetch(statements["candidates_of_versions"], *common, selection.versions)
    return await session.fetch(statements["candidates"], *common)


def _fits(asked: Search, row: Mapping[str, Any]) -> bool:
    selection = asked.selection
    return (
        (selection.versions is None or row["configuration_version_id"] in selection.versions)
        and selection.scenario_id in (None, row["scenario_id"])
        and selection.simulation_id in (None, row["simulation_id"])
        and not (_asks_for_outcome(asked) and row["ended_at"] is None)
    )


async def _outcomes(
    session: Session, rows: Iterable[Mapping[str, Any]], status: str | None, text: str
) -> dict[UUID, Mapping[str, Any]]:
    ended = [row for row in rows if row["ended_at"] is not None]
    if not ended:
        return {}
    ids, times = [row["id"] for row in ended], [row["ended_at"] for row in ended]
    found = await session.fetch(
        queries("dashboard_executions")["outcomes_of"],
        *(ids, min(times), max(times), status, text or None, min(ids), max(ids)),
    )
    return {row["execution_id"]: row for row in found}


async def _shown(
    session: Session, rows: list[Mapping[str, Any]], outcomes: Mapping[UUID, Mapping[str, Any]]
) -> tuple[FoundExecution, ...]:
    unended = [row["id"] for row in rows if row["ended_at"] is None]
    running: set[UUID] = set()
    if unended:
        found = await session.fetch(queries("dashboard_executions")["running_of"], unended)
        running = {row["id"] for row in found}
    versions = await version_names(session, (row["configuration_version_id"] for row in rows))
    scenarios = await scenario_names(session, (row["scenario_id"] for row in rows))
    simulations = await simulation_names(
        session, (row["simulation_id"] for row in rows if row["simulation_id"] is not None)
    )
    return tuple(
        FoundExecution(
            id=row["id"],
            version=versions[row["configuration_version_id"]],
            scenario=scenarios[row["scenario_id"]],
            simulation=simulations.get(row["simulation_id"]),
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            state=_state(row, running, outcomes.get(row["id"])),
            **_outcome(outcomes.get(row["id"])),
        )
        for row in rows
    )


def _state(row: Mapping[str, Any], running: set[UUID], outcome: Mapping[str, Any] | None) -> State:
    if row["ended_at"] is None:
        return State.RUNNING if row["id"] in running else State.ABANDONED
    return State.COMPLETED if outcome is None else State(ExecutionStatus(outcome["status"]).value)


def _outcome(outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    if outcome is None:
        return {}
    return {key: outcome[key] for key in ("score", "duration_ms", "cost_usd", "error_kind", "error_message")}
