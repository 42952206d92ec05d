"""Rows for the dashboard's pages: the recorded runs, and whatever a test makes up, through the real writer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.producers import EmitterSettings, EventEmitter, MemoryTransport, ProducerSettings
from arc_eval_db.schemas.events import Event
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import BatchWriter, LoggedEvent
from support.databases import connect, temporary_database
from support.recorded_runs import EVENTS, MadeUpClock, recorded_runs, replay_through_sdk

SIMULATION = "multi-swe-bench-java"
TOPIC = "arc-eval.executions"


@cache
def recorded_events() -> tuple[Event, ...]:
    """What the SDK makes of the recorded runs; they end within the hour to come. Skips where there are none."""
    runs = recorded_runs()
    clock, transport = MadeUpClock(), MemoryTransport()
    settings = ProducerSettings(
        EmitterSettings(transport="memory", queue_records_max=EVENTS), KafkaSettings(), "/sandboxes/recorded", None
    )
    emitter = EventEmitter(settings=settings, transport=transport, clock=clock.clock())
    replay_through_sdk(runs, emitter, clock, SIMULATION)
    emitter.close(timeout=60)
    return tuple(transport.events())


async def write_events(session: Session, events: Iterable[Event]) -> None:
    """Write them as a worker would, each at an offset of its own."""
    logged = [LoggedEvent(event, TOPIC, 0, offset) for offset, event in enumerate(events)]
    async with session.transaction():
        report = await BatchWriter().write(session, logged)
    assert report.inserted == len(logged)


async def write_contents(session: Session, *contents: dict[str, Any]) -> None:
    """Write events that were made by hand."""
    await write_events(session, (parse_event(orjson.dumps(content)) for content in contents))


@asynccontextmanager
async def database_of(server: DatabaseSettings, template: DatabaseSettings) -> AsyncIterator[DatabaseSettings]:
    """A migrated database for several tests that only read."""
    name = template.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(server, template=name) as settings:
        yield settings


@asynccontextmanager
async def recorded_database(server: DatabaseSettings, template: DatabaseSettings) -> AsyncIterator[DatabaseSettings]:
    """A database with the recorded runs."""
    events = await asyncio.to_thread(recorded_events)
    async with database_of(server, template) as settings:
        async with await connect(settings) as session:
            await write_events(session, events)
        yield settings


def around_now(*, hours: float = 24, **narrowed: Any) -> Selection:
    """Everything from so many hours ago until two hours from now."""
    now = datetime.now(UTC)
    window = Window.of(now - timedelta(hours=hours), now + timedelta(hours=2))
    return Selection(window, **narrowed)
