"""Fail points: places in a consumer where a test makes it die, freeze, fail or wait. Nothing in the product knows them.

They are installed by wrapping the product's methods in the child process, and told of by JSON lines on standard output.
"""

from __future__ import annotations

import asyncio
import functools
import json
import operator
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from arc_eval_db.database import DatabaseUnavailableError

Place = Literal["after_fetch", "during_copy", "before_compare_and_set", "between_cas_and_commit", "after_commit"]
PLACES: tuple[Place, ...] = get_args(Place)

Action = Literal["kill", "stop", "raise", "hold"]
"""kill, stop: SIGKILL or SIGSTOP to itself; raise: as if the connection were lost; hold: wait for SIGUSR1, while the
rest of the process (heartbeats) goes on."""

VARIABLE = "ARC_EVAL_TEST_FAIL_POINTS"


@dataclass(frozen=True, slots=True)
class FailPoint:
    """What happens, where, and at which time of passing there. Only passings with records count."""

    place: Place
    action: Action
    at: int = 1


def as_text(points: Sequence[FailPoint]) -> str:
    """The value of the variable that tells a child its fail points."""
    return json.dumps([asdict(point) for point in points])


class FailPoints:
    """Counts passings, and acts at those that were asked for."""

    def __init__(self, points: Sequence[FailPoint]) -> None:
        self._points = points
        self._passed: Counter[Place] = Counter()

    @classmethod
    def from_environment(cls) -> FailPoints:
        """As the variable says."""
        return cls([FailPoint(**point) for point in json.loads(os.environ.get(VARIABLE, "[]"))])

    async def passing(self, place: Place) -> None:
        """Called at the place."""
        self._passed[place] += 1
        for point in self._points:
            if (point.place, point.at) == (place, self._passed[place]):
                await _act(point)

    def install(self) -> None:
        """Wrap the product's methods."""
        from arc_eval_db.consumers.kafka import GroupSource
        from arc_eval_db.consumers.sink import ExactlyOnceSink
        from arc_eval_db.database import Session
        from arc_eval_db.writer import OffsetStore

        # aiokafka's records as the worker gets them: a poll without any does not count.
        _wrap(GroupSource, "poll", after=lambda result: self.passing("after_fetch") if result else None)
        _wrap(
            OffsetStore,
            "advance",
            before=lambda: self.passing("before_compare_and_set"),
            after=lambda _: self.passing("between_cas_and_commit"),
        )
        _wrap(ExactlyOnceSink, "write", after=lambda _: self.passing("after_commit"))
        copy = Session._copy

        async def copy_with_point(
            session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
        ) -> int:
            return await copy(session, table, columns, self._with_point_half_way(rows))  # type: ignore[arg-type]  # asyncpg takes both kinds of iterators

        Session._copy = copy_with_point  # type: ignore[method-assign, assignment]  # what a fail point is

    async def _with_point_half_way(self, rows: Iterable[Any]) -> AsyncIterator[Any]:
        half = operator.length_hint(rows) // 2
        for number, row in enumerate(rows):
            if number == half:
                await self.passing("during_copy")
            yield row


def _wrap(
    owner: Any, name: str, *, before: Callable[[], Any] | None = None, after: Callable[[Any], Any] | None = None
) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            await before()
        result = await original(*args, **kwargs)
        if after is not None and (work := after(result)) is not None:
            await work
        return result

    setattr(owner, name, wrapped)


async def _act(point: FailPoint) -> None:
    released = asyncio.Event()
    if point.action == "hold":
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, released.set)
    tell("point", place=point.place, action=point.action, at=point.at)
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif point.action == "raise":
        raise DatabaseUnavailableError("a fail point")
    else:
        await released.wait()
        tell("released", place=point.place)


def tell(event: str, **fields: Any) -> None:
    """A line for the harness."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()
