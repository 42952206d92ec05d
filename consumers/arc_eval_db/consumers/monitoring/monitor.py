"""Looks at the lag of a group and at the health of the database, again and again, for whoever wants to know."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Self

from arc_eval_db.consumers.lag import LagReport, LagSettings
from arc_eval_db.consumers.monitoring.following import TooManyListenersError, Update, UpdateKind, Updates
from arc_eval_db.consumers.monitoring.looking import Look, Looking
from arc_eval_db.consumers.monitoring.metrics import MonitorMetrics
from arc_eval_db.consumers.monitoring.seeing import HealthSight, LagSight
from arc_eval_db.consumers.monitoring.settings import MonitorSettings
from arc_eval_db.consumers.monitoring.showing import Shown, show_health, show_lag
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.health import HealthReport, HealthSettings
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings

_CLOSE_TIMEOUT_S = 15.0


class PipelineMonitor:
    """Keeps the latest lag and health, sets metrics from them, and tells whoever follows. Use with `async with`.

    A look that fails is said (`lag_look.error`), counted and followed by the next; what was seen before it is kept,
    with its age. It raises nothing of its own, and belongs to one event loop.

    Example:
        async with PipelineMonitor(kafka, database, "arc-eval-db") as monitor, monitor.follow() as updates:
            async for update in updates:
                print(update.kind, update.to_json())
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        group: str,
        *,
        settings: MonitorSettings | None = None,
        metrics: MonitorMetrics | None = None,
        lag_settings: LagSettings | None = None,
        health_settings: HealthSettings | None = None,
        only_when_followed: bool = False,
    ) -> None:
        """
        Args:
            metrics: share a registry with others by `MonitorMetrics(registry)`.
            only_when_followed: look at intervals only while somebody follows; otherwise when asked.

        Raises:
            SettingsError: a setting of the environment is wrong.
        """
        self.group = group
        self.settings = settings or MonitorSettings.load()
        self.metrics = metrics or MonitorMetrics()
        self._lag_sight = LagSight(kafka, database, group, TopicNames(kafka.topic_prefix).all, lag_settings)
        health_sight = HealthSight(database, health_settings)
        self._lag = Looking("lag", self._lag_sight.see, self.settings.lag_timeout_s, self._on_lag)
        self._health = Looking("health", health_sight.see, self.settings.health_timeout_s, self._on_health)
        self._shown_lag, self._shown_health = Shown(self.metrics), Shown(self.metrics)
        self._listeners: set[Updates] = set()
        self._always = not only_when_followed
        self._wanted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        # A counter that begins with its first failure has no increase.
        self.metrics.count("arc_eval_pipeline_looks_failed_total", 0, group=group)

    @property
    def lag(self) -> LagReport | None:
        """The lag when it was last seen; None before."""
        return self._lag.latest.report

    @property
    def health(self) -> HealthReport | None:
        """The database's health when it was last looked at; None before."""
        return self._health.latest.report

    @property
    def lag_look(self) -> Look[LagReport]:
        """The same with its time, and why the latest look failed."""
        return self._lag.latest

    @property
    def health_look(self) -> Look[HealthReport]:
        """The same of the database's health."""
        return self._health.latest

    @property
    def overdue_s(self) -> float:
        """For how much longer than it may the monitor has not looked: 0 while it does, or is not to.

        A look that fails is one too: servers that are away are no standstill.
        """
        if not self._wanted.is_set():
            return 0.0
        settings = self.settings
        return max(
            self._lag.idle_s - settings.lag_interval_s - settings.lag_timeout_s,
            self._health.idle_s - settings.health_interval_s - settings.health_timeout_s,
            0.0,
        )

    async def __aenter__(self) -> Self:
        if self._always:
            self._wanted.set()
            # Nobody has seen anything since now at the latest: what was never seen is alerted on too.
            now = time.time()
            self.metrics.set("arc_eval_pipeline_looked_timestamp_seconds", now, group=self.group)
            self.metrics.set("arc_eval_health_looked_timestamp_seconds", now)
        self._tasks = {
            asyncio.create_task(self._repeat(self._lag, self.settings.lag_interval_s)),
            asyncio.create_task(self._repeat(self._health, self.settings.health_interval_s)),
        }
        return self

    async def __aexit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.gather(self._lag.close(), self._health.close())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._lag_sight.close()

    async def fresh_lag(self) -> Look[LagReport]:
        """The lag, not older than its interval: looked at now if need be, once however many ask."""
        return await self._lag.fresh(self.settings.lag_interval_s)

    async def fresh_health(self) -> Look[HealthReport]:
        """The same of the database's health."""
        return await self._health.fresh(self.settings.health_interval_s)

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[Updates]:
        """Be told of each look, beginning with the latest. A listener that is slow misses those in between.

        Raises:
            TooManyListenersError: `listeners_max` follow already.
        """
        if len(self._listeners) >= self.settings.listeners_max:
            raise TooManyListenersError(
                f"{self.settings.listeners_max} follow already; close one, or raise ARC_EVAL_MONITOR_LISTENERS_MAX"
            )
        updates = Updates()
        for kind, look in ((UpdateKind.LAG, self._lag.latest), (UpdateKind.HEALTH, self._health.latest)):
            if look.report is not None or look.error is not None:
                updates.put(Update(kind, look))
        self._listeners.add(updates)
        self._wanted.set()
        try:
            yield updates
        finally:
            self._listeners.discard(updates)
            if not self._listeners and not self._always:
                self._wanted.clear()

    async def _repeat(self, looking: Looking[Any], interval_s: float) -> None:
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            await looking.look()
            await asyncio.sleep(began + interval_s - time.monotonic())

    def _on_lag(self, look: Look[LagReport]) -> None:
        if look.error is not None:
            self.metrics.count("arc_eval_pipeline_looks_failed_total", group=self.group)
        elif look.report is not None:
            show_lag(self._shown_lag, look.report)
        self._tell(Update(UpdateKind.LAG, look))

    def _on_health(self, look: Look[HealthReport]) -> None:
        if look.error is not None:
            self.metrics.count("arc_eval_health_looks_failed_total")
        elif look.report is not None:
            show_health(self._shown_health, look.report)
        self._tell(Update(UpdateKind.HEALTH, look))

    def _tell(self, update: Update) -> None:
        for listener in self._listeners:
            listener.put(update)
