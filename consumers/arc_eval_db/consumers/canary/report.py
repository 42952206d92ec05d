"""What became of one canary, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class CanaryResult(StrEnum):
    """How a run ended: whole and in time, or where it hangs, in the order of the way."""

    ARRIVED = "arrived"
    DATABASE_AWAY = "database_away"
    """The canary cannot look into the database, and has sent nothing; or could look no more."""
    NOT_ACKNOWLEDGED = "not_acknowledged"
    """Kafka has not taken every event."""
    NOT_CONSUMED = "not_consumed"
    """Kafka has taken every event, and they are no rows yet."""
    DEAD_LETTERED = "dead_lettered"
    """An event was set aside instead of becoming a row."""
    WRONG = "wrong"
    """A row says something else than its event, or is there twice."""
    FAILED = "failed"
    """The canary itself could not go on."""


@dataclass(frozen=True, slots=True)
class CanaryEvent:
    """One event of a run; times are seconds since it was emitted, None where it was not seen."""

    type: str
    relation: str
    """The table of its row."""
    event_id: UUID | None
    """None where the SDK never came to send it."""
    acknowledged_s: float | None
    """Until every in-sync replica had it, a new connection to Kafka included."""
    visible_s: float | None
    """Until its row was seen; the table is looked at every 25 ms."""

    def to_json(self) -> dict[str, Any]:
        """docs/canary.md explains each field."""
        return {
            "type": self.type,
            "relation": self.relation,
            "event_id": None if self.event_id is None else str(self.event_id),
            "acknowledged_seconds": self.acknowledged_s,
            "visible_seconds": self.visible_s,
        }


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """One run."""

    started_at: datetime
    execution_id: UUID | None
    """None where the canary failed before it made one."""
    result: CanaryResult
    seconds: float | None
    """From the first event's emit until every row was seen; None where that did not happen in time."""
    events: tuple[CanaryEvent, ...]
    reason: str = ""
    """Why it did not arrive, in words."""
    next_step: str = ""

    @property
    def has_arrived(self) -> bool:
        """Every row was there in time, once, with the right values."""
        return self.result is CanaryResult.ARRIVED

    @property
    def acknowledged_s(self) -> float | None:
        """Until Kafka had all events; None where it did not take them all."""
        each_s = [event.acknowledged_s for event in self.events]
        return None if not each_s or None in each_s else max(each for each in each_s if each is not None)

    def to_json(self) -> dict[str, Any]:
        """docs/canary.md explains each field."""
        return {
            "started_at": self.started_at,
            "execution_id": None if self.execution_id is None else str(self.execution_id),
            "result": self.result.value,
            "seconds": self.seconds,
            "acknowledged_seconds": self.acknowledged_s,
            "reason": self.reason or None,
            "next_step": self.next_step or None,
            "events": [event.to_json() for event in self.events],
        }
