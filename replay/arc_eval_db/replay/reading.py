"""Reads what the log holds at the moment, and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange


async def read_all(settings: KafkaSettings, topics: Sequence[str]) -> AsyncIterator[list[LogRecord]]:
    """Every record that the topics hold when the reading begins, in batches of one partition each.

    Raises:
        KafkaUnavailableError: the brokers do not answer.
    """
    async with LogReader(settings, client_id="arc-eval-db-replay") as reader:
        bounds = await reader.bounds(await reader.partitions(topics))
        ranges = {partition: OffsetRange(held.start, held.end) for partition, held in bounds.items()}
        async for records in reader.read(ranges):
            yield records
