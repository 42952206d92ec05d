"""Trying again: only what may succeed, later each time, and not for ever."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from arc_eval_db.errors import FatalError, PoisonError, RetryableError
from arc_eval_db.retries import Backoff, DeadlineExceededError, RetryPolicy, retry

QUICK = RetryPolicy(attempts_max=4, backoff_s_min=0, backoff_s_max=0)


class Failing:
    """Fails as often as it is told to, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_a_passing_fault_is_tried_again_and_told() -> None:
    operation = Failing(RetryableError("one"), RetryableError("two"))
    told: list[tuple[str, int, float]] = []
    assert await retry(operation, QUICK, on_retry=lambda *seen: told.append((str(seen[0]), *seen[1:]))) == "done"
    assert operation.calls == 3
    assert told == [("one", 1, 0.0), ("two", 2, 0.0)]


@pytest.mark.parametrize("error", [PoisonError("p"), FatalError("f"), KeyError("bug"), TimeoutError("theirs")])
async def test_what_cannot_succeed_is_not_tried_again(error: Exception) -> None:
    operation = Failing(error)
    with pytest.raises(type(error)) as caught:
        await retry(operation, QUICK)
    assert caught.value is error
    assert operation.calls == 1


async def test_attempts_are_bounded_and_the_last_error_keeps_its_cause() -> None:
    cause = OSError("the wire")
    last = RetryableError("last")
    last.__cause__ = cause
    operation = Failing(*(RetryableError(str(number)) for number in range(3)), last)
    with pytest.raises(RetryableError) as caught:
        await retry(operation, QUICK)
    assert caught.value is last
    assert caught.value.__cause__ is cause
    assert operation.calls == 4


async def test_no_pause_is_begun_that_the_deadline_would_cut() -> None:
    policy = RetryPolicy(deadline_s=0.5, attempts_max=1000, backoff_s_min=0.05, backoff_s_max=0.05)
    operation = Failing(*(RetryableError() for _ in range(1000)))
    started = time.monotonic()
    with pytest.raises(RetryableError) as caught:
        await retry(operation, policy)
    assert not isinstance(caught.value, DeadlineExceededError)
    assert time.monotonic() - started < 0.6
    assert 1 < operation.calls < 1000


async def test_an_attempt_that_hangs_is_ended_at_the_deadline() -> None:
    first = RetryableError("the first")
    cancelled = asyncio.Event()

    async def operation() -> None:
        if not seen:
            seen.append(True)
            raise first
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    seen: list[bool] = []
    policy = RetryPolicy(deadline_s=0.2, backoff_s_min=0, backoff_s_max=0)
    with pytest.raises(DeadlineExceededError, match=r"not done within 0\.2 s, in attempt 2") as caught:
        await retry(operation, policy)
    assert caught.value.__cause__ is first
    assert cancelled.is_set()


async def test_a_cancellation_is_not_an_error_to_try_again() -> None:
    started = asyncio.Event()
    calls = []

    async def operation() -> None:
        calls.append(True)
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(retry(operation, QUICK))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(calls) == 1


def test_pauses_grow_to_a_limit_with_full_jitter() -> None:
    longest = [0.0] * 8
    shortest = [100.0] * 8
    for seed in range(500):
        backoff = Backoff(0.1, 2.0, generator=random.Random(seed))
        for number in range(8):
            pause = backoff.next()
            longest[number] = max(longest[number], pause)
            shortest[number] = min(shortest[number], pause)
    limits = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    for seen, limit in zip(longest, limits, strict=True):
        assert 0.95 * limit < seen <= limit
    assert max(shortest) < 0.05


def test_success_begins_anew() -> None:
    backoff = Backoff(1.0, 100.0)
    for _ in range(10_000):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


@pytest.mark.parametrize(
    "changes",
    [{"attempts_max": 0}, {"deadline_s": 0.0}, {"backoff_s_min": -1.0}, {"backoff_s_min": 2.0, "backoff_s_max": 1.0}],
)
def test_a_policy_that_cannot_work_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**changes)  # type: ignore[arg-type]  # attempts_max is an int above
