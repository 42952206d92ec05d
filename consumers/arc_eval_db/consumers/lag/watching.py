"""Looks at a group's lag from the outside, once or again and again: asks the database and Kafka, and judges."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self, TypeVar

from arc_eval_db.consumers.kafka import (
    GroupReader,
    GroupStanding,
    LogBounds,
    LogReader,
    OffsetOutOfRangeError,
)
from arc_eval_db.consumers.kafka.errors import KafkaRefusedError
from arc_eval_db.consumers.lag.aggregates import aggregate_stage
from arc_eval_db.consumers.lag.measuring import PartitionLag, Unread, lag_of, read_unread
from arc_eval_db.consumers.lag.notes import NOTE_AGE_S_MAX, Activity, WorkerNote, decode_note
from arc_eval_db.consumers.lag.rates import Sample, rates, rewound_by
from arc_eval_db.consumers.lag.report import LagReport, PartitionReport, TopicReport
from arc_eval_db.consumers.lag.retention import overtaken_in_s, retention_of, share_used
from arc_eval_db.consumers.lag.settings import LagSettings
from arc_eval_db.consumers.lag.stages import Stage, recent_records, stages_of
from arc_eval_db.consumers.lag.standing import Standing, read_replays, read_samples, read_standing
from arc_eval_db.consumers.lag.states import Facts, judge
from arc_eval_db.consumers.positioning import HaltReason, anchors_in, halt_reason
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition

T = TypeVar("T")

# Retention may delete what is being looked at, but hardly so often in a row.
_ATTEMPTS_MAX = 3

_ANOTHER_LOG = {
    HaltReason.TOPIC_RECREATED: "the topic was made anew; the log holds another record than the one that was read last",
    HaltReason.OFFSET_BEYOND_LOG_END: "the topic was made anew, or cut short; the group stands beyond the log's end",
}


@dataclass(slots=True)
class _FromDatabase:
    """What only the database knows."""

    standing: dict[TopicPartition, Standing]
    samples: dict[TopicPartition, list[Sample]] = field(default_factory=dict)
    replays: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aggregate: Stage = field(default_factory=lambda: Stage(why="the database does not answer"))


class LagWatcher:
    """Looks at one group. Moves nothing and writes nothing. Use with `async with`.

    Where the database does not answer, the offsets are Kafka's copy, and the report says so.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        group: str,
        topics: Sequence[str],
        limits: LagSettings | None = None,
    ) -> None:
        self._kafka = kafka
        self._database = database
        self._group = group
        self._topics = list(topics)
        self._limits = limits or LagSettings.load()
        self._stack = contextlib.AsyncExitStack()
        self._session: Session | None = None
        self._own: dict[TopicPartition, deque[Sample]] = {}
        self._seen: dict[TopicPartition, tuple[int | None, float]] = {}
        """The offset of the latest look, and when a look saw it first."""
        self._first_look_s = 0.0
        self._warnings: list[str] = []

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._log = await stack.enter_async_context(LogReader(self._kafka, client_id="arc-eval-db-lag"))
            self._groups = await stack.enter_async_context(GroupReader(self._kafka, client_id="arc-eval-db-lag-groups"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        await self._stack.aclose()

    async def look(self) -> LagReport:
        """The lag at this moment; topics that do not exist are `missing`.

        Raises:
            KafkaUnavailableError: without Kafka nothing can be said.
            FatalError: the login or the schema does not fit.
        """
        self._warnings = []
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                return await self._look()
            except OffsetOutOfRangeError:
                if attempt == _ATTEMPTS_MAX:
                    raise
        raise AssertionError("the loop ends by itself")

    async def _look(self) -> LagReport:
        partitions = await self._log.partitions(self._topics)
        there = {partition.topic for partition in partitions}
        missing = [topic for topic in self._topics if topic not in there]
        if missing:
            self._warnings.append(
                f"not there, or not to be seen by this login: {', '.join(missing)}; arc-eval-db topics list"
            )
        group = await self._asked("who is in the group", lambda: self._groups.standing(self._group))
        # Before the log's ends, so that the group cannot look to be ahead of the log.
        known = await self._ask_database(partitions)
        from_kafka = known is None
        if known is None:
            committed = group.committed if group else {}
            known = _FromDatabase({each: Standing(stored.next_offset) for each, stored in committed.items()})
        lags = await lag_of(
            self._log, partitions, {partition: each.next_offset for partition, each in known.standing.items()}
        )
        now, now_s = datetime.now(UTC), time.monotonic()
        unread = await read_unread(self._log, lags)
        halted = await self._halted(lags, known.standing)
        settings = await self._asked("the topics' retention", lambda: self._groups.topic_settings(self._topics))
        recent = await recent_records(self._log, lags, now)
        notes = _fresh_notes(group, now)
        self._remember(lags, known, now_s, from_kafka=from_kafka)
        reports = [
            self._report(lag, unread[lag.partition], known, halted.get(lag.partition), group, notes, settings, now)
            for lag in lags
        ]
        topics = [
            TopicReport(
                topic,
                [each for each in reports if each.lag.partition.topic == topic],
                stages_of(
                    [lag.partition for lag in lags if lag.partition.topic == topic],
                    [record for record in recent if record.topic == topic],
                    notes,
                    known.standing,
                    known.aggregate,
                ),
            )
            for topic in dict.fromkeys(partition.topic for partition in partitions)
        ]
        members = group.members if group else None
        return LagReport(self._group, now, topics, members, tuple(self._warnings), from_kafka, missing)

    async def _asked(self, what: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What the login may not see is left out, and said."""
        try:
            return await ask()
        except KafkaRefusedError as error:
            self._warnings.append(f"not known: {what}. {error}")
            return None

    async def _ask_database(self, partitions: Sequence[TopicPartition]) -> _FromDatabase | None:
        try:
            if self._session is None or self._session.is_closed:
                self._session = await Session.connect(self._database, application_name="arc-eval-db lag")
            return _FromDatabase(
                await read_standing(self._session, self._group, partitions),
                await read_samples(self._session, self._group, self._topics, self._limits.history_s),
                await read_replays(self._session, self._topics),
                await aggregate_stage(self._session),
            )
        except DatabaseUnavailableError as error:
            if self._session is not None:
                self._session.terminate()
                self._session = None
            self._warnings.append(f"the offsets are Kafka's copy, which is some seconds old: {error}")
            return None

    async def _halted(
        self, lags: Sequence[PartitionLag], standing: Mapping[TopicPartition, Standing]
    ) -> dict[TopicPartition, HaltReason]:
        """Partitions whose log is not the one that the group has read."""
        bounds = {lag.partition: LogBounds(lag.log_start, lag.log_end) for lag in lags}
        positions = {partition: each.position for partition, each in standing.items() if partition in bounds}
        wanted = anchors_in(positions, bounds)
        found = await self._log.records_at(wanted) if wanted else {}
        return {
            partition: reason
            for partition, position in positions.items()
            if (reason := halt_reason(position, bounds[partition], found.get(partition)))
        }

    def _remember(self, lags: Sequence[PartitionLag], known: _FromDatabase, now_s: float, *, from_kafka: bool) -> None:
        """Keep this look as a sample. The workers' samples count from before the first look only: two clocks mixed.

        Kafka's copy is of some seconds before: beside the database's offsets it would look like a step back.
        """
        self._first_look_s = self._first_look_s or now_s
        for lag in lags:
            seen = self._seen.get(lag.partition)
            if seen is None or seen[0] != lag.next_offset:
                self._seen[lag.partition] = (lag.next_offset, now_s)
            if lag.next_offset is None:
                continue
            own = self._own.setdefault(lag.partition, deque())
            if not from_kafka:
                own.append(Sample(now_s, lag.next_offset, lag.log_start, lag.log_end))
            while own and own[0].at_s < now_s - self._limits.history_s:
                own.popleft()
            before = [each for each in known.samples.get(lag.partition, ()) if each.at_s < self._first_look_s]
            known.samples[lag.partition] = [*before, *own]

    def _report(
        self,
        lag: PartitionLag,
        unread: Unread,
        known: _FromDatabase,
        halt: HaltReason | None,
        group: GroupStanding | None,
        notes: Mapping[TopicPartition, WorkerNote],
        settings: Mapping[str, Mapping[str, str]] | None,
        now: datetime,
    ) -> PartitionReport:
        partition = lag.partition
        samples = known.samples.get(partition, [])
        standing = known.standing.get(partition)
        retention = retention_of((settings or {}).get(partition.topic))
        lag_s = unread.lag_s(now)
        moving = rates(samples)
        share = share_used(retention, lag, unread.messages, lag_s)
        note = notes.get(partition)
        facts = Facts(
            has_begun=standing is not None,
            unread_messages=unread.messages,
            lost_messages=lag.lost_messages,
            lag_s=lag_s,
            unmoved_s=self._unmoved_s(partition, standing),
            is_owned=None if group is None or group.owned is None else partition in group.owned,
            is_paused=note is not None and note.activity is Activity.PAUSED,
            another_log=_ANOTHER_LOG[halt] if halt else None,
            rewound_by=rewound_by(samples),
            rates=moving,
            retention_share=share,
            overtaken_in_s=overtaken_in_s(retention, lag_s, moving),
            replays=known.replays.get(partition.topic, ()),
        )
        verdict = judge(facts, self._limits)
        return PartitionReport(lag, unread.messages, lag_s, unread.event_age_s(now), moving, share, verdict)

    def _unmoved_s(self, partition: TopicPartition, standing: Standing | None) -> float:
        """For how long the group has stored no other offset: as the database knows, or else as the looks have seen."""
        if standing is not None and standing.unmoved_s is not None:
            return standing.unmoved_s
        _, since_s = self._seen[partition]
        return time.monotonic() - since_s


def _fresh_notes(group: GroupStanding | None, now: datetime) -> dict[TopicPartition, WorkerNote]:
    """What workers that have partitions said lately. A worker that is gone says nothing, whatever it left."""
    if group is None:
        return {}
    return {
        partition: note
        for partition, committed in group.committed.items()
        if (group.owned is None or partition in group.owned)
        and (note := decode_note(committed.note)) is not None
        and abs(now.timestamp() - note.at_s) <= NOTE_AGE_S_MAX
    }
