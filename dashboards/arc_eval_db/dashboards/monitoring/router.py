"""The same addresses as a worker's, from a monitor that runs on the application's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from arc_eval_db.consumers.monitoring import Look, PipelineMonitor, TooManyListenersError, Updates
from arc_eval_db.consumers.monitoring.answers import (
    EVENT_STREAM,
    HEADERS,
    HEARTBEAT,
    STREAM_BEGIN,
    Answer,
    busy,
    health_answer,
    json_answer,
    lag_answer,
    metrics_answer,
    unseen,
    update_event,
)

# A look goes on without whoever asked; the next one who asks has its result.
_LOOK_WAIT_S = 15.0
_HEARTBEAT_INTERVAL_S = 10.0
# For how much longer than it may the monitor may not have looked.
_SILENCE_LIMIT_S = 30.0


def router(
    monitor: PipelineMonitor,
    registries: Sequence[CollectorRegistry] | None = None,
    *,
    unready: Callable[[], str | None] = lambda: None,
) -> APIRouter:
    """/healthz, /readyz, /metrics, /api/lag, /api/health and /api/stream.

    Who may ask is for the application: the first three reveal no secret, and are for probes and Prometheus. None has a
    time-out of its own but for looks; a stream lasts until its listener or the monitor is gone.

    Args:
        monitor: of the same event loop, entered by the application.
        registries: what /metrics shows; by default the monitor's.
        unready: why the application is not ready besides; None where it is.
    """
    shown = [monitor.metrics.registry] if registries is None else list(registries)
    routes = APIRouter(tags=["monitoring"])

    @routes.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> Response:
        """503 where the monitor has stopped looking. That a server is away is no reason to restart this one."""
        return _response(_health(monitor))

    @routes.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def readyz() -> Response:
        """200 once both looks have been tried."""
        return _response(_readiness(monitor, unready()))

    @routes.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    async def metrics(request: Request) -> Response:
        return _response(metrics_answer(shown, request.headers.get("accept", "")))

    @routes.api_route("/api/lag", methods=["GET", "HEAD"], include_in_schema=False)
    async def lag() -> Response:
        return _response(await _looked("lag", monitor.fresh_lag(), lag_answer))

    @routes.api_route("/api/health", methods=["GET", "HEAD"], include_in_schema=False)
    async def health() -> Response:
        return _response(await _looked("health", monitor.fresh_health(), health_answer))

    @routes.get("/api/stream", include_in_schema=False)
    async def stream() -> Response:
        return _Stream(monitor)

    return routes


def _health(monitor: PipelineMonitor) -> Answer:
    overdue_s = monitor.overdue_s
    if overdue_s <= _SILENCE_LIMIT_S:
        return json_answer({"status": "ok", "overdue_s": round(overdue_s, 3)})
    reason = f"the monitor should have looked {overdue_s:.0f} s ago"
    return json_answer({"status": "failing", "reason": reason, "next_step": "see its log; restart it"}, 503)


def _readiness(monitor: PipelineMonitor, why: str | None) -> Answer:
    for name, look in (("lag", monitor.lag_look), ("health", monitor.health_look)):
        if why is None and look.report is None and look.error is None:
            why = f"the {name} has not been looked at yet"
    if why is None:
        return json_answer({"status": "ready"})
    return json_answer({"status": "unready", "reason": why}, 503)


async def _looked(
    what: str, looking: Coroutine[Any, Any, Look[Any]], as_answer: Callable[[Look[Any]], Answer]
) -> Answer:
    try:
        async with asyncio.timeout(_LOOK_WAIT_S):
            return as_answer(await looking)
    except TimeoutError:
        return unseen(what, f"the look has not ended within {_LOOK_WAIT_S:g} s; Kafka or the database is slow")


def _response(answer: Answer) -> Response:
    headers = {**HEADERS, **answer.headers, "Content-Type": answer.media_type}
    return Response(answer.body, answer.status, headers)


class _Stream(Response):
    """Follows the monitor for as long as it is sent, and no longer, also where it never begins."""

    def __init__(self, monitor: PipelineMonitor) -> None:
        super().__init__()
        self._monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._monitor.follow() as updates:
                parts = StreamingResponse(_parts(updates), headers={**HEADERS, "Content-Type": EVENT_STREAM})
                await parts(scope, receive, send)
        except TooManyListenersError as error:
            await _response(busy(str(error), "close one"))(scope, receive, send)


async def _parts(updates: Updates) -> AsyncIterator[bytes]:
    yield STREAM_BEGIN
    while True:
        try:
            update = await updates.next(_HEARTBEAT_INTERVAL_S)
        except StopAsyncIteration:
            return
        yield HEARTBEAT if update is None else update_event(update)
