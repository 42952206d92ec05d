"""Dead letters through the present code again: rows, and what became of each letter, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import BatchTooLargeError, Session
from arc_eval_db.errors import ArcEvalError, PoisonError
from arc_eval_db.replay.dead_letters import (
    LetterFilter,
    LetterState,
    Resolution,
    count_letters,
    past_conflicts,
    read_bounds,
    require_privilege,
)
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.text import truncate
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.sql import queries
from arc_eval_db.writer import BatchWriter, EventRow

# A letter is at most 1 MiB, so these are 100 MiB at the worst; and one transaction is short enough for live workers.
_BATCH_LETTERS_MAX = 100

_DETAIL_BYTES_MAX = 2000


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How to try letters again.

    Raises:
        ValueError: an option is out of range.
    """

    by: str
    """Who does this, for the record."""
    attempts_max: int = 5
    """A letter that is refused for the last of so many times is quarantined."""
    quarantined: bool = False
    """Try those that are quarantined too."""
    dry_run: bool = False
    """Do everything, and take it back: the report says what would happen."""
    batch_letters_max: int = _BATCH_LETTERS_MAX
    """Letters in one transaction at the most."""

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or self.batch_letters_max < 1:
            raise ValueError("attempts_max and batch_letters_max must be at least 1")


@dataclass(slots=True)
class RetryReport:
    """What became of letters that were tried again."""

    stored: int = 0
    duplicates: int = 0
    """The event's row was there already."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refused again, by the present reason."""
    quarantined: int = 0
    """How many of those that were refused are quarantined now."""
    unknown_topics: Counter[str] = field(default_factory=Counter)
    """Letters of topics that this prefix's registry does not have: left as they were, no attempt counted."""
    left_quarantined: int = 0
    """Letters that were meant, are quarantined, and were left alone."""

    @property
    def attempted(self) -> int:
        """Letters that were tried."""
        return self.stored + self.duplicates + self.refused.total()

    @property
    def seen(self) -> int:
        """Letters that were looked at."""
        return self.attempted + self.unknown_topics.total()

    def add(self, other: RetryReport) -> None:
        """Add what became of other letters."""
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.quarantined += other.quarantined
        self.unknown_topics += other.unknown_topics
        self.left_quarantined += other.left_quarantined


class _Letter(NamedTuple):
    id: int
    record: LogRecord


class _Refusal(NamedTuple):
    reason: RefusalReason
    detail: str


_Outcome = Resolution | _Refusal


class _MixedError(PoisonError):
    """Some of the rows were new and some were not: to be written in parts, which tell which is which."""


class _DryRunError(ArcEvalError):
    """Nothing of a dry run is to stay."""


class DeadLetterRetry:
    """Tries dead letters again, each at most once.

    A letter goes through what live consumption uses: the same handler, the same writer. Its event's row and its own
    mark are one transaction, so that a letter is resolved if and only if its event is stored, whenever this is killed.
    Safe to run twice, at the same time too (a letter that another run has is passed over), and while workers write.
    """

    def __init__(
        self, topics: TopicNames, options: RetryOptions, on_batch: Callable[[RetryReport], None] | None = None
    ) -> None:
        """
        Args:
            topics: the registry under the prefix in use.
            on_batch: called after each transaction, with the report so far.
        """
        self._topics = topics
        self._options = options
        self._on_batch = on_batch or (lambda _: None)
        self._handler = ExecutionEventHandler(topics)
        self._writer = BatchWriter()

    async def run(self, session: Session, chosen: LetterFilter) -> RetryReport:
        """Try the letters that are meant and unresolved, in the order of their ids.

        Letters that are set aside meanwhile are not for this run. Conflicts with workers are tried again.

        Args:
            session: not in a transaction; of a login with the rights of `arc_eval_admin`.

        Raises:
            DeadLetterPrivilegeError: the login may not change dead letters.
            RetryableError: the connection was lost, or a conflict would not end. What was done before stays; running it
                again goes on with the rest.
            FatalError: the schema does not fit. No attempt is counted for the letters at hand.
        """
        await require_privilege(session, "changes", "change dead letters")
        bounds = await read_bounds(session)
        report = RetryReport()
        after, size = 0, self._options.batch_letters_max

        async def attempt() -> tuple[RetryReport, int | None]:
            nonlocal size
            try:
                arguments = (after, bounds.up_to_id, bounds.began_at, self._options.quarantined, size)
                return await self._batch(session, (*chosen.arguments(), *arguments))
            except BatchTooLargeError:
                size = max(1, size // 2)
                raise

        while True:
            of_batch, last = await past_conflicts(attempt)
            if last is None:
                break
            after = last
            report.add(of_batch)
            self._on_batch(report)
        if not self._options.quarantined:
            counts = await count_letters(session, chosen, states={LetterState.QUARANTINED})
            # Those of this run were not left alone. In a dry run none of them is among the counted.
            newly = 0 if self._options.dry_run else report.quarantined
            report.left_quarantined = max(0, sum(count.quarantined for count in counts) - newly)
        return report

    async def _batch(self, session: Session, claim: Sequence[Any]) -> tuple[RetryReport, int | None]:
        """One transaction: what became of its letters, and the last one's id; None when none was left."""
        report, last = RetryReport(), None
        try:
            async with session.transaction():
                rows = await session.fetch(queries("dead_letter_retries")["claim_dead_letters"], *claim)
                if rows:
                    last = rows[-1]["id"]
                    letters = [_Letter(row["id"], _record(row)) for row in rows]
                    await self._try(session, letters, report)
                if self._options.dry_run:
                    raise _DryRunError
        except _DryRunError:
            pass
        return report, last

    async def _try(self, session: Session, letters: Sequence[_Letter], report: RetryReport) -> None:
        outcomes: dict[int, _Outcome] = {}
        rows: dict[int, EventRow] = {}
        for letter in letters:
            if not self._topics.types_on(letter.record.topic):
                report.unknown_topics[letter.record.topic] += 1
            elif isinstance(made := self._row(letter.record), _Refusal):
                outcomes[letter.id] = made
            else:
                rows[letter.id] = made
        outcomes |= dict(zip(rows, await self._store(session, list(rows.values())), strict=True))
        report.quarantined = await self._mark(session, outcomes)
        tally = Counter(outcome for outcome in outcomes.values() if isinstance(outcome, Resolution))
        report.stored, report.duplicates = tally[Resolution.STORED], tally[Resolution.DUPLICATE]
        report.refused.update(outcome.reason.value for outcome in outcomes.values() if isinstance(outcome, _Refusal))

    def _row(self, record: LogRecord) -> EventRow | _Refusal:
        # One by one, so that it is plain which row is which letter's: two may stand at one place of two logs.
        handled = self._handler.handle([record])
        for letter in handled.dead_letters:
            return _Refusal(letter.reason, letter.detail)
        place = next(handled.rows.places())
        return EventRow(place.table, handled.rows.row(place), handled.rows.started.get(place))

    async def _store(self, session: Session, rows: Sequence[EventRow]) -> list[_Outcome]:
        """Write rows, and say of each whether it is stored now or was there already.

        The writer counts, and does not say which. Looking before would not do: a worker may insert the same event in
        between. So rows of which some are new and some are not are taken back and written in halves, until the counts
        leave no doubt.
        """
        if not rows:
            return []
        try:
            async with session.savepoint():
                report = await self._writer.write_rows(session, rows)
                if report.inserted and report.duplicates:
                    raise _MixedError
        except _MixedError:
            middle = len(rows) // 2
            return [*await self._store(session, rows[:middle]), *await self._store(session, rows[middle:])]
        outcomes: list[_Outcome] = [Resolution.DUPLICATE if report.duplicates else Resolution.STORED] * len(rows)
        for refused in report.refused:
            outcomes[refused.index] = _Refusal(RefusalReason.REFUSED_BY_DATABASE, str(refused.error))
        return outcomes

    async def _mark(self, session: Session, outcomes: Mapping[int, _Outcome]) -> int:
        """Write down what became of letters; returns how many of them are quarantined now."""
        if not outcomes:
            return 0
        ids = list(outcomes)
        resolutions = [None if isinstance(outcome, _Refusal) else outcome.value for outcome in outcomes.values()]
        details = [_detail(outcome) if isinstance(outcome, _Refusal) else None for outcome in outcomes.values()]
        rows = await session.fetch(
            queries("dead_letter_retries")["mark_dead_letters"],
            *(ids, resolutions, details, self._options.by, self._options.attempts_max),
        )
        return sum(row["is_quarantined"] for row in rows)


async def retry_letters(
    session: Session, chosen: LetterFilter, *, options: RetryOptions, topics: TopicNames | None = None
) -> RetryReport:
    """Try dead letters again: `DeadLetterRetry` in one call, under the default prefix if no other is given."""
    return await DeadLetterRetry(topics or TopicNames(), options).run(session, chosen)


def _record(row: Mapping[str, Any]) -> LogRecord:
    """The record as it came out of the log; header values that were not UTF-8 are as they were kept."""
    headers = tuple((name, (value or "").encode()) for name, value in orjson.loads(row["headers"]))
    timestamp_ms = round(row["log_timestamp"].timestamp() * 1000)
    return LogRecord(
        row["topic"], row["log_partition"], row["log_offset"], timestamp_ms, row["key"], row["value"], headers
    )


def _detail(refusal: _Refusal) -> str:
    return truncate(f"{refusal.reason}: {refusal.detail}", _DETAIL_BYTES_MAX)
