"""FastStream with a batch subscriber, and asyncpg's COPY in the handler."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from pydantic import TypeAdapter

from arc_eval_db.bench.kafka import first_fetch
from arc_eval_db.bench.measured import Figures, Span, freeze_collector, run
from arc_eval_db.bench.peers.rows import COLUMNS, TABLE, row_of
from arc_eval_db.schemas import CompletedEvent
from arc_eval_db.settings import KafkaSettings

# Of 2,000, 5,000, 10,000 and 20,000 records, and 1 and 4 MB, the fastest.
_BATCH_RECORDS_MAX = 10_000
_FETCH_BYTES_MAX = 4_194_304

_EVENTS = TypeAdapter(list[CompletedEvent])


def _one_by_one(values: Sequence[bytes]) -> list[CompletedEvent]:
    return [CompletedEvent.model_validate_json(value) for value in values]


def _in_one_call(values: Sequence[bytes]) -> list[CompletedEvent]:
    return _EVENTS.validate_json(b"[" + b",".join(values) + b"]")


_VALIDATION: dict[str, Callable[[Sequence[bytes]], list[CompletedEvent]]] = {
    "event": _one_by_one,
    "batch": _in_one_call,
}


async def _undecoded(message: Any) -> Any:
    return message.body


async def consume(options: dict[str, Any]) -> Figures:
    """Options: `topic`, `group`, `records`, how many there are, `partitions`, `validation` ("event" or "batch"), and
    `collector`: whether the cyclic garbage collector is left as Python has it.
    """
    span = Span()
    validate = _VALIDATION[options["validation"]]
    connection = await asyncpg.connect(os.environ["ARC_EVAL_DATABASE_URL"])
    servers = KafkaSettings.from_environment(os.environ).client_options()["bootstrap_servers"]
    broker = KafkaBroker(servers, apply_types=False, logger=None)
    done = asyncio.Event()
    count = 0

    subscriber = broker.subscriber(
        options["topic"],
        group_id=options["group"],
        batch=True,
        max_records=_BATCH_RECORDS_MAX,
        max_partition_fetch_bytes=_FETCH_BYTES_MAX,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        decoder=_undecoded,
    )

    async def write(values: list[bytes]) -> None:
        nonlocal count
        rows = [row_of(event) for event in validate(values)]
        await connection.copy_records_to_table(TABLE, records=rows, columns=COLUMNS)
        count += len(rows)
        span.mark()
        if count >= options["records"]:
            done.set()

    subscriber(write)
    if not options["collector"]:
        freeze_collector()
    with first_fetch(span.begin, share=options["partitions"]):
        await broker.start()
        await done.wait()
    await broker.stop()
    await connection.close()
    return span.figures()


if __name__ == "__main__":
    run(consume)
