"""Puts a server together from the settings of a worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import structlog

from arc_eval_db.consumers.http.access import Access
from arc_eval_db.consumers.http.background import BackgroundMonitor
from arc_eval_db.consumers.http.routes import Routes, Subject
from arc_eval_db.consumers.http.server import HttpServer
from arc_eval_db.consumers.lag import LagSettings
from arc_eval_db.consumers.monitoring import MonitorSettings, PipelineMonitor
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.health import HealthSettings
from arc_eval_db.metrics import Metrics
from arc_eval_db.settings import KafkaSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.http")


@contextlib.contextmanager
def serving(
    settings: ConsumerSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    subject: Subject,
    metrics: Metrics[Any],
) -> Iterator[HttpServer | None]:
    """Answer over HTTP meanwhile, where a port is set.

    Raises:
        SettingsError: it cannot be listened on.
    """
    if settings.port is None:
        yield None
        return
    how, limits, thresholds = MonitorSettings.load(), LagSettings.load(), HealthSettings.load()
    monitor = BackgroundMonitor(
        lambda: PipelineMonitor(
            kafka,
            database,
            settings.group,
            settings=how,
            lag_settings=limits,
            health_settings=thresholds,
            only_when_followed=True,
        )
    )
    routes = Routes(
        subject,
        [metrics.registry],
        Access(settings.host, settings.http_token),
        monitor,
        listeners_max=settings.http_listeners_max,
    )
    with HttpServer(routes, settings.host, settings.port) as server:
        log.info("http_listening", host=settings.host, port=server.port)
        yield server
