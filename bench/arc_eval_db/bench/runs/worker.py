"""The worker as `arc-eval-db consume` runs it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings


@contextlib.contextmanager
def worker_as_consumed(group: str, *, until_caught_up: bool) -> Iterator[Worker]:
    """A worker with settings from the environment, and the garbage collector as the command sets it."""
    configure_logging("warning")
    kafka, database = KafkaSettings.from_environment(os.environ), DatabaseSettings.load()
    settings = ConsumerSettings.load(group=group)
    try:
        from arc_eval_db.consumers.garbage import CollectorBetweenBatches  # noqa: PLC0415 - see below
    except ImportError:  # an older revision, which is compared with this one
        yield Worker(kafka, database, settings, until_caught_up=until_caught_up)
        return
    with CollectorBetweenBatches() as collector:
        yield Worker(
            kafka,
            database,
            settings,
            until_caught_up=until_caught_up,
            between_batches=collector.between_batches,
        )
