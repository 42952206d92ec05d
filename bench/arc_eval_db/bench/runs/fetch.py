"""Fetching alone: aiokafka's `getmany` until everything has come once."""

from __future__ import annotations

import os
from typing import Any

from arc_eval_db.bench.kafka import drain
from arc_eval_db.bench.measured import Figures, Span, freeze_collector, run
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.settings import KafkaSettings


async def fetch(options: dict[str, Any]) -> Figures:
    """Options: `records`, how many there are, and `partitions`, of each topic."""
    span = Span()
    settings = ConsumerSettings.load()
    freeze_collector()
    await drain(
        KafkaSettings.from_environment(os.environ),
        options["partitions"],
        options["records"],
        span,
        fetch_bytes=settings.partition_fetch_bytes_max,
        records_max=settings.batch_records_max,
    )
    return {**span.figures(), "records": options["records"]}


if __name__ == "__main__":
    run(fetch)
