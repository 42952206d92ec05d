"""What a check is: a look at the server, and a judgement of what was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from arc_eval_db.database import PoolStatistics, Session
from arc_eval_db.health.report import State
from arc_eval_db.health.settings import HealthSettings
from arc_eval_db.sql import queries

Row = Mapping[str, Any]
Rows = Sequence[Row]


class Need(StrEnum):
    """What a check cannot do without, as an explanation of why it is unknown."""

    NOTHING = ""
    TIMESCALEDB = "needs TimescaleDB"
    STATEMENTS = "needs the extension pg_stat_statements"
    POOL = "no client or pool was given"


@dataclass(frozen=True, slots=True)
class Context:
    """What judgements need beside the rows."""

    settings: HealthSettings
    pool: PoolStatistics | None = None
    has_timescaledb: bool = True
    has_statements: bool = True
    user_name: str = "arc_eval_reader"
    may_write: bool = False
    """Whether the login has the right to, on a server that takes writes."""
    earlier: Mapping[str, Rows] = field(default_factory=dict)
    """For rates: what was seen before, by check."""

    def lacks(self, need: Need) -> bool:
        """Whether a check with this need can see nothing."""
        return (
            (need is Need.TIMESCALEDB and not self.has_timescaledb)
            or (need is Need.STATEMENTS and not self.has_statements)
            or (need is Need.POOL and self.pool is None)
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rows mean."""

    state: State
    value: float | None
    found: str
    next_step: str | None = None
    """None: the check's own, unless all is well."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at."""

    name: str
    looks_at: str
    """For people: what the figure is."""
    unit: str
    judge: Callable[[Rows, Context], Judgement]
    """Pure."""
    next_step: str
    """What to do where it is not well: a command or SQL."""
    limits: tuple[str, ...] = ()
    """Names of the settings."""
    query: str | None = None
    """The statement of `queries/health.sql`; None: `look` looks."""
    arguments: Callable[[Context], Sequence[Any]] = lambda _: ()
    look: Callable[[Session, Context], Awaitable[Rows]] | None = None
    needs: Need = Need.NOTHING
    is_rate: bool = False
    """Judged by the difference between two looks."""
    must_succeed: bool = False
    """A look that the server refuses or does not end is critical, and not only unseen."""
    grant: str = "arc_eval_reader"
    """The role whose privileges the look needs."""

    async def see(self, session: Session, context: Context) -> Rows:
        """Look at the server."""
        if self.look is not None:
            return await self.look(session, context)
        assert self.query is not None
        return await session.fetch(queries("health")[self.query], *self.arguments(context))


def grade(value: float, warn: float, critical: float) -> State:
    """A figure that reaches a threshold is past it.

    >>> grade(5, warn=5, critical=10)
    <State.WARN: 'warn'>
    """
    if value >= critical:
        return State.CRITICAL
    return State.WARN if value >= warn else State.OK


def in_bytes(size: float) -> str:
    """A size for people.

    >>> in_bytes(3 * 1024**3)
    '3.0 GiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def in_time(seconds: float) -> str:
    """A time for people.

    >>> in_time(5400)
    '1.5 h'
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def least_id(since: timedelta) -> tuple[UUID, datetime]:
    """The least UUIDv7 of the time since then, and that time."""
    begin = datetime.now(UTC) - since
    return UUID(int=int(begin.timestamp() * 1000) << 80), begin
