"""What a look at the database's health says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """Works, and somebody should look at it today."""
    CRITICAL = "critical"
    """Rows are late, refused or in danger: somebody should look at it now."""
    UNKNOWN = "unknown"
    """Could not be seen; the result says why."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check."""

    check: str
    state: State
    value: float | None
    """The figure that was judged; None where there is none."""
    unit: str
    found: str
    """In words; why, where the state is unknown."""
    next_step: str = ""
    """A command or SQL; empty where nothing is to be done."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All checks of one look."""

    checked_at: datetime
    edition: str | None
    """"timescaledb" or "postgresql"; None where the server did not say."""
    results: tuple[CheckResult, ...]
    lost: tuple[str, ...] = ()
    """What this database does without, as it has no TimescaleDB."""

    @property
    def state(self) -> State:
        """The worst that was seen. Unknown where nothing was seen; what is unknown beside others does not count."""
        return overall([result.state for result in self.results])

    def result(self, check: str) -> CheckResult:
        """The result of one check, by its name."""
        return next(result for result in self.results if result.check == check)

    def fields(self) -> dict[str, Any]:
        """Everything, as values for JSON."""
        return {
            "state": self.state,
            "checked_at": self.checked_at,
            "edition": self.edition,
            "checks": [asdict(result) for result in self.results],
            "lost_without_timescaledb": list(self.lost),
        }

    def to_json(self) -> str:
        """Everything, as one JSON document."""
        return orjson.dumps(self.fields(), option=orjson.OPT_UTC_Z).decode()


def overall(states: Sequence[State]) -> State:
    """The worst of them.

    >>> overall([State.OK, State.UNKNOWN, State.WARN])
    <State.WARN: 'warn'>
    """
    return next((state for state in (State.CRITICAL, State.WARN, State.OK) if state in states), State.UNKNOWN)
