"""Reads the records and events of a plan, and ends."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.plan import ReplayPlan, Source, make_plan
from arc_eval_db.replay.ranges import RangeSpec
from arc_eval_db.replay.record_format import from_line
from arc_eval_db.schemas.events import Event
from arc_eval_db.schemas.refusals import EventRefusedError
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings

CLIENT_ID = "arc-eval-db-replay"
"""By which a broker's log and quotas tell replays from the living."""

_LINES_AT_A_TIME = 500
_BYTES_AT_A_TIME = 4 * 2**20


class RecordFileError(ArcEvalError):
    """A file of records that cannot be read or written."""


class ReplayedEvent(NamedTuple):
    """A record of the log and what it is today: an event, or why it is none."""

    record: LogRecord
    event: Event | None
    refusal: EventRefusedError | None


def open_log(settings: KafkaSettings) -> LogReader:
    """A view of the log for replays: it joins no group and moves no offsets. Use with `async with`."""
    return LogReader(settings, client_id=CLIENT_ID)


async def read_all(settings: KafkaSettings, topics: Sequence[str]) -> AsyncIterator[list[LogRecord]]:
    """Every record that the topics hold when the reading begins, in batches of one partition each.

    Raises:
        PlanError: a topic does not exist.
        KafkaUnavailableError: the brokers do not answer.
    """
    async with open_log(settings) as reader:
        plan = await make_plan(reader, [Source(topic, None, RangeSpec()) for topic in topics])
        async for records in reader.read(plan.ranges()):
            yield records


async def read_events(
    settings: KafkaSettings, plan: ReplayPlan, chosen: EventFilter | None = None
) -> AsyncIterator[ReplayedEvent]:
    """The events of a plan, as today's code reads them, each partition's in its order.

    >>> async def example(settings: KafkaSettings) -> None:
    ...     async with open_log(settings) as reader:
    ...         plan = await make_plan(reader, [Source("arc-eval.failures", None, parse_range("-100", now()))])
    ...     async for found in read_events(settings, plan, EventFilter(where="data.kind == 'time_out'")):
    ...         print(found.record.offset, found.event)

    Raises:
        OffsetOutOfRangeError: retention has taken what was planned.
        KafkaUnavailableError: the brokers do not answer.
    """
    handler = ExecutionEventHandler(TopicNames(settings.topic_prefix))
    chosen = chosen or EventFilter()
    async with open_log(settings) as reader:
        async for records in reader.read(plan.ranges()):
            for record in chosen.select(records):
                try:
                    event, _ = handler.parse(record, datetime.now(UTC))
                    yield ReplayedEvent(record, event, None)
                except EventRefusedError as refusal:
                    yield ReplayedEvent(record, None, refusal)


def read_file(path: Path) -> Iterator[list[LogRecord]]:
    """The records of a file that `replay --to file` wrote, in batches; `.gz` is unpacked.

    Raises:
        RecordFileError: the file cannot be read.
        RecordFormatError: a line is no record.
    """
    try:
        with open_records(path, "rb") as file:
            batch: list[LogRecord] = []
            bytes_held = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    batch.append(from_line(line, number))
                    bytes_held += len(line)
                if len(batch) == _LINES_AT_A_TIME or bytes_held >= _BYTES_AT_A_TIME:
                    yield batch
                    batch, bytes_held = [], 0
            if batch:
                yield batch
    except (OSError, EOFError) as error:
        raise RecordFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def open_records(path: Path, mode: str) -> IO[bytes]:
    """A file of records, packed if its name ends with `.gz`."""
    return gzip.open(path, mode) if ".gz" in path.suffixes else path.open(mode)  # type: ignore[return-value]  # bytes
