"""Validation alone: bytes to rows, as the worker does it, in batches of the worker's size."""

from __future__ import annotations

import gc
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from arc_eval_db.bench.measured import Figures, Span, freeze_collector, run
from arc_eval_db.bench.wire import records
from arc_eval_db.bench.workloads import Workload
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.schemas.topics import TopicNames

# What a fetch brings of one partition, about.
_RUN_RECORDS = 1_000

Batch = list[list[LogRecord]]
"""A run of records of some partitions."""


async def validate(options: dict[str, Any]) -> Figures:
    """Options: `workload`, and `collector`: whether the cyclic garbage collector is left as Python has it."""
    names = TopicNames()
    log = _log(Workload.from_options(options["workload"]), names)
    batches = list(_batches(log, ConsumerSettings.load().batch_records_max))
    handle = _handle(ExecutionEventHandler(names))
    span = Span()
    freeze_collector()
    if options["collector"]:
        gc.enable()
    span.begin()
    for batch in batches:
        assert not handle(batch).dead_letters
    span.mark()
    return {**span.figures(), "records": sum(len(of_one) for batch in batches for of_one in batch)}


def _handle(handler: ExecutionEventHandler) -> Callable[[Batch], HandledBatch]:
    try:
        from arc_eval_db.consumers.records import PartitionRecords  # noqa: PLC0415 - see below
    except ImportError:  # an older revision, which is compared with this one
        return lambda batch: handler.handle(itertools.chain.from_iterable(batch))

    def handle(batch: Batch) -> HandledBatch:
        handled = HandledBatch()
        for of_one in batch:
            handler.add(handled, PartitionRecords(of_one[0].topic_partition, of_one))
        return handled

    return handle


def _log(workload: Workload, names: TopicNames) -> list[list[LogRecord]]:
    """The records of each partition, as they would be fetched."""
    partitions: dict[tuple[str, int], list[LogRecord]] = defaultdict(list)
    for topic, partition, key, value, headers in records(workload):
        place = partitions[topic, partition]
        name = f"{names.prefix}.{topic}"
        place.append(LogRecord(name, partition, len(place), 1_795_392_000_000, key, value, headers))
    return list(partitions.values())


def _batches(log: list[list[LogRecord]], size: int) -> Iterator[Batch]:
    """All records, a run of each partition in turn."""
    runs = ([of_one[start : start + _RUN_RECORDS] for start in range(0, len(of_one), _RUN_RECORDS)] for of_one in log)
    batch: Batch = []
    for run_ in filter(None, itertools.chain.from_iterable(itertools.zip_longest(*runs))):
        batch.append(run_)
        if sum(map(len, batch)) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    run(validate)
