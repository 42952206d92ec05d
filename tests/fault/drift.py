"""Whether a system under a steady load stays as it is: pure functions over samples of it.

Memory: a straight line is fitted (least squares) through the means of twelve consecutive blocks of samples;
neighbouring samples resemble each other, and means of blocks hardly do. It is a drift where the line's slope exceeds
the limit even at the lower end of its 99 % confidence interval (one-sided, t distribution with ten degrees of freedom),
and the line rises by more than an allocator takes at a time.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BLOCKS = 12

STUDENT_T = 2.764
"""99 % of the t distribution with ten degrees of freedom: twelve blocks, two parameters."""

GROWTH_BYTES_MIN = 4 * 2**20
"""pymalloc takes memory in pieces of 1 MB, and malloc in pieces that it chooses: less is not a leak yet."""

DESCRIPTORS_TOLERANCE = 2
"""Kafka's client opens and closes a connection now and then."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment."""

    at_s: float
    """Since the load began, by a steady clock."""
    worker_rss_bytes: int
    worker_descriptors: int
    worker_threads: int
    worker_cpu_s: float
    """Processor time since its start."""
    reference_s: float
    """Processor time of a fixed computation at that moment: how slow the machine is, whoever else uses it."""
    producer_rss_bytes: int
    producer_descriptors: int
    connections: int
    """Of clients, at the database."""
    lag_messages: int
    emitted: int
    """Events since the load began."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is not a drift yet."""

    rate: float
    """Events a second that were to be emitted."""
    worker_bytes_per_hour: float = 8 * 2**20
    producer_bytes_per_hour: float = 8 * 2**20
    cpu_ratio: float = 1.25
    """Processor time for an event in the last third, against the first; both by how slow the machine was."""
    throughput_share: float = 0.95
    lag_s: float = 2.0
    """In the last third, the lag must once come down to what is emitted in so many seconds."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A figure that moved."""

    figure: str
    seen: str


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through samples."""

    per_s: float
    error_per_s: float
    """Standard error of the slope."""
    seconds: float

    @property
    def least_per_s(self) -> float:
        """The lower end of the confidence interval."""
        return self.per_s - STUDENT_T * self.error_per_s


def judge(samples: Sequence[Sample], limits: Limits) -> list[Drift]:
    """Everything that drifted; the samples of the warm-up must be left out.

    Raises:
        ValueError: too few samples to judge by.
    """
    if len(samples) < 2 * BLOCKS:
        raise ValueError(f"{len(samples)} samples are too few to judge by; {2 * BLOCKS} are needed")
    found = [
        _memory("memory of the worker", samples, lambda each: each.worker_rss_bytes, limits.worker_bytes_per_hour),
        _memory(
            "memory of the producer", samples, lambda each: each.producer_rss_bytes, limits.producer_bytes_per_hour
        ),
        _level("descriptors of the worker", samples, lambda each: each.worker_descriptors, DESCRIPTORS_TOLERANCE),
        _level("descriptors of the producer", samples, lambda each: each.producer_descriptors, DESCRIPTORS_TOLERANCE),
        _level("threads of the worker", samples, lambda each: each.worker_threads, 0),
        _level("connections to the database", samples, lambda each: each.connections, 0),
        _lag(samples, limits),
        _cpu(samples, limits),
        _throughput(samples, limits),
    ]
    return [drift for drift in found if drift is not None]


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """The line through the means of blocks."""
    size = len(times) / BLOCKS
    bounds = [round(number * size) for number in range(BLOCKS + 1)]
    blocks = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    x = [statistics.fmean(times[block]) for block in blocks]
    y = [statistics.fmean(values[block]) for block in blocks]
    line = statistics.linear_regression(x, y)
    middle = statistics.fmean(x)
    spread = sum((each - middle) ** 2 for each in x)
    residual = sum((b - line.slope * a - line.intercept) ** 2 for a, b in zip(x, y, strict=True))
    return Slope(line.slope, math.sqrt(residual / (BLOCKS - 2) / spread), times[-1] - times[0])


def _memory(
    figure: str, samples: Sequence[Sample], of: Callable[[Sample], int], limit_bytes_per_hour: float
) -> Drift | None:
    line = slope([each.at_s for each in samples], [of(each) for each in samples])
    if line.least_per_s * 3600 <= limit_bytes_per_hour or line.per_s * line.seconds <= GROWTH_BYTES_MIN:
        return None
    per_hour, least = (value * 3600 / 2**20 for value in (line.per_s, line.least_per_s))
    return Drift(figure, f"+{per_hour:.1f} MiB an hour (with 99 % confidence at least +{least:.1f})")


def _level(figure: str, samples: Sequence[Sample], of: Callable[[Sample], int], tolerance: int) -> Drift | None:
    before, after = (statistics.median(map(of, third)) for third in _outer_thirds(samples))
    if after - before <= tolerance:
        return None
    return Drift(figure, f"{before:g} in the first third, {after:g} in the last")


def _lag(samples: Sequence[Sample], limits: Limits) -> Drift | None:
    _, last = _outer_thirds(samples)
    least = min(each.lag_messages for each in last)
    if least <= limits.rate * limits.lag_s:
        return None
    return Drift("lag", f"never below {least} messages in the last third")


def _cpu(samples: Sequence[Sample], limits: Limits) -> Drift | None:
    before, after = (_references_per_event(third) for third in _outer_thirds(samples))
    if after <= before * limits.cpu_ratio:
        return None
    return Drift(
        "processor time of the worker", f"{after / before:.2f} times as much for an event as in the first third"
    )


def _references_per_event(samples: Sequence[Sample]) -> float:
    first, last = samples[0], samples[-1]
    per_event_s = (last.worker_cpu_s - first.worker_cpu_s) / max(1, last.emitted - first.emitted)
    return per_event_s / statistics.median(each.reference_s for each in samples)


def _throughput(samples: Sequence[Sample], limits: Limits) -> Drift | None:
    first, last = samples[0], samples[-1]
    rate = (last.emitted - first.emitted) / (last.at_s - first.at_s)
    if rate >= limits.rate * limits.throughput_share:
        return None
    return Drift("throughput", f"{rate:.0f} events a second instead of {limits.rate:g}")


def _outer_thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    third = len(samples) // 3
    return samples[:third], samples[-third:]
