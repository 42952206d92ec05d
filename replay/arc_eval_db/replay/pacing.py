"""Keeps a replay from being in the way of live consumption: a rate, and waiting while the living are behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.lag import PartitionLag, measure_lag, oldest_unread_s
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.sessions import RenewedSession

# So often the lag is looked at while a replay runs; a batch of it takes less.
_LOOK_INTERVAL_S = 0.5

# So often whoever waits says so, also where nobody watches a terminal.
_SAY_INTERVAL_S = 60.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.replay")


class NobodyToYieldToError(ArcEvalError):
    """The group that a replay was to yield to has never consumed."""


class Rate:
    """No more than so many records a second, evenly: whoever was slow for a while does not make up for it."""

    def __init__(self, records_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._records_per_s = records_per_s
        self._clock = clock
        self._free_at = clock()

    async def wait(self, records: int) -> None:
        """Wait until `records` more may be handled."""
        now = self._clock()
        pause = max(0.0, self._free_at - now)
        self._free_at = max(now, self._free_at) + records / self._records_per_s
        if pause:
            await asyncio.sleep(pause)


class LagGate:
    """Waits while a live group is behind by more than a number of seconds.

    Behind by: how long ago Kafka got the oldest record that the group has not committed to the database.
    """

    def __init__(
        self,
        reader: LogReader,
        session: RenewedSession,
        group: str,
        topics: Sequence[str],
        lag_s_max: float,
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        """
        Args:
            reader: of its own: it is sent to other positions than the replay's.
            session: of its own, likewise.
            on_wait: called with the lag at each look that finds it too large.
        """
        self._reader = reader
        self._session = session
        self._group = group
        self._topics = topics
        self._lag_s_max = lag_s_max
        self._on_wait = on_wait
        self._looked_at: float | None = None
        self.waited_s = 0.0

    async def wait(self, _records: int = 0) -> None:
        """Wait until the group is no more than so far behind.

        Raises:
            NobodyToYieldToError: the group has no offsets on these topics.
        """
        if self._looked_at is not None and time.monotonic() - self._looked_at < _LOOK_INTERVAL_S:
            return
        began = time.monotonic()
        said_at = began
        while (lag_s := await self._session.run(self._lag_s)) > self._lag_s_max:
            self._on_wait(lag_s)
            if time.monotonic() - said_at >= _SAY_INTERVAL_S:
                log.warning("waiting_for_group", group=self._group, lag_s=round(lag_s, 1), lag_s_max=self._lag_s_max)
                said_at = time.monotonic()
            await asyncio.sleep(_LOOK_INTERVAL_S)
        self._looked_at = time.monotonic()
        self.waited_s += self._looked_at - began

    async def _lag_s(self, session: Session) -> float:
        lags: list[PartitionLag] = await measure_lag(self._reader, session, self._group, self._topics)
        if all(lag.next_offset is None for lag in lags):
            raise NobodyToYieldToError(
                f"the group {self._group} has never consumed {', '.join(self._topics)}; name another with --group, "
                "or leave out --yield-to-lag"
            )
        return await oldest_unread_s(self._reader, lags)
