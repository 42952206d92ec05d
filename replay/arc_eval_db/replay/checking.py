"""A plan against the tables: window by window, or by way of shadow tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import structlog

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.differences import Difference, DifferenceKind
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.plan import ReplayPlan
from arc_eval_db.replay.reading import open_log
from arc_eval_db.replay.runner import ReplayBatch, ReplayProgress, batches_of_log, run_replay
from arc_eval_db.replay.sessions import APPLICATION_NAME, LAST_WORD, RenewedSession, patient
from arc_eval_db.replay.shadow import ShadowTables
from arc_eval_db.replay.shadow_diff import ShadowDiff
from arc_eval_db.replay.verify import LogVerifier, WindowReport
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, OffsetStore, TopicPartition

WINDOW_OFFSETS = 10_000
"""Of one window: so many are read, copied and compared within a second."""

WINDOW_BYTES = 32 * 2**20
"""Of one window's records: it ends earlier where they are large."""

DIFFERING_WINDOWS_MAX = 1_000
"""So many windows that differ are reported one by one; the others are counted."""

DIFFERENCES_MAX = 10_000
"""So many differences are named in all the windows together; a report of as many is 2 MB of JSON."""

# A comparison reads days of a table.
_STATEMENT_S = 600.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.replay")


class NothingConsumedError(ArcEvalError):
    """The group whose work was to be verified has never consumed."""


@dataclass(slots=True)
class VerifyReport:
    """What came of comparing a plan's windows with the tables."""

    windows: int = 0
    records: int = 0
    rows: int = 0
    """What today's code makes of them."""
    duplicates: int = 0
    set_aside: int = 0
    dead_lettered: Counter[str] = field(default_factory=Counter)
    not_consumed: int = 0
    """Offsets that the group has not read yet, which were left out."""
    counts: Counter[DifferenceKind] = field(default_factory=Counter)
    """All differences."""
    windows_differing: int = 0
    differing: list[WindowReport] = field(default_factory=list)
    """The first windows that do not agree, with the differences that are named."""
    _room: int = DIFFERENCES_MAX

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.counts

    @property
    def differences(self) -> list[Difference]:
        """Those that are named."""
        return [difference for window in self.differing for difference in window.differences]

    def add(self, window: WindowReport) -> None:
        """Add what came of a window."""
        self.windows += 1
        self.records += window.records
        self.rows += sum(tally.made for tally in window.tables.values())
        self.duplicates += window.duplicates
        self.set_aside += window.set_aside
        self.dead_lettered += window.dead_lettered
        self.counts += window.counts
        if window.agrees:
            return
        self.windows_differing += 1
        if len(self.differing) < DIFFERING_WINDOWS_MAX:
            del window.differences[self._room :]
            self._room -= len(window.differences)
            self.differing.append(window)


async def verify_log(
    kafka: KafkaSettings,
    database: DatabaseSettings,
    plan: ReplayPlan,
    *,
    group: str,
    window_offsets: int = WINDOW_OFFSETS,
    on_progress: Callable[[ReplayProgress], None] = lambda _: None,
) -> VerifyReport:
    """Compare a plan's records with the tables, as far as a group has read them; changes nothing.

    Args:
        group: what it has not read yet is left out, and counted.

    Raises:
        RetryableError: Kafka or the database did not answer.
        NothingConsumedError: the group has never consumed any of it.
        FatalError: the schema does not fit, or the login may not read it or make temporary tables.
    """
    verifier = LogVerifier(TopicNames(kafka.topic_prefix))
    report = VerifyReport()
    progress = ReplayProgress(plan.records_max)
    async with open_log(kafka) as reader, await _connect(database) as session:
        consumed = await OffsetStore(group).read(session, list(plan.ranges()))
        if plan.partitions and not consumed:
            raise NothingConsumedError(
                f"the group {group} has consumed none of this: there is nothing to compare; name another with --group"
            )
        for partition, offsets in plan.ranges().items():
            end = min(offsets.end, max(consumed.get(partition, 0), offsets.first))
            report.not_consumed += offsets.end - end
            read = OffsetRange(offsets.first, end)
            async for window, records in read_windows(reader, partition, read, window_offsets):
                report.add(await verifier.window(session, records, partition, window))
                progress.read += window.end - window.first
                on_progress(progress)
    return report


async def read_windows(
    reader: LogReader,
    partition: TopicPartition,
    offsets: OffsetRange,
    size: int = WINDOW_OFFSETS,
    bytes_max: int = WINDOW_BYTES,
) -> AsyncIterator[tuple[OffsetRange, list[LogRecord]]]:
    """The range in parts, and the records of each.

    A part ends where a multiple of `size` does, so that they are the same for every range; but with the record before
    its records would be more than `bytes_max`.
    """
    first, held, bytes_held = offsets.first, list[LogRecord](), 0
    async for found in reader.read({partition: offsets}):
        for record in found:
            while record.offset >= (end := _end(first, size)):
                yield OffsetRange(first, end), held
                first, held, bytes_held = end, [], 0
            if held and bytes_held + record.size_bytes > bytes_max:
                yield OffsetRange(first, record.offset), held
                first, held, bytes_held = record.offset, [], 0
            held.append(record)
            bytes_held += record.size_bytes
    while first < offsets.end:
        end = min(_end(first, size), offsets.end)
        yield OffsetRange(first, end), held
        first, held = end, []


def _end(first: int, size: int) -> int:
    return (first // size + 1) * size


@dataclass(slots=True)
class ShadowResult:
    """What came of a replay into shadow tables."""

    diff: ShadowDiff
    kept: bool
    records: int = 0
    inserted: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""


async def replay_into_shadow(
    kafka: KafkaSettings,
    database: DatabaseSettings,
    plan: ReplayPlan,
    chosen: EventFilter | None = None,
    *,
    keep: bool = False,
    on_progress: Callable[[ReplayProgress], None] = lambda _: None,
) -> ShadowResult:
    """Write what a plan's records become today into tables beside the live ones, and compare both.

    Args:
        keep: leave the shadow's schema when done; its name is in the diff.

    Raises:
        ShadowPrivilegeError: the login may not make a schema.
        RetryableError: Kafka or the database did not answer.
    """
    chosen = chosen or EventFilter()
    async with open_log(kafka) as reader, await _connect(database) as session:
        shadow = ShadowTables(session, TopicNames(kafka.topic_prefix), keep=keep)
        try:
            async with shadow:
                target = _ShadowTarget(shadow, session)
                progress = ReplayProgress(plan.records_max)
                batches = batches_of_log(reader, plan.ranges(), chosen)
                await run_replay(batches, target, progress=progress, on_progress=on_progress)
                # Of a part of a range nobody can say what else should be live.
                ranges: dict[TopicPartition, OffsetRange] = plan.ranges() if chosen.is_everything else {}
                target.result.diff = await shadow.diff(session, ranges)
                target.result.kept = keep
                return target.result
        finally:
            if session.is_closed and not keep:
                await asyncio.shield(_drop(database, shadow.name))


async def _drop(database: DatabaseSettings, name: str) -> None:
    """Drop a shadow whose connection is gone: whoever interrupts a statement ends it."""

    async def drop(session: Session) -> None:
        await session.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    try:
        async with RenewedSession(database, LAST_WORD) as session:
            await session.run(drop)
    except ArcEvalError as error:
        log.warning("shadow_left", schema=name, cause=type(error).__name__, drop="arc-eval-db replay shadows --drop")


class _ShadowTarget:
    def __init__(self, shadow: ShadowTables, session: Session) -> None:
        self.result = ShadowResult(ShadowDiff(shadow.name), kept=False)
        self._shadow = shadow
        self._session = session

    async def take(self, batch: ReplayBatch) -> None:
        """Write a batch."""
        report = await self._shadow.write(self._session, batch.records)
        self.result.records += report.records
        self.result.inserted += report.inserted
        self.result.duplicates += report.duplicates
        self.result.refused.update(report.dead_letters)


async def _connect(database: DatabaseSettings) -> Session:
    return await Session.connect(patient(database, _STATEMENT_S), application_name=APPLICATION_NAME)
