"""Reads the log without a consumer group: its bounds, and ranges of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiokafka

from arc_eval_db.consumers.kafka.errors import (
    KafkaRefusedError,
    KafkaUnavailableError,
    OffsetOutOfRangeError,
    translated_errors,
)
from arc_eval_db.consumers.records import LogRecord, log_record
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition

STOP_TIMEOUT_S = 5.0
_POLL_MS = 500

# Of a request's time-out; a fetch that finds nothing is answered at once.
_STALLS_MAX = 3


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What a partition holds: offsets from `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FirstRecord:
    """The first record of a range."""

    offset: int
    record: LogRecord | None
    """None where the Kafka client cannot take it apart; the offset is then where the client stopped."""


class LogReader:
    """A view of the log that moves no group's offsets. Use with `async with`."""

    def __init__(self, settings: KafkaSettings, *, client_id: str = "arc-eval-db-reader") -> None:
        self._timeout_s = settings.request_timeout_ms / 1000
        self._consumer = aiokafka.AIOKafkaConsumer(
            **settings.client_options(),
            client_id=client_id,
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )

    async def __aenter__(self) -> Self:
        try:
            with translated_errors("connecting"):
                await asyncio.wait_for(self._consumer.start(), self._timeout_s)
        except BaseException:
            await stop(self._consumer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._consumer)

    async def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """The partitions of those topics that exist."""
        return await read_partitions(self._consumer, topics, self._timeout_s)

    async def bounds(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, LogBounds]:
        """Where each partition starts and ends at the moment."""
        return await read_bounds(self._consumer, partitions, self._timeout_s)

    async def offsets_at(
        self, partitions: Sequence[TopicPartition], timestamp_ms: int
    ) -> dict[TopicPartition, int | None]:
        """The first offset of each partition whose record is of this moment or later; None where there is none."""
        asked = {_native(partition): timestamp_ms for partition in partitions}
        with translated_errors("asking for offsets by time"):
            async with asyncio.timeout(self._timeout_s):
                await _look_up(self._consumer, asked)
                found = await self._consumer.offsets_for_times(asked)
        return {
            partition: None if (at := found.get(_native(partition))) is None else at.offset for partition in partitions
        }

    async def read(
        self, ranges: Mapping[TopicPartition, OffsetRange], records_max: int | None = None
    ) -> AsyncIterator[list[LogRecord]]:
        """All records of the ranges, in batches; ends by position, so that holes and empty tails end too.

        Args:
            records_max: in one batch; by default as many as one fetch brings.

        Raises:
            OffsetOutOfRangeError: a range begins before what the log still holds, or ends behind a log made anew.
            KafkaUnavailableError: nothing has come for several requests' time.
        """
        left = {_native(partition): offsets for partition, offsets in ranges.items() if offsets.first < offsets.end}
        if not left:
            return
        self._consumer.assign(list(left))
        for partition, offsets in left.items():
            self._consumer.seek(partition, offsets.first)
        moved_at = time.monotonic()
        while left:
            with translated_errors("reading the log"):
                batches = await self._consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=records_max)
            for partition, messages in batches.items():
                end = left[partition].end
                if records := [to_record(message) for message in messages if message.offset < end]:
                    yield records
            for partition in list(left):
                # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes as its work ends.
                with translated_errors("reading the log"):
                    async with asyncio.timeout(self._timeout_s):
                        position = await self._consumer.position(partition)
                if position >= left[partition].end:
                    del left[partition]
                    self._consumer.pause(partition)
                    moved_at = time.monotonic()
            # Nothing above waits where records are there already, and without waiting nobody is cancelled.
            await asyncio.sleep(0)
            if batches:
                moved_at = time.monotonic()  # also after a caller that took its time
            elif time.monotonic() - moved_at > _STALLS_MAX * self._timeout_s:
                await self._explain_stall(left)
                moved_at = time.monotonic()

    async def _explain_stall(self, left: Mapping[aiokafka.TopicPartition, OffsetRange]) -> None:
        """aiokafka says nothing of brokers that are gone, nor of a log that ends before what it is to read."""
        partitions = {_ours(partition): offsets for partition, offsets in left.items()}
        bounds = await self.bounds(list(partitions))
        for partition, offsets in partitions.items():
            if bounds[partition].end < offsets.end:
                ends = f"{partition} ends at {bounds[partition].end} and not at {offsets.end}"
                raise OffsetOutOfRangeError(f"{ends}: another log than was planned")
        raise KafkaUnavailableError(f"Kafka has given nothing of {', '.join(map(str, partitions))} for a while")

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, LogRecord]:
        """The records at these offsets; an offset without a record (deleted, or a transaction's marker) is left out.

        No other record is taken apart, so that one that cannot be does no harm here.

        Raises:
            OffsetOutOfRangeError: the log does not hold an offset, or not any more.
        """
        left = {_native(partition): offset for partition, offset in offsets.items()}
        found = {}
        self._consumer.assign(list(left))
        for partition, offset in left.items():
            self._consumer.seek(partition, offset)
        with translated_errors("reading the log"):
            async with asyncio.timeout(self._timeout_s):
                for partition, offset in left.items():
                    while await self._consumer.position(partition) <= offset:
                        batches = await self._consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
                        for message in batches.get(partition, ()):
                            if message.offset == offset:
                                found[_ours(partition)] = to_record(message)
                    self._consumer.pause(partition)
        return found

    async def first_records(self, ranges: Mapping[TopicPartition, OffsetRange]) -> dict[TopicPartition, FirstRecord]:
        """The first record of each range. A range that holds none, but only holes, is left out.

        Raises:
            OffsetOutOfRangeError: the log does not hold where a range begins, or not any more.
        """
        left = {_native(partition): offsets for partition, offsets in ranges.items() if offsets.first < offsets.end}
        found = {}
        self._consumer.assign(list(left))
        for partition, offsets in left.items():
            self._consumer.seek(partition, offsets.first)
        with translated_errors("reading the log"):
            async with asyncio.timeout(self._timeout_s):
                for partition, offsets in left.items():
                    if (first := await self._first_record(partition, offsets.end)) is not None:
                        found[_ours(partition)] = first
                    self._consumer.pause(partition)
        return found

    async def _first_record(self, partition: aiokafka.TopicPartition, end: int) -> FirstRecord | None:
        while (position := await self._consumer.position(partition)) < end:
            try:
                batches = await self._consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
            except UnicodeDecodeError:  # in the name of a header: see `GroupSource.poll`
                return FirstRecord(position, None)
            for message in batches.get(partition, ()):
                return FirstRecord(message.offset, to_record(message)) if message.offset < end else None
        return None


async def read_partitions(
    consumer: aiokafka.AIOKafkaConsumer, topics: Iterable[str], timeout_s: float
) -> list[TopicPartition]:
    """Ask the brokers for the partitions of those topics that exist, in order."""
    with translated_errors("looking up topics"):
        # What the consumer itself knows of partitions may be old.
        fresh = consumer._client.fetch_all_metadata()  # noqa: SLF001 - its `topics()` asks this, and gives back names only
        async with asyncio.timeout(timeout_s):
            metadata = await fresh
    return sorted(
        TopicPartition(topic, number) for topic in topics for number in metadata.partitions_for_topic(topic) or ()
    )


async def read_bounds(
    consumer: aiokafka.AIOKafkaConsumer, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, LogBounds]:
    """Ask the brokers for the first and next offset of each partition."""
    native = [_native(partition) for partition in partitions]
    with translated_errors("asking for offsets"):
        async with asyncio.timeout(timeout_s):
            await _look_up(consumer, native)
            starts = await consumer.beginning_offsets(native)
            ends = await consumer.end_offsets(native)
        if missing := [key for key in native if key not in starts or key not in ends]:
            raise aiokafka.errors.UnknownTopicOrPartitionError(str(missing))
    return {partition: LogBounds(starts[key], ends[key]) for partition, key in zip(partitions, native, strict=True)}


async def _look_up(consumer: aiokafka.AIOKafkaConsumer, partitions: Iterable[aiokafka.TopicPartition]) -> None:
    """Have the client know who leads these partitions.

    Where it does not, it asks for one topic after the other, and pauses each time for its retry backoff: the first look
    at the lag of three topics took 1.5 s longer.
    """
    client = consumer._client  # noqa: SLF001 - it looks up in time only what is assigned
    await asyncio.gather(*(client.add_topic(topic) for topic in {partition.topic for partition in partitions}))


async def stop(consumer: aiokafka.AIOKafkaConsumer, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Close a consumer within a deadline; aiokafka's own stop can hang (aio-libs/aiokafka#773)."""
    with contextlib.suppress(KafkaUnavailableError, KafkaRefusedError), translated_errors("stopping"):
        await asyncio.wait_for(consumer.stop(), timeout_s)


def to_record(message: Any) -> LogRecord:
    """An aiokafka ConsumerRecord as ours."""
    return log_record(TopicPartition(message.topic, message.partition), message)


def _ours(partition: aiokafka.TopicPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)


def _native(partition: TopicPartition) -> aiokafka.TopicPartition:
    return aiokafka.TopicPartition(partition.topic, partition.partition)
