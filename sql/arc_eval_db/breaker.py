"""A circuit breaker: stops asking a service that does not answer, and probes until it does again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether attempts are let through."""

    CLOSED = "closed"
    """All are."""
    HALF_OPEN = "half_open"
    """One at a time is, as a probe."""
    OPEN = "open"
    """None is until the pause is over."""


class CircuitBreaker:
    """Closed, then open after failures in a row or a lost connection, then half-open, then closed again.

    It does nothing by itself: it holds no task, no lock and no timer, and never waits. What its user owes it:

    - Before each attempt ask `allows()`, and do without the attempt where that is False. `wait_s` says how long it
      pays to wait before asking again.
    - After each attempt that was allowed call exactly one of `succeeded()`, `failed()` and `abandoned()`, also when the
      attempt was cancelled: a probe that nobody reports about keeps all others out for as long as a pause lasts.
    - Report as failed only what says something about the service. A refused row or a deadlock is an answer: succeeded.
    - Use it from one thread. Several tasks may share it: while it is half-open, one of them has the probe.
    """

    def __init__(
        self,
        *,
        failures_max: int = 3,
        open_s: float = 0.5,
        open_s_max: float = 10.0,
        probes_to_close: int = 1,
        clock: Callable[[], float] = time.monotonic,
        generator: random.Random | None = None,
        on_change: Callable[[BreakerState], None] | None = None,
    ) -> None:
        """
        Args:
            failures_max: this many failures in a row open it.
            open_s: the first pause, in seconds. Each failed probe doubles it. Up to half of a pause is taken off by
                chance, so that many users of one service do not come back all at once.
            open_s_max: the longest pause, in seconds.
            probes_to_close: this many probes in a row have to succeed before it closes.
            clock: seconds that only grow.
            on_change: called with the new state.
        """
        if failures_max < 1 or probes_to_close < 1:
            raise ValueError("failures_max and probes_to_close must be at least 1")
        if not 0 < open_s <= open_s_max:
            raise ValueError("open_s must be above 0 and at most open_s_max")
        self._failures_max = failures_max
        self._open_s = open_s
        self._open_s_max = open_s_max
        self._probes_to_close = probes_to_close
        self._clock = clock
        self._random = generator or random.Random()  # noqa: S311 - spreads pauses, guards nothing
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._openings = 0
        self._probes_succeeded = 0
        self._quiet_until = 0.0

    @property
    def state(self) -> BreakerState:
        """The state; it leaves OPEN when somebody asks `allows()` after the pause."""
        return self._state

    @property
    def wait_s(self) -> float:
        """Seconds until `allows()` may say yes; 0 when it would at once."""
        return 0.0 if self._state is BreakerState.CLOSED else max(0.0, self._quiet_until - self._clock())

    def allows(self) -> bool:
        """Whether an attempt may be made now. In the half-open state a yes hands out the probe."""
        if self._state is BreakerState.CLOSED:
            return True
        now = self._clock()
        if now < self._quiet_until:
            return False
        # The probe that is handed out here keeps the others out; one that is never reported does so for one pause.
        self._quiet_until = now + self._open_s_max
        self._change(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._probes_succeeded += 1
            self._quiet_until = 0.0
            if self._probes_succeeded >= self._probes_to_close:
                self._openings = 0
                self._change(BreakerState.CLOSED)

    def failed(self, *, lost_connection: bool = False) -> None:
        """The service did not answer. A lost connection opens at once: whatever was sent next would be lost too."""
        self._failures += 1
        if self._state is BreakerState.OPEN:
            return  # an attempt that began before it opened
        if lost_connection or self._state is BreakerState.HALF_OPEN or self._failures >= self._failures_max:
            self._open()

    def abandoned(self) -> None:
        """The attempt ended without an answer and without a failure, as by cancellation."""
        if self._state is BreakerState.HALF_OPEN:
            self._quiet_until = 0.0

    def _open(self) -> None:
        pause = min(self._open_s * 2.0 ** min(self._openings, 32), self._open_s_max)
        self._openings += 1
        self._failures = 0
        self._probes_succeeded = 0
        self._quiet_until = self._clock() + pause * self._random.uniform(0.5, 1.0)
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        if state is not self._state:
            self._state = state
            if self._on_change is not None:
                self._on_change(state)
