"""A monitor's addresses in a web application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from arc_eval_db.consumers.lag import LagReport
from arc_eval_db.consumers.monitoring import MonitorSettings, PipelineMonitor
from arc_eval_db.dashboards.monitoring import router
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.health import quick
from support.http import NO_DATABASE, NO_KAFKA

pytestmark = [pytest.mark.database, pytest.mark.kafka]


def app_of(monitor: PipelineMonitor, **arguments: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(router(monitor, **arguments))
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
async def monitor(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> AsyncIterator[PipelineMonitor]:
    """One that looks once."""
    settings = MonitorSettings.load(lag_interval_s=600, health_interval_s=600)
    async with PipelineMonitor(kafka_settings, database, group, settings=settings, health_settings=quick()) as monitor:
        yield monitor


@pytest.fixture
async def blind() -> AsyncIterator[PipelineMonitor]:
    """One that sees nothing, and lets one follow."""
    settings = MonitorSettings.load(lag_interval_s=600, health_interval_s=600, listeners_max=1)
    async with PipelineMonitor(NO_KAFKA, NO_DATABASE, "g", settings=settings, health_settings=quick()) as monitor:
        yield monitor


async def test_all_is_there(monitor: PipelineMonitor, group: str) -> None:
    async with client_of(app_of(monitor)) as client:
        lag = await client.get("/api/lag")
        assert isinstance(monitor.lag, LagReport)
        assert (lag.status_code, lag.json()["group"], len(lag.json()["partitions"])) == (200, group, 6)
        health = await client.get("/api/health")
        assert monitor.health is not None
        assert (health.status_code, health.json()["state"]) == (200, monitor.health.state)
        assert (await client.get("/healthz")).json() == {"status": "ok", "overdue_s": 0.0}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        metrics = await client.get("/metrics")
        assert f'arc_eval_pipeline_looked_timestamp_seconds{{group="{group}"}}' in metrics.text
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert metrics.headers["x-content-type-options"] == "nosniff"


async def test_what_is_away_is_no_reason_to_restart(blind: PipelineMonitor) -> None:
    async with client_of(app_of(blind, registries=[CollectorRegistry()])) as client:
        lag = await client.get("/api/lag")
        assert (lag.status_code, lag.headers["content-type"]) == (503, "application/problem+json")
        await client.get("/api/health")
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert (await client.get("/metrics")).text == ""


async def test_a_monitor_that_does_not_look_is_unwell() -> None:
    settings = MonitorSettings.load(lag_interval_s=0.1, lag_timeout_s=0.1)
    monitor = PipelineMonitor(NO_KAFKA, NO_DATABASE, "g", settings=settings)
    monitor._wanted.set()
    monitor._lag._made_at -= 60
    async with client_of(app_of(monitor, unready=lambda: "it says so")) as client:
        unwell = await client.get("/healthz")
        assert (unwell.status_code, unwell.json()["status"]) == (503, "failing")
        assert (await client.get("/readyz")).json()["reason"] == "it says so"
    async with client_of(app_of(monitor)) as client:
        assert (await client.get("/readyz")).json()["reason"] == "the lag has not been looked at yet"


async def test_a_stream_tells_of_looks_and_ends_with_the_monitor(blind: PipelineMonitor) -> None:
    app = app_of(blind)
    sent: list[bytes] = []
    gone = asyncio.Event()
    scope = {"type": "http", "method": "GET", "path": "/api/stream", "headers": [], "query_string": b""}
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if "status" in message:
            statuses.append(message["status"])

    def events() -> dict[str, Any]:
        found = {}
        for part in sent:
            if part.startswith(b"event: "):
                name, data, *_ = part.decode().split("\n")
                found[name[7:]] = json.loads(data[6:])
        return found

    listening = asyncio.create_task(app(scope, receive, send))
    await eventually(lambda: set(events()) == {"lag", "health"}, "both looks are told")
    assert events()["lag"]["error"].startswith("Kafka did not answer")
    assert events()["health"]["report"]["state"] == "critical"
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert statuses == [200, 503], "so many may listen"
    gone.set()
    await asyncio.wait_for(listening, 10)
    gone.clear()
    again = asyncio.create_task(app(scope, receive, send))
    await eventually(lambda: statuses == [200, 503, 200], "its place is free again")
    await blind.__aexit__()
    await asyncio.wait_for(again, 10)
    await blind.__aenter__()
