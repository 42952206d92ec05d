"""The circuit breaker: when it opens, whom it lets probe, when it closes again."""

from __future__ import annotations

import random

import pytest

from arc_eval_db.breaker import BreakerState, CircuitBreaker


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class LongestPauses(random.Random):
    """No chance: every pause as long as it may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def breaker(clock: Clock, **options: object) -> CircuitBreaker:
    return CircuitBreaker(clock=clock, generator=LongestPauses(), **options)  # type: ignore[arg-type]  # passed on


def test_it_opens_after_failures_in_a_row() -> None:
    it = breaker(Clock(), failures_max=3)
    it.failed()
    it.failed()
    it.succeeded()
    it.failed()
    it.failed()
    assert (it.state, it.allows(), it.wait_s) == (BreakerState.CLOSED, True, 0.0)
    it.failed()
    assert (it.state, it.allows(), it.wait_s) == (BreakerState.OPEN, False, 0.5)


def test_a_lost_connection_opens_it_at_once() -> None:
    it = breaker(Clock())
    it.failed(lost_connection=True)
    assert it.state is BreakerState.OPEN


def test_after_the_pause_one_probe_at_a_time_until_it_closes() -> None:
    clock = Clock()
    changes: list[BreakerState] = []
    it = breaker(clock, open_s=2.0, probes_to_close=2, on_change=changes.append)
    it.failed(lost_connection=True)
    clock.now += 1.9
    assert not it.allows()
    clock.now += 0.2
    assert it.allows()
    assert it.state is BreakerState.HALF_OPEN
    assert not it.allows(), "another one has the probe"
    it.succeeded()
    assert (it.state, it.allows(), it.allows()) == (BreakerState.HALF_OPEN, True, False)
    it.succeeded()
    assert (it.state, it.allows(), it.allows()) == (BreakerState.CLOSED, True, True)
    assert changes == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_failed_probes_double_the_pause_up_to_a_limit_and_a_success_ends_that() -> None:
    clock = Clock()
    it = breaker(clock, open_s=1.0, open_s_max=4.0)
    it.failed(lost_connection=True)
    pauses = []
    for _ in range(4):
        pauses.append(it.wait_s)
        clock.now += it.wait_s
        assert it.allows()
        it.failed()
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    clock.now += it.wait_s
    assert it.allows()
    it.succeeded()
    it.failed(lost_connection=True)
    assert it.wait_s == 1.0


def test_an_abandoned_probe_is_handed_to_the_next() -> None:
    clock = Clock()
    it = breaker(clock)
    it.abandoned()
    assert it.state is BreakerState.CLOSED
    it.failed(lost_connection=True)
    clock.now += 1
    assert it.allows()
    it.abandoned()
    assert (it.state, it.allows()) == (BreakerState.HALF_OPEN, True)


def test_a_probe_that_nobody_reports_about_keeps_others_out_for_one_pause_only() -> None:
    clock = Clock()
    it = breaker(clock, open_s_max=10.0)
    it.failed(lost_connection=True)
    clock.now += 1
    assert it.allows()
    clock.now += 9.9
    assert not it.allows()
    clock.now += 0.2
    assert it.allows()


def test_attempts_that_began_before_it_opened_change_nothing() -> None:
    clock = Clock()
    it = breaker(clock, open_s=1.0)
    it.failed(lost_connection=True)
    clock.now += 0.5
    it.failed(lost_connection=True)
    it.succeeded()
    assert (it.state, it.wait_s) == (BreakerState.OPEN, 0.5)


def test_pauses_differ_by_chance_and_are_never_shorter_than_half() -> None:
    pauses = set()
    for seed in range(20):
        it = CircuitBreaker(open_s=1.0, clock=Clock(), generator=random.Random(seed))
        it.failed(lost_connection=True)
        pauses.add(it.wait_s)
    assert len(pauses) == 20
    assert all(0.5 <= pause <= 1.0 for pause in pauses)


@pytest.mark.parametrize(
    "options", [{"failures_max": 0}, {"probes_to_close": 0}, {"open_s": 0.0}, {"open_s": 2.0, "open_s_max": 1.0}]
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        breaker(Clock(), **options)
