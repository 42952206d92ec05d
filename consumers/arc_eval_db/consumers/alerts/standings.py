"""How an alert opens and resolves. Pure, and in the steps that Prometheus takes with `for` and `keep_firing_for`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where an alert is; one that is inactive has no standing."""

    PENDING = "pending"
    """Past the threshold, not for long enough yet."""
    OPEN = "open"
    CLOSING = "closing"
    """Still open, and no more past the threshold."""


class Change(StrEnum):
    """What people are told of."""

    OPENED = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alert is, and since when (Unix time)."""

    phase: Phase
    since: float

    @property
    def is_open(self) -> bool:
        """Whether people have been told that it is open, and not that it is resolved."""
        return self.phase is not Phase.PENDING


def advance(
    standing: Standing | None, *, is_past: bool, for_s: float, keep_s: float, now: float
) -> tuple[Standing | None, Change | None]:
    """The next standing (None: inactive), and what to tell people.

    Args:
        standing: the one before; None where it was inactive.
        is_past: whether the figure is past the threshold that counts in this standing; not where there is no figure.
    """
    if is_past:
        return _past(standing, for_s, now)
    if standing is None or standing.phase is Phase.PENDING:
        return None, None
    # A clock that was set back must not keep an alert for longer than it would have been kept.
    since = min(standing.since, now) if standing.phase is Phase.CLOSING else now
    if now - since >= keep_s:
        return None, Change.RESOLVED
    return Standing(Phase.CLOSING, since), None


def _past(standing: Standing | None, for_s: float, now: float) -> tuple[Standing, Change | None]:
    if standing is not None and standing.phase is Phase.OPEN:
        return standing, None
    if standing is not None and standing.phase is Phase.CLOSING:
        return Standing(Phase.OPEN, now), None
    since = now if standing is None else min(standing.since, now)
    if now - since >= for_s:
        return Standing(Phase.OPEN, now), Change.OPENED
    return Standing(Phase.PENDING, since), None
