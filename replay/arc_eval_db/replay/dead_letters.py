"""Dead letters as people see them: list, count, read, discard. Trying them again is `dead_letter_retry`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, TypeVar
from uuid import UUID

import orjson

from arc_eval_db.database import BatchTooLargeError, Session, TransactionConflictError
from arc_eval_db.errors import FatalError
from arc_eval_db.retries import Backoff
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.sql import queries

T = TypeVar("T")

_CONFLICTS_MAX = 5

# Discarding writes no rows but these: a second's work.
_DISCARDED_AT_ONCE = 10_000


class LetterState(StrEnum):
    """What is to become of a dead letter."""

    OPEN = "open"
    """`retry` tries it."""
    QUARANTINED = "quarantined"
    """It was tried too often: `retry` leaves it alone unless it is asked for those too."""
    RESOLVED = "resolved"
    """It is done with, one way or the other."""


UNRESOLVED = frozenset({LetterState.OPEN, LetterState.QUARANTINED})


class Resolution(StrEnum):
    """What became of a resolved letter."""

    STORED = "stored"
    """Its event became a row."""
    DUPLICATE = "duplicate"
    """Its event's row was there already."""
    DISCARDED = "discarded"
    """A person gave it up."""


class NoSuchDeadLetterError(FatalError):
    """There is no dead letter of this id."""


class DeadLetterPrivilegeError(FatalError):
    """The login may not do this with dead letters."""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; what is None does not matter.

    Raises:
        ValueError: a time has no time zone.
    """

    ids: tuple[int, ...] | None = None
    reasons: tuple[RefusalReason, ...] | None = None
    topics: tuple[str, ...] | None = None
    since: datetime | None = None
    """Set aside then or later."""
    until: datetime | None = None
    """Set aside before that."""

    def __post_init__(self) -> None:
        if any(time is not None and time.tzinfo is None for time in (self.since, self.until)):
            raise ValueError("since and until must have a time zone")

    def arguments(self) -> tuple[Any, ...]:
        """The first five parameters of every statement in `dead_letter_retries.sql` that takes a filter."""
        reasons = None if self.reasons is None else [reason.value for reason in self.reasons]
        ids, topics = (None if given is None else list(given) for given in (self.ids, self.topics))
        return ids, reasons, topics, self.since, self.until


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """All of a dead letter but its content."""

    id: int
    dead_lettered_at: datetime
    topic: str
    log_partition: int
    log_offset: int
    log_timestamp: datetime
    reason: str
    error_class: str
    sqlstate: str | None
    detail: str
    """Where and what, when it was set aside; never a value from the event."""
    event_id: UUID | None
    event_type: str | None
    """As its sender wrote it into a header: anything."""
    consumer_group: str
    consumer_version: str
    attempts: int
    """How often it was tried again."""
    last_attempt_at: datetime | None
    last_detail: str | None
    """What it was refused for when it was last tried again, with the reason in front; never a value from the event."""
    quarantined_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None

    @property
    def state(self) -> LetterState:
        """What is to become of it."""
        if self.resolved_at is not None:
            return LetterState.RESOLVED
        return LetterState.OPEN if self.quarantined_at is None else LetterState.QUARANTINED

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `list_dead_letters`."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class LetterContent:
    """The record itself, which nobody has checked for secrets."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class LetterCount:
    """How many letters there are of one topic and reason."""

    topic: str
    reason: str
    open: int
    quarantined: int
    resolved: int
    oldest_at: datetime
    newest_at: datetime

    @property
    def letters(self) -> int:
        """Of all states together."""
        return self.open + self.quarantined + self.resolved


@dataclass(frozen=True, slots=True)
class LetterBounds:
    """What one run over the letters works on."""

    up_to_id: int
    """The newest letter; those that come meanwhile are not for this run."""
    began_at: datetime
    """By the database's clock."""


async def list_letters(
    session: Session,
    chosen: LetterFilter,
    *,
    states: Collection[LetterState] = UNRESOLVED,
    before_id: int | None = None,
    limit: int = 50,
) -> list[StoredLetter]:
    """Letters without their content, the newest first. `arc_eval_reader` may do this.

    Args:
        before_id: go on below this id, for the next page.
    """
    arguments = (*chosen.arguments(), *_state_arguments(states), before_id, limit)
    rows = await session.fetch(queries("dead_letter_retries")["list_dead_letters"], *arguments)
    return [StoredLetter.of(row) for row in rows]


async def count_letters(
    session: Session, chosen: LetterFilter, *, states: Collection[LetterState] = UNRESOLVED
) -> list[LetterCount]:
    """How many letters there are, by topic and reason. `arc_eval_reader` may do this."""
    statement = queries("dead_letter_retries")["count_dead_letters_by_reason"]
    return [
        LetterCount(**row) for row in await session.fetch(statement, *chosen.arguments(), *_state_arguments(states))
    ]


async def read_letter(session: Session, letter_id: int) -> tuple[StoredLetter, LetterContent]:
    """One letter with its content.

    Raises:
        NoSuchDeadLetterError: there is none of this id.
        DeadLetterPrivilegeError: the login may not read what dead letters hold.
    """
    found = await list_letters(session, LetterFilter(ids=(letter_id,)), states=list(LetterState))
    if not found:
        raise NoSuchDeadLetterError(_missing([letter_id]))
    await require_privilege(session, "reads_content", "read what dead letters hold")
    (content,) = await session.fetch(queries("dead_letter_retries")["read_dead_letter_content"], letter_id)
    headers = tuple((name, value) for name, value in orjson.loads(content["headers"]))
    return found[0], LetterContent(content["key"], content["value"], headers)


async def discard_letters(
    session: Session,
    chosen: LetterFilter,
    *,
    by: str,
    states: Collection[LetterState] = UNRESOLVED,
    up_to_id: int | None = None,
) -> int:
    """Give letters up: they stay where they are, are never tried again, and count as dead letters of their executions.

    Letters that are resolved stay as they are. One that a retry has at the moment is waited for, and left alone if it
    was stored.

    Args:
        by: who decides this, for the record.
        up_to_id: only letters up to this id, so that none is discarded that came after it was decided.

    Returns:
        How many were discarded.

    Raises:
        DeadLetterPrivilegeError: the login may not change dead letters.
    """
    await require_privilege(session, "changes", "change dead letters")
    if up_to_id is None:
        up_to_id = (await read_bounds(session)).up_to_id
    wanted = UNRESOLVED.intersection(states)
    quarantined = None if wanted == UNRESOLVED else LetterState.QUARANTINED in wanted
    statement = queries("dead_letter_retries")["discard_dead_letters"]
    arguments = (*chosen.arguments(), quarantined, up_to_id, _DISCARDED_AT_ONCE, by)
    discarded = 0
    while wanted and (ids := await past_conflicts(lambda: session.fetch(statement, *arguments))):
        discarded += len(ids)
    return discarded


async def read_bounds(session: Session) -> LetterBounds:
    """What a run that begins now works on."""
    (row,) = await session.fetch(queries("dead_letter_retries")["newest_dead_letter"])
    return LetterBounds(row["id"], row["now"])


async def require_letters(session: Session, ids: Sequence[int]) -> None:
    """Check that letters of these ids exist, in whatever state.

    Raises:
        NoSuchDeadLetterError: naming those that do not.
    """
    rows = await session.fetch(queries("dead_letter_retries")["existing_dead_letters"], list(ids))
    if missing := sorted(set(ids) - {row["id"] for row in rows}):
        raise NoSuchDeadLetterError(_missing(missing))


async def require_privilege(session: Session, privilege: str, what: str) -> None:
    """Check a column of `privileges_on_dead_letters`.

    Raises:
        DeadLetterPrivilegeError: naming the role to use.
    """
    (row,) = await session.fetch(queries("dead_letter_retries")["privileges_on_dead_letters"])
    if not row[privilege]:
        raise DeadLetterPrivilegeError(
            f"{row['role']} may not {what}; use a login that is a member of arc_eval_admin in ARC_EVAL_DATABASE_URL"
        )


async def past_conflicts(operation: Callable[[], Awaitable[T]]) -> T:
    """Run one transaction, and run it again, a few times, where it met a deadlock, a lock time-out or the like.

    A lost connection is not waited for: the session is gone with it.
    """
    backoff = Backoff(seconds_min=0.1, seconds_max=2.0)
    while True:
        try:
            return await operation()
        except (TransactionConflictError, BatchTooLargeError):
            if backoff.attempt == _CONFLICTS_MAX:
                raise
            await asyncio.sleep(backoff.next())


def _state_arguments(states: Collection[LetterState]) -> tuple[list[str], bool]:
    return [state.value for state in states], LetterState.RESOLVED in states


def _missing(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:10])) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    return f"no dead letter {shown}; to see which there are: arc-eval-db dead-letters list --state all"
