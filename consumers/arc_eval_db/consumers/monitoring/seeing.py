"""How the lag and the database's health are seen: over connections that are kept as long as they are good."""

from __future__ import annotations

from collections.abc import Sequence

from arc_eval_db.consumers.lag import LagReport, LagSettings, LagWatcher
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.health import DatabaseHealthChecker, HealthReport, HealthSettings
from arc_eval_db.settings import KafkaSettings


class LagSight:
    """Looks at a group's lag through one watcher after another.

    A look owns its watcher for as long as it takes: one that hangs keeps it, and the next look has another.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        group: str,
        topics: Sequence[str],
        limits: LagSettings | None,
    ) -> None:
        self._kafka = kafka
        self._database = database
        self._group = group
        self._topics = topics
        self._limits = limits or LagSettings.load()
        self._watcher: LagWatcher | None = None
        self._is_closed = False

    async def see(self) -> LagReport:
        """One look. Without Kafka it raises, and the next one connects anew."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            watcher = LagWatcher(self._kafka, self._database, self._group, self._topics, self._limits)
            await watcher.__aenter__()
        try:
            report = await watcher.look()
        except BaseException:
            await watcher.__aexit__()
            raise
        if self._watcher is None and not self._is_closed:
            self._watcher = watcher
        else:  # given up meanwhile
            await watcher.__aexit__()
        return report

    async def close(self) -> None:
        """Let go of the connections."""
        self._is_closed = True
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await watcher.__aexit__()


class HealthSight:
    """Looks at the database's health. Rates are over the time between two looks that worked."""

    def __init__(self, database: DatabaseSettings, settings: HealthSettings | None) -> None:
        self._database = database
        self._settings = settings or HealthSettings.load()
        self._checker: DatabaseHealthChecker | None = None

    async def see(self) -> HealthReport:
        """One look. A database that is away is a part of the report."""
        checker, self._checker = self._checker, None
        checker = checker or DatabaseHealthChecker(self._database, settings=self._settings)
        report = await checker.check()
        self._checker = checker
        return report
