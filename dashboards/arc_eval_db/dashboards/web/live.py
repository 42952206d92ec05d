"""What pages show, kept fresh: each thing is read once an interval, however many pages show it, and while one does.

A page follows a source (`LiveBoard.follow`) and is told of every newer look. What fails is said beside what was seen
last, and tried again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import structlog

from arc_eval_db.errors import ArcEvalError, FatalError, RetryableError

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

FEEDS_MAX = 500
"""Different things that pages may show at once: a bound on what a browser can make the server remember."""

# What took a second is read again after ten at the soonest, so that slow queries do not fill the database.
_REST_FACTOR = 9.0
_RETRY_S_MAX = 5.0


class NotSeenYetError(RetryableError):
    """There was no look yet; one is on its way."""


class TooManyFeedsError(ArcEvalError):
    """Too many different things are being shown at once; close some pages, and load this one again."""


@dataclass(frozen=True, slots=True)
class Source(Generic[T]):
    """Something to show."""

    key: tuple[Hashable, ...]
    """What it is, with its parameters: pages with the same key share one look."""
    load: Callable[[], Awaitable[T]]
    """One look. Raises `ArcEvalError` where it cannot be had, with the next step in its words."""
    interval_s: float
    """Between two looks, at the least."""
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What is known of a source."""

    value: T | None = None
    """What was seen last; None where nothing ever was."""
    seen_at: datetime | None = None
    problem: str | None = None
    """Why the last look failed; None where it did not."""


@dataclass(slots=True)
class _Feed:
    seen: Seen[Any] = field(default_factory=Seen)
    version: int = 0
    followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    due: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def show(self, seen: Seen[Any]) -> None:
        is_same = seen.value is self.seen.value and seen.problem == self.seen.problem and self.version
        self.seen = seen
        if is_same:
            return
        self.version += 1
        # Everybody who waits is woken; who comes later waits for the next.
        self.changed.set()
        self.changed = asyncio.Event()


class LiveBoard:
    """All sources that pages show at the moment. Use with `async with`."""

    def __init__(self, *, feeds_max: int = FEEDS_MAX) -> None:
        self._feeds: dict[tuple[Hashable, ...], _Feed] = {}
        self._feeds_max = feeds_max

    async def __aenter__(self) -> LiveBoard:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._feeds.clear()

    @property
    def feeds(self) -> int:
        """How many different things are shown."""
        return len(self._feeds)

    def refresh(self, *key: Hashable) -> None:
        """Look again at once at every source whose key begins so: something was changed."""
        for name, feed in self._feeds.items():
            if name[: len(key)] == key:
                feed.due.set()

    async def follow(self, source: Source[T]) -> AsyncGenerator[Seen[T]]:
        """Every look at a source, from the latest on; of those that come while the follower is busy only the last.

        Raises:
            TooManyFeedsError: there is no room for another source.
        """
        with self._following(source) as feed:
            seen = 0
            while True:
                changed = feed.changed
                if feed.version == seen:
                    await changed.wait()
                seen = feed.version
                yield feed.seen

    @contextlib.contextmanager
    def _following(self, source: Source[Any]) -> Any:
        feed = self._feeds.get(source.key)
        if feed is None:
            if len(self._feeds) >= self._feeds_max:
                raise TooManyFeedsError
            feed = self._feeds[source.key] = _Feed()
        feed.followers += 1
        if feed.task is None or feed.task.done():
            feed.task = asyncio.create_task(self._keep(source, feed), name=f"live {source.key[0]}")
        try:
            yield feed
        finally:
            feed.followers -= 1
            feed.due.set()

    async def _keep(self, source: Source[Any], feed: _Feed) -> None:
        """Look again and again, until an interval has gone by in which nobody followed."""
        while True:
            begun = time.monotonic()
            feed.due.clear()
            await _look(source, feed)
            took_s = time.monotonic() - begun
            rest_s = max(source.interval_s - took_s, took_s * _REST_FACTOR)
            if feed.seen.problem is not None:
                rest_s = min(rest_s, max(source.interval_s, _RETRY_S_MAX))
            await self._rest(feed, rest_s)
            if not feed.followers:
                # What was seen a moment ago is shown to whoever comes back; then it is forgotten.
                await self._rest(feed, source.interval_s)
                if not feed.followers:
                    self._feeds.pop(source.key, None)
                    return

    async def _rest(self, feed: _Feed, seconds: float) -> None:
        """Until the time is over, or somebody wants a look, or nobody is left to look for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await feed.due.wait()


async def _look(source: Source[Any], feed: _Feed) -> None:
    try:
        async with asyncio.timeout(source.timeout_s):
            value = await source.load()
    except ArcEvalError as error:
        # Said once: the same may go on for hours.
        if str(error) != feed.seen.problem and not isinstance(error, NotSeenYetError):
            log_of = log.error if isinstance(error, FatalError) else log.warning
            log_of("dashboard_look_failed", source=source.key[0], cause=type(error).__name__, error=str(error))
        feed.show(Seen(feed.seen.value, feed.seen.seen_at, str(error)))
    except TimeoutError:
        log.warning("dashboard_look_failed", source=source.key[0], cause="TimeoutError")
        feed.show(Seen(feed.seen.value, feed.seen.seen_at, f"no answer within {source.timeout_s:g} s"))
    except Exception as error:
        # A bug in one panel must not end the others; what it says may quote rows, so only its class is shown.
        log.exception("dashboard_look_failed", source=source.key[0], cause=type(error).__name__)
        problem = f"this failed for a reason of its own ({type(error).__name__}); the server's log says more"
        feed.show(Seen(feed.seen.value, feed.seen.seen_at, problem))
    else:
        feed.show(Seen(value, datetime.now(UTC)))
