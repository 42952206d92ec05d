"""What a soak and a load run judge by: series that leak are found, and series that do not are left alone."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fault.drift import Limits, Sample, judge, slope
from fault.load_figures import FaultWindow, StoredEvent, delays, objections, percentile, timeline
from fault.soak import errors_in

MIB = 2**20
LIMITS = Limits(rate=500)
MINUTES = 10
INTERVAL_S = 5.0


def steady(number: int, chance: random.Random) -> Sample:
    """A healthy system: memory that wanders by a tenth of a MiB, a connection that comes and goes."""
    at_s = 200 + number * INTERVAL_S
    return Sample(
        at_s=at_s,
        worker_rss_bytes=int(80 * MIB + chance.gauss(0, 0.1) * MIB),
        worker_descriptors=16 + (chance.random() < 0.2),
        worker_threads=2,
        worker_cpu_s=at_s * 0.2 * chance.uniform(0.98, 1.02),
        reference_s=0.01 * chance.uniform(0.9, 1.1),
        producer_rss_bytes=int(40 * MIB + chance.gauss(0, 0.1) * MIB),
        producer_descriptors=7,
        connections=1,
        lag_messages=chance.randrange(20, 300),
        emitted=int(at_s * 500 * chance.uniform(0.998, 1.002)),
    )


def series(change: Callable[[Sample, float], Sample] = lambda sample, hours: sample, seed: int = 1) -> list[Sample]:
    """Ten minutes of samples, each changed by how many hours have passed."""
    chance = random.Random(seed)
    samples = [steady(number, chance) for number in range(int(MINUTES * 60 / INTERVAL_S))]
    return [change(sample, (sample.at_s - samples[0].at_s) / 3600) for sample in samples]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_steady_is_left_alone(seed: int) -> None:
    assert judge(series(seed=seed), LIMITS) == []


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("memory of the worker", lambda s, h: replace(s, worker_rss_bytes=s.worker_rss_bytes + int(60 * MIB * h))),
        (
            "memory of the producer",
            lambda s, h: replace(s, producer_rss_bytes=s.producer_rss_bytes + int(60 * MIB * h)),
        ),
        ("descriptors of the worker", lambda s, h: replace(s, worker_descriptors=16 + int(60 * h))),
        ("descriptors of the producer", lambda s, h: replace(s, producer_descriptors=7 + int(60 * h))),
        ("threads of the worker", lambda s, h: replace(s, worker_threads=2 + int(18 * h))),
        ("connections to the database", lambda s, h: replace(s, connections=1 + int(18 * h))),
        ("lag", lambda s, h: replace(s, lag_messages=s.lag_messages + int(20_000 * h))),
        ("processor time of the worker", lambda s, h: replace(s, worker_cpu_s=s.worker_cpu_s * (1 + 3 * h))),
        ("throughput", lambda s, h: replace(s, emitted=int(s.emitted * (1 - 0.5 * h)))),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_drifts_is_named(figure: str, change: Callable[[Sample, float], Sample], seed: int) -> None:
    assert [drift.figure for drift in judge(series(change, seed), LIMITS) if drift.figure == figure] == [figure]


def test_a_slow_leak_is_found_in_a_long_run_only() -> None:
    """12 MiB an hour, over a limit of 8: in ten minutes it is 2 MiB, which is what an allocator takes at a time."""

    def leak(sample: Sample, hours: float) -> Sample:
        return replace(sample, worker_rss_bytes=sample.worker_rss_bytes + int(12 * MIB * hours))

    assert judge(series(leak), LIMITS) == []
    chance = random.Random(1)
    long = [leak(steady(number, chance), number * INTERVAL_S / 3600) for number in range(1440)]
    assert [drift.figure for drift in judge(long, LIMITS)] == ["memory of the worker"]


def test_one_step_of_an_allocator_is_no_leak() -> None:
    stepped = series(lambda s, h: replace(s, worker_rss_bytes=s.worker_rss_bytes + (2 * MIB if h > 0.08 else 0)))
    assert judge(stepped, LIMITS) == []


def test_noise_alone_has_no_slope() -> None:
    chance = random.Random(3)
    times = [float(number) for number in range(240)]
    line = slope(times, [chance.gauss(100, 10) for _ in times])
    assert line.least_per_s < 0 < line.per_s + 3 * line.error_per_s
    exact = slope(times, [2.5 * each + 7 for each in times])
    assert exact.per_s == pytest.approx(2.5)
    assert exact.least_per_s == pytest.approx(2.5)


def test_a_busier_machine_is_no_drift_of_the_worker() -> None:
    """Everything takes twice as long in the last third, the reference too."""
    samples = series()
    third = len(samples) // 3
    base = samples[-third].worker_cpu_s
    slow = [
        replace(each, worker_cpu_s=base + 2 * (each.worker_cpu_s - base), reference_s=2 * each.reference_s)
        for each in samples[-third:]
    ]
    assert judge([*samples[:-third], *slow], LIMITS) == []


def test_too_few_samples_are_not_judged() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge(series()[:20], LIMITS)


def test_errors_of_the_log_are_seen() -> None:
    log = [{"event": "batch_committed", "level": "info"}, {"event": "attempt_failed", "level": "error"}]
    assert errors_in(log) == ["attempt_failed"]


def stored(emitted_at: float, delay_s: float) -> StoredEvent:
    return StoredEvent(uuid.uuid4(), uuid.uuid4(), emitted_at, emitted_at + delay_s)


def test_events_that_met_a_fault_are_told_from_the_others() -> None:
    """The fault is from 10 to 12, and what it held back is visible at 15: whatever came before 15 is its victim too."""
    before, held, between, after = stored(5, 0.1), stored(11, 4), stored(14, 0.5), stored(16, 0.1)
    under_way = stored(9.9, 1)
    all_events, outside, during = delays([before, held, between, after, under_way], [FaultWindow("x", 10, 12)])
    assert (all_events.events, outside.events, during.events) == (5, 2, 3)
    assert (during.name, during.most) == ("x", 4)
    assert outside.most == pytest.approx(0.1)


def test_a_timeline_counts_from_the_first_event() -> None:
    steps = timeline([stored(103, 1), stored(112, 2), stored(114, 4), stored(131, 1)])
    assert [(step.name, step.events, step.most) for step in steps] == [("0 s", 2, 2), ("10 s", 1, 4), ("20 s", 1, 1)]


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (50, 99, 7)


def test_every_kind_of_loss_has_a_name() -> None:
    rows = [stored(1, 0.1) for _ in range(3)]
    emitted = {row.execution_id: 1 for row in rows}
    fine: dict[str, Any] = {
        "emitted": emitted,
        "acknowledged": [row.event_id for row in rows],
        "complete": list(emitted),
        "dead_letters": 0,
        "dropped": 0,
    }
    assert objections(rows, **fine) == {}
    assert objections(rows[1:], **fine) == {"events lost": 1, "acknowledged events lost": 1}
    assert objections([*rows, rows[0]], **fine) == {"events twice": 1, "events of nobody": 1}
    assert objections(rows, **{**fine, "complete": list(emitted)[1:]}) == {"executions not complete": 1}
    assert objections(rows, **{**fine, "dead_letters": 2, "dropped": 3}) == {"dead letters": 2, "events dropped": 3}
