"""A plan against the tables: window by window, or by way of shadow tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.differences import Difference, DifferenceKind
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.plan import ReplayPlan
from arc_eval_db.replay.reading import open_log
from arc_eval_db.replay.runner import ReplayBatch, ReplayProgress, batches_of_log, run_replay
from arc_eval_db.replay.shadow import ShadowTables
from arc_eval_db.replay.shadow_diff import ShadowDiff
from arc_eval_db.replay.targets import APPLICATION_NAME
from arc_eval_db.replay.verify import LogVerifier, WindowReport
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, OffsetStore, TopicPartition

WINDOW_OFFSETS = 10_000
"""Of one window: so many are read, copied and compared within a second."""

# A comparison reads days of a table.
_PATIENT_S = 600.0


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
    differing: list[WindowReport] = field(default_factory=list)
    """The windows that do not agree, with the differences that are named."""

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
        if not window.agrees:
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
            for window in _windows(OffsetRange(offsets.first, end), window_offsets):
                records: list[LogRecord] = []
                async for found in reader.read({partition: window}):
                    records += found
                report.add(await verifier.window(session, records, partition, window))
                progress.read += window.end - window.first
                on_progress(progress)
    return report


def _windows(offsets: OffsetRange, size: int) -> Iterator[OffsetRange]:
    """The range in parts; each ends where a multiple of the size does, so that they are the same for every range."""
    first = offsets.first
    while first < offsets.end:
        end = min(offsets.end, (first // size + 1) * size)
        yield OffsetRange(first, end)
        first = end


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
    async with (
        open_log(kafka) as reader,
        await _connect(database) as session,
        ShadowTables(session, TopicNames(kafka.topic_prefix), keep=keep) as shadow,
    ):
        target = _ShadowTarget(shadow, session)
        progress = ReplayProgress(plan.records_max)
        batches = batches_of_log(reader, plan.ranges(), chosen)
        await run_replay(batches, target, progress=progress, on_progress=on_progress)
        # Of a part of a range nobody can say what else should be live.
        ranges: dict[TopicPartition, OffsetRange] = plan.ranges() if chosen.is_everything else {}
        target.result.diff = await shadow.diff(session, ranges)
        target.result.kept = keep
        return target.result


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
    patient = database.model_copy(
        update={"database_command_timeout_s": _PATIENT_S, "database_statement_timeout_ms": int(_PATIENT_S * 1000)}
    )
    return await Session.connect(patient, application_name=APPLICATION_NAME)
