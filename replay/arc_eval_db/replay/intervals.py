"""Stretches of time that bound a query, so that it looks into few chunks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class Interval(NamedTuple):
    """From `first` up to, and including, `last`."""

    first: datetime
    last: datetime


def by_day(times: Iterable[datetime]) -> list[Interval]:
    """What each UTC day has of these times. So one event that is a month late does not make a month of them all."""
    days: dict[date, Interval] = {}
    for time in times:
        day = time.astimezone(UTC).date()
        known = days.get(day)
        if known is None:
            days[day] = Interval(time, time)
        elif not known.first <= time <= known.last:
            days[day] = Interval(min(known.first, time), max(known.last, time))
    return sorted(days.values())


def widened(intervals: Iterable[Interval], margin: timedelta) -> list[Interval]:
    """The intervals, longer at both ends; those that meet become one."""
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        first = first - margin if first - _EARLIEST > margin else _EARLIEST  # noqa: PLW2901 - the same, clamped
        last = last + margin if _LATEST - last > margin else _LATEST  # noqa: PLW2901
        if merged and first <= merged[-1].last:
            merged[-1] = Interval(merged[-1].first, max(merged[-1].last, last))
        else:
            merged.append(Interval(first, last))
    return merged
