"""The lag as this server has seen it: workers that are stopped keep no samples, and then it is wanted most."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from arc_eval_db.consumers.lag import LagReport
from arc_eval_db.consumers.monitoring import PipelineMonitor, UpdateKind
from arc_eval_db.dashboards.web.data.pipeline import LagPoint, bucket_of

# At one look in five seconds, an hour.
_LOOKS_MAX = 720
_EPOCH = datetime.fromisoformat("2020-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class _Seen:
    at: datetime
    topics: tuple[LagPoint, ...]


class LagHistory:
    """Keeps the last looks of a monitor. Use with `async with`."""

    def __init__(self, monitor: PipelineMonitor) -> None:
        self._monitor = monitor
        self._looks: deque[_Seen] = deque(maxlen=_LOOKS_MAX)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="lag history")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def add(self, report: LagReport) -> None:
        """Keep a look."""
        if self._looks and self._looks[-1].at >= report.measured_at:
            return
        points = []
        for topic in report.topics:
            rates = topic.rates
            seen = (topic.lag_messages, topic.lag_s, rates.in_per_s, rates.out_per_s)
            points.append(LagPoint(report.measured_at, topic.topic, *seen))
        self._looks.append(_Seen(report.measured_at, tuple(points)))

    def with_own(self, stored: Iterable[LagPoint], since: timedelta, now: datetime) -> list[LagPoint]:
        """The points of a range, those of the database and what was seen here in the same buckets; oldest first.

        Of both the worse lag counts, and the database's rates.
        """
        width = bucket_of(since)
        found = {(point.time, point.topic): point for point in stored}
        for look in self._looks:
            if look.at <= now - since:
                continue
            bucket = _EPOCH + (look.at - _EPOCH) // width * width
            for point in look.topics:
                key = (bucket, point.topic)
                found[key] = _worse(bucket, found.get(key), point)
        return [found[key] for key in sorted(found)]

    async def _follow(self) -> None:
        async with self._monitor.follow() as updates:
            async for update in updates:
                report = update.look.report
                if update.kind is UpdateKind.LAG and isinstance(report, LagReport):
                    self.add(report)


def _worse(bucket: datetime, stored: LagPoint | None, seen: LagPoint) -> LagPoint:
    if stored is None:
        return LagPoint(bucket, seen.topic, seen.messages, seen.seconds, seen.in_per_s, seen.out_per_s)
    known = [seconds for seconds in (stored.seconds, seen.seconds) if seconds is not None]
    return LagPoint(
        bucket,
        seen.topic,
        max(stored.messages, seen.messages),
        max(known, default=None),
        seen.in_per_s if stored.in_per_s is None else stored.in_per_s,
        seen.out_per_s if stored.out_per_s is None else stored.out_per_s,
    )
