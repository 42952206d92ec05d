"""The statistics of a comparison: pure functions over arrays, one element a scenario.

docs/comparison.md says why these. Everything is B minus A, and nothing is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""The share of a value that is no more than its last digits: three times 0.1, added up and divided by three, is not
0.1."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        """Whether the data are compatible with the value."""
        return self.low <= value <= self.high

    def within(self, margin: float) -> bool:
        """Whether all of it is nearer to nothing than the margin."""
        return -margin < self.low and self.high < margin


@dataclass(frozen=True, slots=True)
class Pivot:
    """An estimate whose distance from the truth, in standard errors, has a known distribution (Student's t)."""

    center: float
    standard_error: float
    """Above 0: what varies nowhere tells nothing about how far off it is."""
    degrees_of_freedom: float
    """Infinite: the normal distribution."""
    limit: float = math.inf
    """The quantity is never further than this from 0."""

    def interval(self, alpha: float) -> Interval:
        """Covers the truth with probability 1 - alpha."""
        half = float(stats.t.ppf(1 - alpha / 2, self.degrees_of_freedom)) * self.standard_error
        return Interval(max(self.center - half, -self.limit), min(self.center + half, self.limit))

    def p_value(self) -> float:
        """Of the hypothesis that the truth is 0, two-sided; below alpha exactly where the interval leaves 0 out."""
        return float(2 * stats.t.sf(abs(self.center) / self.standard_error, self.degrees_of_freedom))


def paired_rates(differences: Array, steps: Array) -> Pivot:
    """The mean of per-scenario differences of success rates, by Bonett and Price's Laplace adjustment.

    Two pairs of runs are added, one better and one worse: rates of which none has differed yet get an honest interval,
    not one of width 0. With one run a scenario and side this is their interval (2012), as published; with more, a pair
    is that share of a scenario, and Student's t takes the place of the normal distribution.

    Args:
        steps: by how much one run changes each scenario's difference, such as 1/3 with three runs.
    """
    scenarios, step = len(differences), math.sqrt(float(np.mean(steps**2)))
    count = scenarios + 2 * step
    center = float(np.sum(differences)) / count
    variance = max((float(np.sum(differences**2)) + 2 * step**2) / count - center**2, 0.0)
    if bool(np.all(steps == 1)):
        return Pivot(center, math.sqrt(variance / count), math.inf, limit=1.0)
    # With one scenario there is no spread to go by, as little as with one value.
    freedom = max(scenarios - 1, 1)
    return Pivot(center, math.sqrt(variance / max(count - 1, 1.0)), freedom, limit=1.0)


def paired_means(differences: Array) -> Pivot | None:
    """The mean of per-scenario differences, by Student's t; None with fewer than two, or where all are the same."""
    count = len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count) if count >= 2 and np.ptp(differences) else 0.0
    # Also where it is smaller than the smallest number.
    return Pivot(float(np.mean(differences)), error, count - 1) if error else None


def sign_test(differences: Array) -> float | None:
    """The p-value of as many scenarios that became more as became less, two-sided and exact; None without any.

    It needs no spread: with the two sides swapped by chance, all of `n` scenarios go the same way once in 2^(n - 1).
    """
    if not len(differences):
        return None
    more, less = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    return float(stats.binomtest(more, more + less).pvalue) if more + less else 1.0


@dataclass(frozen=True, slots=True)
class Clusters:
    """Both sides' runs by scenario, over the scenarios of either; 0 where a side has none."""

    a_counts: Array
    a_sums: Array
    b_counts: Array
    b_sums: Array

    @property
    def a_mean(self) -> float:
        """Over all runs of A."""
        return float(self.a_sums.sum() / self.a_counts.sum())

    @property
    def b_mean(self) -> float:
        """Over all runs of B."""
        return float(self.b_sums.sum() / self.b_counts.sum())

    @property
    def degrees_of_freedom(self) -> int:
        """One less than the scenarios of the side that has fewer."""
        return int(min(np.count_nonzero(self.a_counts), np.count_nonzero(self.b_counts))) - 1

    def residuals(self) -> tuple[Array, Array]:
        """What each scenario adds to the error of A's mean, and of B's."""
        a = (self.a_sums - self.a_counts * self.a_mean) / self.a_counts.sum()
        b = (self.b_sums - self.b_counts * self.b_mean) / self.b_counts.sum()
        return a, b


def overall_means(clusters: Clusters) -> Pivot | None:
    """The difference of the means over all runs; scenarios are the clusters (linearised, as in surveys).

    None where a side has fewer than two scenarios, and where nothing varies.
    """
    if clusters.degrees_of_freedom < 1:
        return None
    a, b = clusters.residuals()
    error = _clustered_error(b - a)
    if error <= ROUNDING * max(abs(clusters.a_mean), abs(clusters.b_mean)):
        return None
    return Pivot(clusters.b_mean - clusters.a_mean, error, clusters.degrees_of_freedom)


def ratio_of_means(clusters: Clusters, alpha: float) -> Interval | None:
    """B's mean over A's, by Fieller's theorem.

    None where either mean cannot be told from 0, and where the ratio is the same in all scenarios.
    """
    if clusters.degrees_of_freedom < 1:
        return None
    a, b = clusters.residuals()
    squared = float(stats.t.ppf(1 - alpha / 2, clusters.degrees_of_freedom)) ** 2 * len(a) / (len(a) - 1)
    # The ratios r for which the mean of B - r A is compatible with 0: between the roots of x r^2 - 2 y r + z.
    x = clusters.a_mean**2 - squared * float(a @ a)
    y = clusters.a_mean * clusters.b_mean - squared * float(a @ b)
    z = clusters.b_mean**2 - squared * float(b @ b)
    if x <= 0 or z <= 0 or y <= 0:
        return None
    squared_root = y**2 - x * z
    if squared_root <= ROUNDING * y**2:
        return None
    root = math.sqrt(squared_root)
    # One root as usual and the other through their product, so that no digits cancel.
    return Interval(z / (y + root), (y + root) / x)


def overall_rates(clusters: Clusters, alpha: float) -> Interval:
    """The difference of success rates over all runs: Newcombe's hybrid score interval.

    Runs of one scenario tell less than runs of several: each side counts as so many runs as it is worth by Rao and
    Scott's design effect. The two are taken for independent, so that it is wider than it need be where they share
    scenarios.
    """
    a_effect, b_effect = _design_effects(clusters)
    a_count, b_count = clusters.a_counts.sum() / a_effect, clusters.b_counts.sum() / b_effect
    low, high = confint_proportions_2indep(
        *(clusters.b_mean * b_count, b_count, clusters.a_mean * a_count, a_count), method="newcomb", alpha=alpha
    )
    return Interval(float(low), float(high))


def cohens_h(a_rate: float, b_rate: float) -> float:
    """The difference of two rates on a scale where 0.2 is small, 0.5 medium and 0.8 large."""
    return float(proportion_effectsize(b_rate, a_rate))


def hedges_g(difference: float, a_variance: float, b_variance: float, count: int) -> float | None:
    """The difference in standard deviations (their quadratic mean), corrected for small samples; None without spread.

    Args:
        count: values on both sides together.
    """
    deviation = math.sqrt((a_variance + b_variance) / 2)
    freedom = count - 2
    if deviation == 0 or freedom < 1:
        return None
    return difference / deviation * (1 - 3 / (4 * freedom - 1))


def adjusted_by_holm(p_values: list[float]) -> list[float]:
    """p-values that allow for there being several, by Holm's method.

    Not by statsmodels' `multipletests`: each call of it collects all garbage of the process, which a server feels.
    """
    count, least = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min((count - rank) * p_values[index], 1.0))
        adjusted[index] = least
    return adjusted


def _clustered_error(contributions: Array) -> float:
    clusters = len(contributions)
    return math.sqrt(clusters / (clusters - 1) * float(np.sum(contributions**2)))


def _design_effects(clusters: Clusters) -> tuple[float, float]:
    found = [_design_effect(clusters.a_counts, clusters.a_sums), _design_effect(clusters.b_counts, clusters.b_sums)]
    known = [effect for effect in found if effect is not None]
    if known:
        # A rate of 0 or 1 does not show it: the other side's is the best there is.
        return found[0] or known[0], found[1] or known[0]
    return _runs_per_scenario(clusters.a_counts), _runs_per_scenario(clusters.b_counts)


def _design_effect(counts: Array, successes: Array) -> float | None:
    """How many runs are worth one independent run; None where it cannot be seen."""
    if np.all(counts <= 1):
        return 1.0
    present = counts > 0
    total, clusters = float(counts.sum()), int(np.count_nonzero(present))
    rate = float(successes.sum()) / total
    if rate in (0.0, 1.0) or clusters < 2:
        return None
    clustered = clusters / (clusters - 1) * float(np.sum((successes - counts * rate)[present] ** 2)) / total**2
    return max(1.0, clustered / (rate * (1 - rate) / total))


def _runs_per_scenario(counts: Array) -> float:
    return float(counts.sum()) / int(np.count_nonzero(counts))
