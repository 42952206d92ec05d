"""The verdict: what the paired difference of the primary metric says, and what it takes to say more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arc_eval_db.recommendations.measuring import Measured
from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.planning import (
    SCENARIOS_PLANNED_MAX,
    detectable_difference,
    scenarios_needed,
    scenarios_one_way,
)
from arc_eval_db.recommendations.report import ComparisonOptions, Difference, Verdict, VerdictKind
from arc_eval_db.recommendations.samples import Sample
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
    kind, text = (
        _decide_by_signs(metric, difference, margin, options, plan)
        if difference.interval is None
        else _decide_by_interval(measured, difference, difference.interval, margin, options, plan)
    )
    if options.margin is not None and margin is None:
        text = f"{text}. A's {metric.label} is 0, of which no margin is a share"
    return kind, text


def _decide_by_interval(
    measured: Measured,
    difference: Difference,
    interval: Interval,
    margin: float | None,
    options: ComparisonOptions,
    plan: Plan,
) -> tuple[VerdictKind, str]:
    metric, level = measured.metric, options.level
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
    metric: Metric, difference: Difference, margin: float | None, options: ComparisonOptions, plan: Plan
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
    is_found = p_value is not None and p_value < options.alpha
    chance = f"; chance alone seldom sends all one way (sign test, p = {p_value:.2g})" if is_found else ""
    if margin is not None and abs(difference.difference) < margin:
        return VerdictKind.NO_DIFFERENCE_FOUND, f"no difference that matters found: {same}{chance}"
    if is_found:
        kind = _direction(metric, difference)
        return kind, f"{kind.value}: {same}{chance}"
    return VerdictKind.NO_DIFFERENCE_FOUND, (
        f"no difference found: {same}; chance alone may send so few all one way, and seldom {plan.scenarios}: "
        f"{_runs(plan)}"
    )


def _direction(metric: Metric, difference: Difference) -> VerdictKind:
    is_better = (difference.difference > 0) is metric.higher_is_better
    return VerdictKind.BETTER if is_better else VerdictKind.WORSE


def _too_few(measured: Measured, options: ComparisonOptions, plan: Plan) -> str:
    if measured.unmeasured:
        sides = " or of ".join(measured.unmeasured)
        return f"no verdict: {measured.metric.label} was not measured in any run of {sides}"
    common, least = len(measured.common), options.scenarios_min
    known = "" if measured.metric is Metric.SUCCESS else f" with {measured.metric.label}"
    text = (
        f"too few runs for a verdict: {_scenarios(common)}{known}, and it takes at least {least}, so "
        f"{least - common} more"
    )
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
        found = detectable_difference(deviation, common, alpha=options.alpha, power=options.power)
        # No two rates differ by more than 1.
        detectable = None if measured.metric is Metric.SUCCESS and found > 1 else found
    needed: int | None = options.scenarios_min
    is_planned = deviation is not None and bool(interest)
    if deviation is not None and interest:
        by_power = scenarios_needed(deviation, interest, alpha=options.alpha, power=options.power)
        needed = max(options.scenarios_min, by_power)
    elif difference is not None and difference.interval is None and difference.difference != 0:
        needed = max(options.scenarios_min, scenarios_one_way(options.alpha))
    elif common >= options.scenarios_min or measured.unmeasured:
        # What has no mean yet, or varies nowhere, tells nothing beyond the least.
        needed = None
    if needed is None:
        return Plan(interest, None, detectable, None, None, is_planned)
    a, b = _scenarios_to_run(max(0, needed - common), len(measured.a) - common, len(measured.b) - common)
    runs = (a * _runs_per_scenario(measured.a_sample), b * _runs_per_scenario(measured.b_sample))
    return Plan(interest, needed, detectable, *runs, is_planned)


def _scenarios_to_run(more: int, only_a: int, only_b: int) -> tuple[int, int]:
    """How many scenarios A must still run, and B, so that there are `more` common ones.

    First those that one side has run already, of either in proportion; what is missing then, both run.
    """
    one_sided = only_a + only_b
    taken = min(more, one_sided)
    of_a, of_b = (-(-taken * only // one_sided) if one_sided else 0 for only in (only_a, only_b))
    return of_b + more - taken, of_a + more - taken


def _runs_per_scenario(sample: Sample) -> int:
    """As it is now, rounded; 1 where there is none. Runs in which the metric was not measured are needed too."""
    return max(1, round(sample.runs / len(sample.with_runs))) if sample.with_runs else 1


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
