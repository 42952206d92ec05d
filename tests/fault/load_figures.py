"""What a load run has to show: delays between emit and visible, and whether everything is there exactly once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row."""

    event_id: UUID
    execution_id: UUID
    emitted_at: float
    """Seconds since 1970, stamped by the emitter."""
    visible_at: float
    """Seconds since 1970, stamped by the database when the row's transaction committed."""


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """Something that was done to the system."""

    name: str
    began_at: float
    ended_at: float
    """When what was killed was at work again."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from emit to visible."""

    name: str
    events: int
    p50: float
    p99: float
    most: float


def timeline(stored: Sequence[StoredEvent], step_s: float = 10.0) -> list[Delays]:
    """The delays by when events were emitted, counted from the first."""
    began = min(event.emitted_at for event in stored)
    steps: dict[int, list[StoredEvent]] = {}
    for event in stored:
        steps.setdefault(int((event.emitted_at - began) / step_s), []).append(event)
    return [_delays(f"{number * step_s:g} s", events) for number, events in sorted(steps.items())]


def delays(stored: Sequence[StoredEvent], faults: Sequence[FaultWindow]) -> list[Delays]:
    """Of all events, of those that met no fault, and of those that met each.

    An event meets a fault when it was under way at any moment between the fault's beginning and the moment at which
    everything emitted before its end was visible.
    """
    met = [(fault, _meeting(stored, fault)) for fault in faults]
    unlucky = {event.event_id for _, events in met for event in events}
    undisturbed = [event for event in stored if event.event_id not in unlucky]
    groups = [
        ("all", list(stored)),
        ("outside of faults", undisturbed),
        *((fault.name, events) for fault, events in met),
    ]
    return [_delays(name, events) for name, events in groups]


def _meeting(stored: Sequence[StoredEvent], fault: FaultWindow) -> list[StoredEvent]:
    caught = [event for event in stored if event.emitted_at <= fault.ended_at and event.visible_at >= fault.began_at]
    over_at = max((event.visible_at for event in caught), default=fault.ended_at)
    return [event for event in stored if event.emitted_at <= over_at and event.visible_at >= fault.began_at]


def _delays(name: str, events: Sequence[StoredEvent]) -> Delays:
    seconds = sorted(event.visible_at - event.emitted_at for event in events)
    if not seconds:
        return Delays(name, 0, math.nan, math.nan, math.nan)
    return Delays(name, len(seconds), percentile(seconds, 50), percentile(seconds, 99), seconds[-1])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def objections(
    stored: Iterable[StoredEvent],
    *,
    emitted: Mapping[UUID, int],
    acknowledged: Collection[UUID],
    complete: Collection[UUID],
    dead_letters: int,
    dropped: int,
) -> dict[str, int]:
    """What is not as it must be, and how often; empty where all is well.

    Args:
        emitted: how many events each execution emitted.
        acknowledged: events that the broker took, as the ledger says.
        complete: executions that the database shows as complete.
    """
    rows = list(stored)
    events = Counter(row.event_id for row in rows)
    of_execution = Counter(row.execution_id for row in rows)
    figures = {
        "events lost": sum(max(0, count - of_execution[execution]) for execution, count in emitted.items()),
        "acknowledged events lost": sum(event_id not in events for event_id in acknowledged),
        "events twice": sum(count - 1 for count in events.values()),
        "events of nobody": sum(max(0, count - emitted.get(execution, 0)) for execution, count in of_execution.items()),
        "executions not complete": sum(execution not in complete for execution in emitted),
        "dead letters": dead_letters,
        "events dropped": dropped,
    }
    return {name: count for name, count in figures.items() if count}


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as Markdown, with the first row's keys as the head."""
    rows = list(rows)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
