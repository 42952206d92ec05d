"""The loop that most people write first: one event, one INSERT, and the offsets committed now and then."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiokafka
import asyncpg

from arc_eval_db.bench.measured import Figures, Span, run
from arc_eval_db.bench.peers.rows import COLUMNS, TABLE, row_of
from arc_eval_db.schemas import CompletedEvent
from arc_eval_db.settings import KafkaSettings

_COMMIT_EVERY = 1_000
_JOIN_POLL_S = 0.01
_STOP_TIMEOUT_S = 5.0

_PLACES = ", ".join(f"${number}" for number, _ in enumerate(COLUMNS, start=1))
_INSERT = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608 - names from COLUMNS


async def consume(options: dict[str, Any]) -> Figures:
    """Options: `topic`, `group`, and `records`, how many there are."""
    span = Span()
    connection = await asyncpg.connect(os.environ["ARC_EVAL_DATABASE_URL"])
    consumer = aiokafka.AIOKafkaConsumer(
        options["topic"],
        **KafkaSettings.from_environment(os.environ).client_options(),
        group_id=options["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    while not consumer.assignment():  # noqa: ASYNC110 - aiokafka tells nobody
        await asyncio.sleep(_JOIN_POLL_S)
    span.begin()
    count = 0
    async for message in consumer:
        event = CompletedEvent.model_validate_json(message.value)
        await connection.execute(_INSERT, *row_of(event))
        count += 1
        if count % _COMMIT_EVERY == 0:
            await consumer.commit()
        if count == options["records"]:
            break
    await consumer.commit()
    span.mark()
    await asyncio.wait_for(consumer.stop(), _STOP_TIMEOUT_S)
    await connection.close()
    return span.figures()


if __name__ == "__main__":
    run(consume)
