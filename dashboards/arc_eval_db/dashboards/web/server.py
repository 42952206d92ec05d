"""Serving the dashboard: one process, its own address, a clean end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from prometheus_client import CollectorRegistry

from arc_eval_db.consumers.alerts import AlertRunner, AlertSettings
from arc_eval_db.consumers.canary import Canary, CanaryMetrics
from arc_eval_db.consumers.monitoring import MonitorMetrics, PipelineMonitor
from arc_eval_db.dashboards.api.server import QuietServer, listening, reach, url_of
from arc_eval_db.dashboards.api.tokens import has_usable_token
from arc_eval_db.dashboards.web.access import Access
from arc_eval_db.dashboards.web.api_part import ApiPart
from arc_eval_db.dashboards.web.app import create_dashboard
from arc_eval_db.dashboards.web.dashboard import Dashboard
from arc_eval_db.dashboards.web.database import WebDatabase
from arc_eval_db.dashboards.web.history import LagHistory
from arc_eval_db.dashboards.web.live import LiveBoard
from arc_eval_db.dashboards.web.sessions import Sessions
from arc_eval_db.dashboards.web.settings import DashboardSettings
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import SettingsError
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings

_DRAIN_TIMEOUT_S = 5
_MESSAGE_BYTES_MAX = 1_000_000
# A page has a WebSocket, and some files at its beginning.
_CONNECTIONS_A_PAGE = 4
_HOUR_S = 3600


async def serve(
    settings: DashboardSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    group: str,
    *,
    on_listening: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM. On loopback it starts also while Kafka or the database is away, and says so.

    Args:
        group: the consumer group whose lag is shown.
        on_listening: is told the address.

    Raises:
        SettingsError: the address cannot be listened on, or others could reach it and there is no token.
        RetryableError, FatalError: others could reach it, and the database does not say whether there is a token.
    """
    address = settings.api()
    async with WebDatabase(database, settings) as reading:
        if address.tokens_required and not await reading.read(has_usable_token):
            raise SettingsError(
                f"{reach(address)} and there is no token that would keep them out; "
                "make one first: arc-eval-db api token create --scope admin --name NAME"
            )
        registry = CollectorRegistry()
        async with (
            LiveBoard() as board,
            PipelineMonitor(kafka, database, group, metrics=MonitorMetrics(registry)) as monitor,
            LagHistory(monitor) as history,
            alert_runner(AlertSettings.load(), settings, registry) as alerts,
            _canary(settings, kafka, database, group, registry) as canary,
            ApiPart(address, database) as api,
        ):
            access = Access(address, reading, settings.token_check_s)
            topics = TopicNames(kafka.topic_prefix)
            dashboard = Dashboard(settings, reading, monitor, history, alerts, canary, access, board, topics)
            app = create_dashboard(dashboard, Sessions(settings.session_hours * _HOUR_S), api, registry)
            with listening(address) as listener:
                server = QuietServer(
                    app,
                    on_started=lambda: on_listening(url_of(listener)),
                    ws="wsproto",
                    ws_max_size=_MESSAGE_BYTES_MAX,
                    limit_concurrency=settings.pages_max * _CONNECTIONS_A_PAGE,
                    timeout_graceful_shutdown=_DRAIN_TIMEOUT_S,
                )
                await server.serve(sockets=[listener])


def alert_runner(alerts: AlertSettings, settings: DashboardSettings, registry: CollectorRegistry) -> AlertRunner:
    """What evaluates the rules for the page, and tells receivers unless somebody else does."""
    return AlertRunner(alerts, registry, name="dashboard", receivers=None if settings.send_alerts else ())


@contextlib.asynccontextmanager
async def _canary(
    settings: DashboardSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    group: str,
    registry: CollectorRegistry,
) -> AsyncIterator[Canary | None]:
    if not settings.canary:
        yield None
        return
    async with Canary(kafka, database, group=group, metrics=CanaryMetrics(registry)) as canary:
        yield canary
