"""The verdict: what the paired difference of the primary metric says, and what it takes to say more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from arc_eval_db.recommendations.measuring import Measured
from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.planning import SCENARIOS_PLANNED_MAX, detectable_difference, scenarios_needed
from arc_eval_db.recommendations.report import ComparisonOptions, Difference, Verdict, VerdictKind
from arc_eval_db.recommendations.samples import Moments
from arc_eval_db.recommendations.statistics import Interval


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to find the difference of interest. None: it cannot be said yet."""

    difference: float | None
    scenarios: int | None
    detectable: float | None
    runs_more_a: int | None
    runs_more_b: int | None
    is_planned: bool
    """Whether `scenarios` comes from what varies, and not only from what a verdict takes at the least."""


def decide(measured: Measured, difference: Difference | None, options: ComparisonOptions) -> Verdict:
    """The verdict on one metric, from its paired difference."""
    plan = _plan(measured, difference, options)
    kind, text = _decide(measured, difference, options, plan)
    return Verdict(
        kind,
        measured.metric,
        text,
        len(measured.common),
        plan.difference,
        plan.detectable,
        plan.scenarios,
        plan.runs_more_a,
        plan.runs_more_b,
    )


def _decide(
    measured: Measured, difference: Difference | None, options: ComparisonOptions, plan: Plan
) -> tuple[VerdictKind, str]:
    metric = measured.metric
    if difference is None or difference.scenarios < options.scenarios_min:
        return VerdictKind.TOO_FEW_RUNS, _too_few(measured, options, plan)
    margin = _in_unit(options.margin, measured, difference)
    if difference.interval is None:
        return _decide_by_signs(metric, difference, margin, options)
    interval, level = difference.interval, options.level
    shown = (
        f"B's {metric.label} is {metric.in_words(difference.b_mean)} against {metric.in_words(difference.a_mean)}: "
        f"{metric.in_words(difference.difference, signed=True)} ({level}: {_range(metric, interval)})"
    )
    over = f"over {difference.scenarios} common scenarios"
    is_found = not interval.contains(0)
    pivot = measured.pivot
    if margin is not None and pivot is not None and pivot.interval(2 * options.alpha).within(margin):
        also = "; there is a difference, and it is smaller than that" if is_found else ""
        return (
            VerdictKind.EQUIVALENT,
            f"equivalent within {metric.in_words(margin, signed=True).lstrip('+')}{also}: {shown}, {over}",
        )
    if is_found:
        kind = _direction(metric, difference)
        return kind, f"{kind.value}: {shown}, {over}"
    compatible = (
        f"no difference found: {metric.in_words(difference.difference, signed=True)} {over}; the data are compatible "
        f"with anything from {_range(metric, interval)} ({level})"
    )
    return VerdictKind.NO_DIFFERENCE_FOUND, ". ".join([compatible, *_what_it_takes(metric, options, plan)])


def _decide_by_signs(
    metric: Metric, difference: Difference, margin: float | None, options: ComparisonOptions
) -> tuple[VerdictKind, str]:
    """Of scenarios that all changed by the same: an interval of width 0 would be certainty, which they do not give."""
    scenarios, p_value = difference.scenarios, difference.p_value
    if difference.difference == 0:
        return VerdictKind.NO_DIFFERENCE_FOUND, (
            f"no difference found: {metric.label} {metric.in_words(difference.a_mean)} on both sides, over {scenarios} "
            "common scenarios; where nothing varies, nothing tells how large a difference there may be"
        )
    same = (
        f"{metric.in_words(difference.difference, signed=True)} of {metric.label} in each of {scenarios} common "
        "scenarios alike, so that nothing tells how large the difference may be beyond these"
    )
    if margin is not None and abs(difference.difference) < margin:
        return VerdictKind.NO_DIFFERENCE_FOUND, f"no difference that matters found: {same}"
    if p_value is not None and p_value < options.alpha:
        kind = _direction(metric, difference)
        return kind, f"{kind.value}: {same}; chance alone seldom sends all one way (sign test, p = {p_value:.2g})"
    return VerdictKind.NO_DIFFERENCE_FOUND, f"no difference found: {same}; chance alone may send so few all one way"


def _direction(metric: Metric, difference: Difference) -> VerdictKind:
    is_better = (difference.difference > 0) is metric.higher_is_better
    return VerdictKind.BETTER if is_better else VerdictKind.WORSE


def _too_few(measured: Measured, options: ComparisonOptions, plan: Plan) -> str:
    common, least = len(measured.common), options.scenarios_min
    missing = f"{least - common} more" if common < least else "more with this metric"
    text = f"too few runs for a verdict: {_scenarios(common)}, and it takes at least {least}, so {missing}"
    # Of what has no mean yet nobody knows what it takes to find a difference: only what it takes to begin.
    planned = _more(measured.metric, options, plan) if plan.is_planned else [f"That takes about {_runs(plan)}"]
    return ". ".join([text, *planned])


def _what_it_takes(metric: Metric, options: ComparisonOptions, plan: Plan) -> list[str]:
    found = []
    if plan.detectable is not None:
        size = metric.in_words(plan.detectable, signed=True).lstrip("+")
        found.append(f"A difference of {size} would have been found with a probability of {options.power:.0%}")
    return [*found, *_more(metric, options, plan)]


def _more(metric: Metric, options: ComparisonOptions, plan: Plan) -> list[str]:
    if plan.scenarios is None or plan.difference is None:
        return []
    size = metric.in_words(plan.difference, signed=True).lstrip("+")
    if plan.scenarios >= SCENARIOS_PLANNED_MAX:
        return [f"To find {size} is out of reach"]
    if not plan.runs_more_a and not plan.runs_more_b:
        return [f"For {size} the sample is large enough"]
    takes = f"To find {size} with a probability of {options.power:.0%} takes about {plan.scenarios:,} common scenarios"
    return [f"{takes}: {_runs(plan)}"]


def _runs(plan: Plan) -> str:
    return f"{plan.runs_more_a or 0:,} more runs of A and {plan.runs_more_b or 0:,} of B"


def _plan(measured: Measured, difference: Difference | None, options: ComparisonOptions) -> Plan:
    deviation = measured.deviation()
    interest = _in_unit(options.detect, measured, difference)
    common = len(measured.common)
    detectable = None
    if deviation and common >= 2:
        detectable = detectable_difference(deviation, common, alpha=options.alpha, power=options.power)
    # Of what has no mean yet, or does not vary where little was seen, nothing can be planned but the least.
    needed = options.scenarios_min
    is_planned = deviation is not None and bool(interest)
    if deviation is not None and interest:
        needed = max(needed, scenarios_needed(deviation, interest, alpha=options.alpha, power=options.power))
    a, b = _scenarios_to_run(max(0, needed - common), len(measured.a) - common, len(measured.b) - common)
    runs = (a * _runs_per_scenario(measured.a), b * _runs_per_scenario(measured.b))
    return Plan(interest, needed, detectable, *runs, is_planned)


def _scenarios_to_run(more: int, only_a: int, only_b: int) -> tuple[int, int]:
    """How many scenarios A must still run, and B, so that there are `more` common ones.

    First those that one side has run already, of either in proportion; what is missing then, both run.
    """
    one_sided = only_a + only_b
    taken = min(more, one_sided)
    of_a, of_b = (-(-taken * only // one_sided) if one_sided else 0 for only in (only_a, only_b))
    return of_b + more - taken, of_a + more - taken


def _runs_per_scenario(side: Mapping[UUID, Moments]) -> int:
    """As it is now, rounded; 1 where there is none."""
    counts = [moments.count for moments in side.values()]
    return max(1, round(sum(counts) / len(counts))) if counts else 1


def _in_unit(value: float | None, measured: Measured, difference: Difference | None) -> float | None:
    """`detect` or `margin` in the metric's unit: of other metrics than the success rate it is a share of A's mean."""
    if value is None or measured.metric is Metric.SUCCESS:
        return value
    mean = abs(difference.a_mean) if difference else 0.0
    return value * mean if mean and math.isfinite(mean) else None


def _range(metric: Metric, interval: Interval) -> str:
    return f"{metric.number(interval.low, signed=True)} to {metric.in_words(interval.high, signed=True)}"


def _scenarios(count: int) -> str:
    return f"{count} common scenario" + ("" if count == 1 else "s")
