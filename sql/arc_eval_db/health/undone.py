"""A transaction that never commits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError


class _TakenBackError(ArcEvalError):
    """Nothing went wrong: ends a transaction whose work is not to stay."""


@contextlib.asynccontextmanager
async def undone(session: Session) -> AsyncIterator[None]:
    """Roll back at the end, whatever happens in the block; an error of the block goes on."""
    with contextlib.suppress(_TakenBackError):
        async with session.transaction():
            yield
            raise _TakenBackError
