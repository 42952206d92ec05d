"""A member of a consumer group that starts each partition where the database says, not where Kafka says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from arc_eval_db.consumers.kafka.errors import (
    MissingTopicsError,
    OffsetOutOfRangeError,
    UnreadableRecordError,
    translated_errors,
)
from arc_eval_db.consumers.kafka.log_reader import (
    STOP_TIMEOUT_S,
    LogBounds,
    LogReader,
    read_bounds,
    read_partitions,
    stop,
)
from arc_eval_db.consumers.kafka.raw_records import hand_out_raw_records
from arc_eval_db.consumers.records import LogRecord, PartitionRecords
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition

# New partitions of a topic are noticed within this time (aiokafka's own default is five minutes).
_METADATA_MAX_AGE_MS = 30_000
_COMMIT_TIMEOUT_S = 3.0
# Where the broker answers with the first record, it is asked again so often when none comes.
_MAX_WAIT_MS = 100
_REFETCH_MS = 500


class GroupSource:
    """Joins the group, and hands out records of the partitions that were given a position by `seek`.

    A newly assigned partition is paused until then: aiokafka swallows exceptions in rebalance callbacks, so nothing
    that can fail is done there. After any `KafkaUnavailableError` the source must be closed and a new one made.
    """

    def __init__(self, kafka: KafkaSettings, consumer: ConsumerSettings, topics: Sequence[str]) -> None:
        self._timeout_s = kafka.request_timeout_ms / 1000
        self._kafka = kafka
        self._settings = consumer
        self._topics = list(topics)
        self._positioned: dict[aiokafka.TopicPartition, float] = {}
        """When each partition was given its position, in milliseconds of Unix time."""
        self._held: set[aiokafka.TopicPartition] = set()
        self.has_joined = False
        """Whether the group has given this member its partitions, be it none."""
        self._consumer = aiokafka.AIOKafkaConsumer(
            **kafka.client_options(),
            group_id=consumer.group,
            group_instance_id=consumer.instance_id,
            client_id="arc-eval-db-consumer",
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level="read_committed",
            session_timeout_ms=int(consumer.session_timeout_s * 1000),
            heartbeat_interval_ms=int(consumer.session_timeout_s * 1000 / 10),
            max_partition_fetch_bytes=consumer.partition_fetch_bytes_max,
            fetch_max_wait_ms=consumer.fetch_wait_ms or _MAX_WAIT_MS,
            fetch_min_bytes=consumer.partition_fetch_bytes_max if consumer.fetch_wait_ms else 1,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            partition_assignment_strategy=(aiokafka.coordinator.assignors.roundrobin.RoundRobinPartitionAssignor,),
        )

    async def start(self) -> None:
        """Connect and join the group.

        Raises:
            MissingTopicsError: a topic does not exist.
        """
        with translated_errors("joining the group"):
            await asyncio.wait_for(self._consumer.start(), self._timeout_s + self._settings.session_timeout_s)
        hand_out_raw_records(self._consumer)
        existing = {partition.topic for partition in await self._partitions()}
        if missing := [topic for topic in self._topics if topic not in existing]:
            raise MissingTopicsError(f"topics are missing: {', '.join(missing)}; run: arc-eval-db topics create")
        with translated_errors("joining the group"):
            self._consumer.subscribe(self._topics, listener=_PauseListener(self))

    async def close(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Leave the group, within a deadline."""
        await stop(self._consumer, timeout_s)

    def unpositioned(self) -> list[TopicPartition]:
        """Assigned partitions that wait for `seek` or `hold`."""
        waiting = self._consumer.assignment() - self._positioned.keys() - self._held
        return sorted(_ours(partition) for partition in waiting)

    def held(self) -> list[TopicPartition]:
        """Assigned partitions that are on `hold`."""
        return sorted(_ours(partition) for partition in self._consumer.assignment() & self._held)

    def assigned(self) -> list[TopicPartition]:
        """The partitions that the group has given to this member."""
        return sorted(_ours(partition) for partition in self._consumer.assignment())

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Give partitions their position; those that are no longer assigned are passed over."""
        for ours, offset in offsets.items():
            partition = aiokafka.TopicPartition(ours.topic, ours.partition)
            with contextlib.suppress(aiokafka.errors.IllegalStateError):  # revoked meanwhile
                self._consumer.seek(partition, offset)
                self._consumer.resume(partition)
                self._positioned[partition] = time.time() * 1000
                self._held.discard(partition)

    def hold(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Leave partitions paused until they are given a position, or are assigned anew.

        Args:
            offsets: any that the log holds. Where aiokafka knows none, it asks for one for ever, and reads nothing else
                from that broker meanwhile.
        """
        for ours, offset in offsets.items():
            partition = aiokafka.TopicPartition(ours.topic, ours.partition)
            with contextlib.suppress(aiokafka.errors.IllegalStateError):  # revoked meanwhile
                self._consumer.pause(partition)
                self._consumer.seek(partition, offset)
                self._positioned.pop(partition, None)
                self._held.add(partition)

    def forget_positions(self) -> None:
        """Pause all partitions until they are given a position again."""
        self._positioned.clear()
        self._consumer.pause(*self._consumer.assignment())

    async def poll(self, records_max: int, timeout_s: float) -> dict[TopicPartition, PartitionRecords]:
        """Records of positioned partitions, in the order of their offsets; empty when none came in time.

        Raises:
            OffsetOutOfRangeError: the log does not hold a partition's position: forget positions, and compare them with
                the log's bounds.
        """
        with translated_errors("fetching"):
            try:
                batches = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=records_max)
            except NoOffsetForPartitionError:
                # An assigned partition has no offset in Kafka. It will get its position from the database.
                return {}
            except UnicodeDecodeError as error:
                # aiokafka decodes the names of headers while it hands records out. What it had drained from other
                # partitions is lost with the exception, so this client must not be asked again.
                raise UnreadableRecordError(await self._unreadable_place()) from error
        return {
            (ours := _ours(partition)): PartitionRecords(ours, messages)
            for partition, messages in batches.items()
            if messages and partition in self._positioned
        }

    async def _unreadable_place(self) -> str:
        """Where the record is: the partitions are fetched again, one after the other and record by record."""
        for partition in self._positioned.keys() & self._consumer.assignment():
            self._consumer.seek(partition, await self._consumer.position(partition))
            try:
                while await self._consumer.getmany(partition, timeout_ms=_REFETCH_MS, max_records=1):
                    pass
            except UnicodeDecodeError:
                offset = await self._consumer.position(partition)
                return (
                    f"{_ours(partition)} cannot be read from offset {offset} on: a record there has a header whose "
                    "name is not UTF-8. Nothing after it was written; find out who sends such records"
                )
        return "a record has a header whose name is not UTF-8; it was not found again"

    async def positions(self) -> dict[TopicPartition, int]:
        """The offset after the last record that `poll` gave of each positioned partition, holes behind it included."""
        positions = {}
        with translated_errors("asking for positions"):
            for partition in self._positioned.keys() & self._consumer.assignment():
                positions[_ours(partition)] = await asyncio.wait_for(
                    self._consumer.position(partition), self._timeout_s
                )
        return positions

    def silent_s(self) -> float:
        """How long the broker has not answered for some positioned partition; it answers also where nothing is new.

        A client whose broker is gone, or that stopped fetching, hands out nothing and raises nothing: only this shows.
        """
        heard = [
            max(since, self._consumer.last_poll_timestamp(partition) or 0)
            for partition, since in self._positioned.items()
            if partition in self._consumer.assignment()
        ]
        return max(0.0, time.time() - min(heard) / 1000) if heard else 0.0

    async def idle(self, seconds: float, stopping: asyncio.Event) -> None:
        """Stay in the group without records: a member that does not poll for five minutes is thrown out."""
        self.forget_positions()
        deadline = time.monotonic() + seconds
        while not stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(OffsetOutOfRangeError):  # no position is kept anyway
                await self.poll(1, min(left, self._settings.poll_timeout_s))
            self.forget_positions()

    async def bounds(self, partitions: Sequence[TopicPartition] | None = None) -> dict[TopicPartition, LogBounds]:
        """Where partitions start and end: by default all of the topics, whoever consumes them."""
        if partitions is None:
            partitions = await self._partitions()
        return await read_bounds(self._consumer, partitions, self._timeout_s)

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, LogRecord]:
        """The records that the log holds at these offsets, over a client of its own; see `LogReader.records_at`."""
        if not offsets:
            return {}
        async with LogReader(self._kafka, client_id="arc-eval-db-anchors") as reader:
            return await reader.records_at(offsets)

    async def commit(
        self, offsets: Mapping[TopicPartition, int], notes: Mapping[TopicPartition, str] | None = None
    ) -> bool:
        """Tell Kafka how far the group is, for tools that only look there. Best effort: False when it did not work.

        Args:
            notes: kept by Kafka beside a partition's offset; 4,096 bytes of each at the most.
        """
        notes = notes or {}
        assignment = self._consumer.assignment()
        native = {
            aiokafka.TopicPartition(ours.topic, ours.partition): (offset, notes.get(ours, ""))
            for ours, offset in offsets.items()
        }
        native = {partition: offset for partition, offset in native.items() if partition in assignment}
        if not native:
            return True
        try:
            await asyncio.wait_for(self._consumer.commit(native), _COMMIT_TIMEOUT_S)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def _partitions(self) -> list[TopicPartition]:
        return await read_partitions(self._consumer, self._topics, self._timeout_s)

    def pause_new(self, assigned: Iterable[aiokafka.TopicPartition]) -> None:
        """Called in the rebalance: everything assigned starts paused and without a position."""
        self.has_joined = True
        self._positioned.clear()
        self._held.clear()
        self._consumer.pause(*assigned)


class _PauseListener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, source: GroupSource) -> None:
        self._source = source

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass  # the compare-and-set on the stored offsets keeps a late batch out

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._source.pause_new(assigned)


def _ours(partition: aiokafka.TopicPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)
