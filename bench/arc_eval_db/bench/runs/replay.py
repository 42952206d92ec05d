"""A replay of everything into the database, as `arc-eval-db replay --to database` does it."""

from __future__ import annotations

import os
from typing import Any

from arc_eval_db.bench.measured import Figures, Span, run
from arc_eval_db.consumers.garbage import CollectorBetweenBatches
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.replay import (
    RangeSpec,
    ReplayOptions,
    ReplayProgress,
    Source,
    make_plan,
    open_log,
    replay_into_database,
)
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings


async def replay(_options: dict[str, Any]) -> Figures:
    """Options: none."""
    configure_logging("warning")
    kafka, database = KafkaSettings.from_environment(os.environ), DatabaseSettings.load()
    async with open_log(kafka) as reader:
        names = TopicNames(kafka.topic_prefix).all
        plan = await make_plan(reader, [Source(name, None, RangeSpec()) for name in names])
    span = Span()
    with CollectorBetweenBatches() as collector:

        def on_progress(_: ReplayProgress) -> None:
            collector.between_batches()
            span.mark()

        span.begin()
        result = await replay_into_database(
            kafka, database, plan, ReplayOptions(by="arc-eval-db bench", on_progress=on_progress)
        )
    return {**span.figures(), "records": result.report.records}


if __name__ == "__main__":
    run(replay)
