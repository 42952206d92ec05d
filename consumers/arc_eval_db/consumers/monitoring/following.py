"""Several listeners of one monitor, none of which can hold it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from arc_eval_db.consumers.lag import LagReport
from arc_eval_db.consumers.monitoring.looking import Look
from arc_eval_db.errors import RetryableError
from arc_eval_db.health import HealthReport


class TooManyListenersError(RetryableError):
    """So many follow already that this one has to come back later."""


class UpdateKind(StrEnum):
    """What was looked at."""

    LAG = "lag"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Update:
    """The newest look of one kind."""

    kind: UpdateKind
    look: Look[LagReport] | Look[HealthReport]

    def to_json(self) -> dict[str, Any]:
        """The report, as `arc-eval-db lag --json` or `health --json` print it, and why the latest look failed."""
        report = self.look.report
        return {
            "kind": self.kind.value,
            "looked_at": self.look.looked_at,
            "error": self.look.error,
            "failed_at": self.look.failed_at,
            "report": report.to_json() if isinstance(report, LagReport) else report.fields() if report else None,
        }


class Updates(AsyncIterator[Update]):
    """What one listener has not seen yet: of each kind the newest, so that it cannot grow."""

    def __init__(self) -> None:
        self._unseen: dict[UpdateKind, Update] = {}
        self._arrived = asyncio.Event()
        self._is_over = False

    def put(self, update: Update) -> None:
        """Add an update in place of an unseen one of its kind. Never waits."""
        self._unseen[update.kind] = update
        self._arrived.set()

    def close(self) -> None:
        """There are no more: the monitor has ended."""
        self._is_over = True
        self._arrived.set()

    async def __anext__(self) -> Update:
        await self._arrived.wait()
        if self._is_over:
            raise StopAsyncIteration
        update = self._unseen.pop(next(iter(self._unseen)))
        if not self._unseen:
            self._arrived.clear()
        return update

    async def next(self, timeout_s: float) -> Update | None:
        """The next update; None where there is none within the time.

        Raises:
            StopAsyncIteration: the monitor has ended.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self)
        except TimeoutError:
            return None
