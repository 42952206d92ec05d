"""What a worker is doing and since when, for threads and processes that must know whether it moves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker at one moment."""

    doing: str
    """In words."""
    since_s: float
    """For how long it has been doing that."""
    overdue_s: float
    """For how much longer than that may take: 0 while the worker moves."""
    is_paused: bool
    """It waits on purpose, as the database or Kafka is away."""
    has_joined: bool
    """It is a member of its group."""
    is_schema_right: bool
    """The database has had the schema that it needs."""
    is_draining: bool
    """It was told to stop."""

    @property
    def unready(self) -> str | None:
        """Why it is not ready for work; None where it is."""
        if self.is_draining:
            return "it was told to stop"
        if not self.has_joined:
            return "it is no member of its group yet"
        return None if self.is_schema_right else "it has not seen the database's schema yet"

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "doing": self.doing,
            "since_s": round(self.since_s, 3),
            "overdue_s": round(self.overdue_s, 3),
            "paused": self.is_paused,
            "ready": self.unready is None,
        }


class Pulse:
    """Set by a worker on its event loop; read from any thread.

    Whatever the worker waits for has a deadline of its own, so that a server that is away is no standstill: each step
    says how long it may take.
    """

    def __init__(self) -> None:
        now = time.monotonic()
        self._step: tuple[str, float, float, bool] = ("starting", now, now, False)
        self.has_joined = False
        self.is_schema_right = False
        self.is_draining = False

    def moved(self, doing: str, *, allowed_s: float = 0.0, is_paused: bool = False) -> None:
        """The worker got somewhere, and begins something that may take `allowed_s`."""
        now = time.monotonic()
        # One assignment, so that a reader sees all of it or nothing.
        self._step = (doing, now, now + allowed_s, is_paused)

    def beat(self) -> Beat:
        """How it is now."""
        doing, began_at, until, is_paused = self._step
        now = time.monotonic()
        return Beat(
            doing=doing,
            since_s=now - began_at,
            overdue_s=max(0.0, now - until),
            is_paused=is_paused,
            has_joined=self.has_joined,
            is_schema_right=self.is_schema_right,
            is_draining=self.is_draining,
        )
