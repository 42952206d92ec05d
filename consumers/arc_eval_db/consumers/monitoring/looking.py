"""One kind of look: one at a time however many ask, within a deadline, and its newest result kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

import structlog

from arc_eval_db.errors import ArcEvalError, RetryableError

T = TypeVar("T")

# What a look that is cancelled may take to let go of its connections. To cancel it again sooner would break that off;
# later it must be, as aiokafka can swallow a cancellation.
_GRACE_S = 12.0

# So many that were given up may be on their way out.
_HUNG_MAX = 4

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.monitoring")


class LookTimeoutError(RetryableError):
    """A look was given up because its time was over."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What was seen last, and whether the latest look worked."""

    report: T | None = None
    """Of the last look that worked; None before the first."""
    looked_at: datetime | None = None
    """When that was."""
    error: str | None = None
    """Why the latest look failed; None where it worked."""
    failed_at: datetime | None = None
    """When that was."""


class Looking(Generic[T]):
    """Looks when it is asked to. It raises nothing: a failure is a part of what it says."""

    def __init__(
        self, name: str, see: Callable[[], Awaitable[T]], timeout_s: float, on_look: Callable[[Look[T]], None]
    ) -> None:
        """
        Args:
            see: one look. It may be going on still when the next one begins, where it does not end in time.
            on_look: told of each look's result. Must not wait.
        """
        self.latest: Look[T] = Look()
        self._name = name
        self._see = see
        self._timeout_s = timeout_s
        self._on_look = on_look
        self._running: asyncio.Task[Look[T]] | None = None
        self._ended_at: float | None = None
        self._made_at = time.monotonic()
        self._hung: dict[asyncio.Future[T], float] = {}
        """Looks that were given up and have not ended yet, and when each was last cancelled."""

    @property
    def idle_s(self) -> float:
        """Since a look last ended, however it did."""
        return time.monotonic() - (self._ended_at or self._made_at)

    async def look(self) -> Look[T]:
        """Look now, or share the look that is under way."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._once())
        # Whoever gives up waiting does not end the look of the others.
        return await asyncio.shield(self._running)

    async def fresh(self, age_s: float) -> Look[T]:
        """The latest look if it is not older than `age_s`, also one that failed; otherwise a new one."""
        if self._ended_at is not None and time.monotonic() - self._ended_at <= age_s:
            return self.latest
        return await self.look()

    async def close(self) -> None:
        """End the look that is under way, and those that hang."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running})
        for _ in range(2):
            if self._hung:
                await asyncio.wait(set(self._hung), timeout=_GRACE_S)
            self._cancel_again(time.monotonic())

    async def _once(self) -> Look[T]:
        now = datetime.now
        try:
            report = await self._see_in_time()
            self.latest = Look(report, now(UTC))
            self._on_look(self.latest)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is a next look
            # Our messages hold no secrets; of others only the class is known to hold none.
            reason = str(error) if isinstance(error, ArcEvalError) else type(error).__name__
            log.warning("look_failed", look=self._name, cause=type(error).__name__, error=reason)
            self.latest = replace(self.latest, error=reason, failed_at=now(UTC))
            self._on_look(self.latest)
        self._ended_at = time.monotonic()
        return self.latest

    async def _see_in_time(self) -> T:
        self._cancel_again(time.monotonic() - _GRACE_S)
        if len(self._hung) >= _HUNG_MAX:
            raise LookTimeoutError(f"{_HUNG_MAX} looks hang and do not end; restart this process")
        task = asyncio.ensure_future(self._see())
        try:
            await asyncio.wait({task}, timeout=self._timeout_s)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                self._give_up(task)
        raise LookTimeoutError(f"no answer within {self._timeout_s:g} s; is Kafka or the database slow or cut off?")

    def _give_up(self, task: asyncio.Future[T]) -> None:
        """Without waiting for its end, as it may swallow that it was cancelled."""
        task.cancel()
        self._hung[task] = time.monotonic()
        task.add_done_callback(self._ended)

    def _cancel_again(self, before: float) -> None:
        for task, cancelled_at in self._hung.items():
            if cancelled_at < before:
                task.cancel()
                self._hung[task] = time.monotonic()

    def _ended(self, task: asyncio.Future[T]) -> None:
        self._hung.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("given_up_look_ended", look=self._name, cause=type(error).__name__)
