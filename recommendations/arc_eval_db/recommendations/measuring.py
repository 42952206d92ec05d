"""One metric of two samples: paired over common scenarios, and overall."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

import numpy as np

from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.report import Difference
from arc_eval_db.recommendations.samples import Moments, Sample
from arc_eval_db.recommendations.statistics import (
    ROUNDING,
    Array,
    Clusters,
    Interval,
    Pivot,
    cohens_h,
    hedges_g,
    overall_means,
    overall_rates,
    paired_means,
    paired_rates,
    ratio_of_means,
    sign_test,
)

ByScenario = Mapping[UUID, Moments]


@dataclass(frozen=True)
class Measured:
    """One metric on both sides, by scenario in the order of their ids."""

    metric: Metric
    a: ByScenario
    b: ByScenario
    a_sample: Sample
    b_sample: Sample

    @classmethod
    def of(cls, metric: Metric, a: Sample, b: Sample) -> Measured:
        """What the samples know of the metric."""
        return cls(metric, _by_scenario(metric, a), _by_scenario(metric, b), a, b)

    @property
    def unmeasured(self) -> list[str]:
        """The sides that have runs, and the metric of none of them: `A`, `B`."""
        sides = (("A", self.a, self.a_sample), ("B", self.b, self.b_sample))
        return [letter for letter, known, sample in sides if sample.runs and not known]

    @cached_property
    def common(self) -> list[UUID]:
        """Scenarios that both sides have it of."""
        return [scenario for scenario in self.a if scenario in self.b]

    @cached_property
    def pairs(self) -> tuple[list[Moments], list[Moments]]:
        """A's and B's, of each common scenario."""
        return [self.a[one] for one in self.common], [self.b[one] for one in self.common]

    @cached_property
    def differences(self) -> Array:
        """B's mean minus A's, of each common scenario; what differs in its last digits only does not differ."""
        a, b = map(_means, self.pairs)
        rounding = ROUNDING * np.maximum(np.abs(a), np.abs(b))
        differences = np.where(np.abs(b - a) <= rounding, 0.0, b - a)
        if len(differences) and np.all(np.abs(differences - differences[0]) <= rounding + rounding[0]):
            return np.full(len(differences), differences[0])
        return differences

    @cached_property
    def pivot(self) -> Pivot | None:
        """Of the mean of the differences; None where there are too few scenarios, or all changed by the same."""
        if not self.common:
            return None
        if self.metric is not Metric.SUCCESS:
            return paired_means(self.differences)
        return paired_rates(self.differences, self._steps())

    def deviation(self) -> float | None:
        """Of the per-scenario differences, for planning; None where it is not known.

        Few scenarios' rates tell nothing: then it is at least what it were if all scenarios were alike.
        """
        pivot = self.pivot
        if self.metric is not Metric.SUCCESS:
            return None if pivot is None else pivot.standard_error * math.sqrt(len(self.common))
        independent = math.sqrt(_rate_variance(self.a.values()) + _rate_variance(self.b.values()))
        if pivot is None:
            return independent
        seen = pivot.standard_error * math.sqrt(len(self.common))
        return seen if len(self.common) >= _SCENARIOS_TO_PLAN_BY else max(seen, independent)

    def paired(self, alpha: float) -> Difference | None:
        """Over common scenarios; None where there is none."""
        common = self.common
        if not common:
            return None
        a_means, b_means = map(_means, self.pairs)
        a_mean, b_mean = float(a_means.mean()), float(b_means.mean())
        # The mean of the differences: where nothing differs it is 0, and not the last digit of two sums.
        difference = float(self.differences.mean())
        pivot = self.pivot
        p_value = pivot.p_value() if pivot else sign_test(self.differences) if len(common) > 1 else None
        ones = np.ones(len(common))
        spread = (float(a_means.var(ddof=1)), float(b_means.var(ddof=1))) if len(common) > 1 else (0.0, 0.0)
        return Difference(
            len(common),
            a_mean,
            b_mean,
            difference,
            pivot.interval(alpha) if pivot else None,
            *self._ratio(Clusters(ones, a_means, ones, b_means), alpha),
            *self._effect(a_mean, b_mean, difference, spread, 2 * len(common)),
            p_value,
        )

    def overall(self, alpha: float) -> Difference | None:
        """Over all runs; None where a side has none."""
        if not self.a or not self.b:
            return None
        clusters = self._clusters()
        if self.metric is Metric.SUCCESS:
            interval: Interval | None = overall_rates(clusters, alpha)
        else:
            pivot = overall_means(clusters)
            interval = pivot.interval(alpha) if pivot else None
        difference = clusters.b_mean - clusters.a_mean
        spread = _variance(self.a.values()), _variance(self.b.values())
        runs = int(clusters.a_counts.sum() + clusters.b_counts.sum())
        return Difference(
            len(clusters.a_counts),
            clusters.a_mean,
            clusters.b_mean,
            difference,
            interval,
            *self._ratio(clusters, alpha),
            *self._effect(clusters.a_mean, clusters.b_mean, difference, spread, runs),
        )

    def _steps(self) -> Array:
        """The quadratic mean of what one run is worth on either side, of each common scenario."""
        a, b = map(_counts, self.pairs)
        return np.sqrt((a**-2 + b**-2) / 2)

    def _clusters(self) -> Clusters:
        scenarios = sorted({*self.a, *self.b}, key=lambda one: one.int)
        a, b = ([side.get(one, _NOTHING) for one in scenarios] for side in (self.a, self.b))
        return Clusters(_counts(a), _counts(a) * _means(a), _counts(b), _counts(b) * _means(b))

    def _ratio(self, clusters: Clusters, alpha: float) -> tuple[float | None, Interval | None]:
        if clusters.a_mean <= 0:
            return None, None
        ratio = clusters.b_mean / clusters.a_mean
        # Of rates it would be nothing like normal where successes are few, as they often are.
        return ratio, None if self.metric is Metric.SUCCESS else ratio_of_means(clusters, alpha)

    def _effect(
        self, a_mean: float, b_mean: float, difference: float, spread: tuple[float, float], count: int
    ) -> tuple[float | None, Literal["cohens_h", "hedges_g"]]:
        if self.metric is Metric.SUCCESS:
            return cohens_h(a_mean, b_mean), "cohens_h"
        return hedges_g(difference, *spread, count), "hedges_g"


_NOTHING = Moments(0, 0.0, 0.0)
_SCENARIOS_TO_PLAN_BY = 10


def _by_scenario(metric: Metric, sample: Sample) -> dict[UUID, Moments]:
    return {scenario_id: moments for scenario_id, one in sample.with_runs.items() if (moments := one.moments(metric))}


def _means(moments: Sequence[Moments]) -> Array:
    return np.array([one.mean for one in moments], dtype=np.float64)


def _counts(moments: Sequence[Moments]) -> Array:
    return np.array([one.count for one in moments], dtype=np.float64)


def _variance(moments: Iterable[Moments]) -> float:
    """Over all runs, around their common mean."""
    found = list(moments)
    counts, means = _counts(found), _means(found)
    total = float(counts.sum())
    if total < 2:
        return 0.0
    mean = float((counts * means).sum()) / total
    within = float((counts * np.array([one.variance for one in found])).sum())
    return (within + float((counts * (means - mean) ** 2).sum())) / (total - 1)


def _rate_variance(moments: Iterable[Moments]) -> float:
    """Of a scenario's rate, if its runs were drawn from all alike; a half where nothing is known."""
    found = list(moments)
    if not found:
        return 0.25
    counts = _counts(found)
    runs = float(counts.sum())
    rate = (float((counts * _means(found)).sum()) + 1) / (runs + 2)
    return rate * (1 - rate) * float(np.mean(1 / counts))
