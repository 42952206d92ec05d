"""What every page has at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from arc_eval_db.consumers.alerts import AlertRunner
from arc_eval_db.consumers.canary import Canary
from arc_eval_db.consumers.monitoring import PipelineMonitor
from arc_eval_db.dashboards.web.access import Access
from arc_eval_db.dashboards.web.database import WebDatabase
from arc_eval_db.dashboards.web.history import LagHistory
from arc_eval_db.dashboards.web.live import LiveBoard, Source
from arc_eval_db.dashboards.web.settings import DashboardSettings
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TopicNames

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The server's parts, from which pages take what they show."""

    settings: DashboardSettings
    database: WebDatabase
    monitor: PipelineMonitor
    history: LagHistory
    alerts: AlertRunner
    canary: Canary | None
    """None: it is not asked for."""
    access: Access
    board: LiveBoard
    topics: TopicNames
    """The registry under the prefix in use."""

    def source(
        self, *key: Hashable, load: Callable[[Session], Awaitable[T]], interval_s: float | None = None
    ) -> Source[T]:
        """Something of the database, for a panel.

        Args:
            key: what it is, and its parameters: pages with the same key share one query.
            interval_s: by default that of the settings.
        """

        async def look() -> T:
            return await self.database.read(load)

        # A query that is given up by the server says so itself; this is for a wait for a connection on top of it.
        timeout_s = self.settings.query_timeout_s + 10
        return Source(key, look, self.settings.panel_interval_s if interval_s is None else interval_s, timeout_s)
