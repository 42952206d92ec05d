"""What is there of a canary's execution in the database, and what is missing, twice, or not as it was said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.consumers.canary.emission import Emission, EmittedEvent
from arc_eval_db.consumers.canary.names import CANARY_CONFIGURATION_VERSION_ID, CANARY_SCENARIO_ID
from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.sql import queries

# A look takes a millisecond or two. A run that is not there after a second is late already: it is asked less often.
_POLL_S = 0.025
_POLL_LATE_S = 0.25
_LATE_S = 1.0

# Events have the time of their emit, by the clock that made the execution's id.
_CLOCK_MARGIN = timedelta(minutes=1)


@dataclass(slots=True)
class Arrival:
    """What the last look saw, and when each row was seen first (monotonic clock), by the event's sequence."""

    seen_at: dict[int, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()

    @property
    def has_execution(self) -> bool:
        """Whether the row of the execution itself is there."""
        return any(row["relation"] == "executions" for row in self.rows)

    def missing(self, events: Sequence[EmittedEvent]) -> list[EmittedEvent]:
        """Events that have no row yet."""
        return [event for event in events if event.sequence not in self.seen_at]

    def is_whole(self, events: Sequence[EmittedEvent]) -> bool:
        """Whether nothing is missing any more."""
        return self.has_execution and not self.missing(events)


class ArrivalWatch:
    """Looks for one execution's rows."""

    def __init__(self, session: Session, emission: Emission) -> None:
        self._session = session
        self._emission = emission
        self._since = ids.time_of(emission.execution_id) - _CLOCK_MARGIN
        self.arrival = Arrival()

    async def look(self) -> Arrival:
        """What is there at this moment.

        Raises:
            DatabaseError: it does not answer, or the login may not read the tables of events.
        """
        rows = await self._session.fetch(
            queries("canary")["rows_of_execution"], self._emission.execution_id, self._since
        )
        now = time.monotonic()
        for row in rows:
            if row["relation"] != "executions":
                self.arrival.seen_at.setdefault(row["sequence"], now)
        self.arrival.rows = rows
        return self.arrival

    async def until_whole(self, deadline: float) -> Arrival:
        """Look again and again, until nothing is missing or will come any more.

        Args:
            deadline: of the monotonic clock.
        """
        began = time.monotonic()
        while not (await self.look()).is_whole(self._emission.events):
            now = time.monotonic()
            is_late = now - began >= _LATE_S
            if now >= deadline or (is_late and await self.dead_letter()):
                break
            await asyncio.sleep(min(_POLL_LATE_S if is_late else _POLL_S, deadline - now))
        return self.arrival

    async def dead_letter(self) -> Mapping[str, Any] | None:
        """The first event that was set aside, if one was."""
        event_ids = [event.event_id for event in self._emission.events if event.event_id is not None]
        letters = await self._session.fetch(queries("canary")["dead_letters_of_events"], event_ids)
        return letters[0] if letters else None

    def not_as_said(self) -> str:
        """What is wrong with the rows that are there, in words; "" where nothing is."""
        left = {(event.relation, event.sequence): event for event in self._emission.events}
        for row in self.arrival.rows:
            name = f"{row['relation']}, sequence {row['sequence']}"
            if row["relation"] == "executions":
                expected, event_id = self._emission.execution_says, None
            elif (event := left.pop((row["relation"], row["sequence"]), None)) is None:
                return f"{name}: a row too many"
            else:
                expected, event_id = event.said, event.event_id
            if wrong := _differences(row, expected, event_id):
                return f"{name}: {wrong} not as emitted"
        return ""


def _differences(row: Mapping[str, Any], expected: Mapping[str, Any], event_id: UUID | None) -> str:
    """The columns that hold something else; never their values."""
    said: Mapping[str, Any] = {
        **orjson.loads(row["said"]),
        "event_id": row["event_id"],
        "configuration_version_id": row["configuration_version_id"],
        "scenario_id": row["scenario_id"],
        "simulation_id": row["simulation_id"],
    }
    wanted = {
        **expected,
        "event_id": event_id,
        "configuration_version_id": CANARY_CONFIGURATION_VERSION_ID,
        "scenario_id": CANARY_SCENARIO_ID,
        "simulation_id": None,
    }
    return ", ".join(sorted(name for name, value in wanted.items() if said.get(name) != value))
