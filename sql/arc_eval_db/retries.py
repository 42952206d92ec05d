"""Trying again what failed for a passing reason: later and later, and not for ever."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from arc_eval_db.errors import RetryableError

Result = TypeVar("Result")

OnRetry = Callable[[RetryableError, int, float], None]
"""Called before each pause with the error, the number of the attempt that failed (from 1), and the pause in seconds."""


class DeadlineExceededError(RetryableError):
    """An operation was given up because its time was over. Whether it took effect is not known."""


@dataclass(slots=True)
class Backoff:
    """Pauses between attempts: up to twice as long each time, by default anything from nothing to that ("full jitter").

    Callers that failed together would otherwise come back together, again and again.
    """

    seconds_min: float
    """The longest first pause."""
    seconds_max: float
    attempt: int = 0
    generator: random.Random = field(default_factory=random.Random)
    share_min: float = 0.0
    """The least share of the longest pause."""

    def next(self) -> float:
        """The pause before the next attempt, in seconds."""
        self.attempt += 1
        longest = min(self.seconds_min * 2.0 ** min(self.attempt - 1, 16), self.seconds_max)
        return longest * self.generator.uniform(self.share_min, 1.0)

    def reset(self) -> None:
        """It worked."""
        self.attempt = 0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try."""

    attempts_max: int = 5
    deadline_s: float = 30.0
    """For everything together: attempts and pauses."""
    backoff_s_min: float = 0.1
    backoff_s_max: float = 5.0

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or self.deadline_s <= 0:
            raise ValueError("attempts_max must be at least 1 and deadline_s above 0")
        if not 0 <= self.backoff_s_min <= self.backoff_s_max:
            raise ValueError("backoff_s_min must be from 0 to backoff_s_max")


async def retry(
    operation: Callable[[], Awaitable[Result]], policy: RetryPolicy, *, on_retry: OnRetry | None = None
) -> Result:
    """Call `operation` until it succeeds, and return its result. It must do no harm when it is repeated.

    Raises:
        RetryableError: the last one, when the attempts are used up or the time left is shorter than the next pause.
        DeadlineExceededError: an attempt was still running when the time was over, and was cancelled; its cause is
            the error of the attempt before.
        Exception: any other error of `operation`, at once.
    """
    backoff = Backoff(policy.backoff_s_min, policy.backoff_s_max)
    deadline = time.monotonic() + policy.deadline_s
    last: RetryableError | None = None
    attempt = 0
    while True:
        attempt += 1
        scope = asyncio.timeout(deadline - time.monotonic())
        try:
            async with scope:
                return await operation()
        except TimeoutError:
            if not scope.expired():
                raise
            raise DeadlineExceededError(f"not done within {policy.deadline_s:g} s, in attempt {attempt}") from last
        except RetryableError as error:
            pause = backoff.next()
            if attempt == policy.attempts_max or time.monotonic() + pause >= deadline:
                raise
            last = error
            if on_retry is not None:
                on_retry(error, attempt, pause)
            await asyncio.sleep(pause)
