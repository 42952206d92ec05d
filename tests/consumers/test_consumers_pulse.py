"""What a worker says of itself while its servers are there, away, or about to be left."""

from __future__ import annotations

import asyncio

import pytest

from arc_eval_db.consumers import Worker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.http import NO_DATABASE, NO_KAFKA
from support.lagging import consumer_settings

pytestmark = [pytest.mark.database, pytest.mark.kafka]


async def test_a_worker_is_ready_until_it_is_told_to_stop(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    worker = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0))
    assert worker.pulse.beat().unready == "it is no member of its group yet"
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.pulse.beat().unready is None, "it is ready")
    await eventually(lambda: worker.pulse.beat().doing == "reading", "it reads")
    assert worker.pulse.beat().overdue_s == 0
    worker.stop()
    assert worker.pulse.beat().unready == "it was told to stop"
    await asyncio.wait_for(running, 30)


async def test_a_worker_without_a_database_moves_and_is_not_ready(kafka_settings: KafkaSettings, group: str) -> None:
    settings = consumer_settings(group, lag_sample_interval_s=0, retry_backoff_s_max=60)
    worker = Worker(kafka_settings, NO_DATABASE, settings)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.pulse.beat().is_paused, "it waits")
    beat = worker.pulse.beat()
    assert (beat.doing, beat.overdue_s) == ("waiting for the database", 0)
    assert beat.unready is not None
    worker.stop()
    await asyncio.wait_for(running, 30)


async def test_a_worker_without_kafka_moves_and_is_not_ready(database: DatabaseSettings, group: str) -> None:
    worker = Worker(NO_KAFKA, database, consumer_settings(group, lag_sample_interval_s=0))
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.pulse.beat().is_paused, "it waits")
    beat = worker.pulse.beat()
    assert (beat.doing, beat.overdue_s) == ("waiting to try again", 0)
    assert beat.unready == "it is no member of its group yet"
    worker.stop()
    await asyncio.wait_for(running, 30)
