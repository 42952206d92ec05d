"""What looks at the pipeline for everybody, and its latest look as a panel wants it."""

from __future__ import annotations

from typing import TypeVar

from arc_eval_db.consumers.lag import LagReport
from arc_eval_db.consumers.monitoring import Look, PipelineMonitor
from arc_eval_db.dashboards.web.live import NotSeenYetError, Source
from arc_eval_db.errors import RetryableError
from arc_eval_db.health import HealthReport

T = TypeVar("T")

# Only memory is looked at; how often Kafka and the database are is the monitor's matter.
_INTERVAL_S = 0.5


class LookFailedError(RetryableError):
    """The latest look failed."""


def lag_source(monitor: PipelineMonitor) -> Source[LagReport]:
    """The latest look at the group's lag."""

    async def load() -> LagReport:
        return _latest(monitor.lag_look)

    return Source(("lag",), load, _INTERVAL_S)


def health_source(monitor: PipelineMonitor) -> Source[HealthReport]:
    """The latest look at the database's health."""

    async def load() -> HealthReport:
        return _latest(monitor.health_look)

    return Source(("health",), load, _INTERVAL_S)


def _latest(look: Look[T]) -> T:
    if look.error is not None:
        raise LookFailedError(look.error)
    if look.report is None:
        raise NotSeenYetError
    return look.report
