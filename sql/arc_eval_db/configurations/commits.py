"""Whether a change was committed though its answer was lost: trying it again tells what it did, and not what it met."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from arc_eval_db.configurations.errors import ChangeInDoubtError
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

T = TypeVar("T")

_STATEMENTS = queries("configurations")


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[T]):
    result: T
    transaction: str
    entry_id: int
    entry_time: datetime


class Change(Generic[T]):
    """One change, which is tried until its answer is known: each time in a transaction of its own."""

    def __init__(self, work: Callable[[Session], Awaitable[T]], changed: Callable[[], UUID | None]) -> None:
        """
        Args:
            changed: the configuration whose lock `work` has taken.
        """
        self._work, self._changed = work, changed
        self._in_doubt: _Attempt[T] | None = None

    async def attempt(self, session: Session) -> T:
        """Do it, unless the attempt before was committed: then what that one returned.

        Raises:
            ChangeInDoubtError: the attempt before has not ended. It holds what this one would wait for.
            Others: as `work`.
        """
        if (before := self._in_doubt) is not None:
            if await session.fetch_value(_STATEMENTS["is_at_work"], before.transaction):
                raise ChangeInDoubtError
            if await session.fetch_value(_STATEMENTS["is_entered"], before.entry_id, before.entry_time):
                return before.result
            self._in_doubt = None
        async with session.transaction():
            result = await self._work(session)
            self._in_doubt = await self._evidence(session, result)
        return result

    async def _evidence(self, session: Session, result: T) -> _Attempt[T] | None:
        configuration_id = self._changed()
        rows = [] if configuration_id is None else await session.fetch(_STATEMENTS["evidence"], configuration_id)
        # Without an entry nothing was ever changed, and nothing by this.
        return _Attempt(result, rows[0]["transaction"], rows[0]["id"], rows[0]["time"]) if rows else None
