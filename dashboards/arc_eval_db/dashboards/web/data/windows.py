"""Spans of time that are looked at: whole hours or whole days, as the rollups have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from arc_eval_db.schemas.limits import TIME_MIN

HOURLY_MAX = timedelta(days=3)
"""Spans up to here are shown by the hour: 72 points."""
WINDOW_MAX = timedelta(days=366)
"""Outcomes are kept for 365 days."""
_AHEAD = timedelta(days=2)


class Step(StrEnum):
    """How long a bucket is, by the name that the rollups give it."""

    HOURLY = "hourly"
    DAILY = "daily"

    @property
    def duration(self) -> timedelta:
        """As a duration."""
        return timedelta(hours=1) if self is Step.HOURLY else timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` up to, not including, `until`; both begin a bucket, in UTC."""

    since: datetime
    until: datetime
    step: Step

    @classmethod
    def of(cls, since: datetime, until: datetime) -> Self:
        """The whole buckets that hold the span: hours up to three days, days beyond.

        Raises:
            ValueError: it is empty, longer than a year, or where no event may be; the message names the next step.
        """
        if since.tzinfo is None or until.tzinfo is None:
            raise ValueError("a time needs its offset from UTC, such as 2026-11-24T00:00Z")
        since, until = since.astimezone(UTC), until.astimezone(UTC)
        if since >= until:
            raise ValueError("the range is empty: choose an end after its beginning")
        if until - since > WINDOW_MAX:
            raise ValueError(f"choose a range of at most {WINDOW_MAX.days} days")
        if since < TIME_MIN or until > datetime.now(UTC) + _AHEAD:
            raise ValueError(f"choose a range from {TIME_MIN:%Y-%m-%d} to tomorrow")
        step = Step.HOURLY if until - since <= HOURLY_MAX else Step.DAILY
        return cls(_floor(since, step), _floor(until - timedelta(microseconds=1), step) + step.duration, step)

    @classmethod
    def last(cls, duration: timedelta, now: datetime) -> Self:
        """The buckets of the last hours or days, the one of `now` included."""
        return cls.of(now - duration, now)

    def buckets(self) -> list[datetime]:
        """Where each bucket begins, in order."""
        count = (self.until - self.since) // self.step.duration
        return [self.since + index * self.step.duration for index in range(count)]

    def within(self, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
        """The part of it in which something happened that is known to have happened between two moments."""
        begin = self.since if since is None else max(self.since, since)
        end = self.until if until is None else min(self.until, until)
        return begin, max(begin, end)


def _floor(moment: datetime, step: Step) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if step is Step.HOURLY else hour.replace(hour=0)
