"""Two samples, compared. Pure: `comparing.compare` reads the samples from the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from arc_eval_db.recommendations.deciding import decide
from arc_eval_db.recommendations.measuring import Measured
from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.report import (
    ComparisonOptions,
    ComparisonReport,
    FlipKind,
    MetricComparison,
    ScenarioFlip,
    Side,
)
from arc_eval_db.recommendations.samples import Sample, ScenarioSample
from arc_eval_db.recommendations.statistics import adjusted_by_holm
from arc_eval_db.schemas.status import ExecutionStatus

# Above this share a verdict may have more to do with which runs ended than with how they went.
_LEFT_OUT_SHARE = 0.05


def compare_samples(
    a: Sample,
    b: Sample,
    options: ComparisonOptions | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ComparisonReport:
    """B against A, the baseline. The same samples always give the same report, whatever the order of their scenarios.

    Example:
        >>> from arc_eval_db.recommendations import RunResult, sample_of_runs
        >>> tasks = [f"task {number}" for number in range(40)]
        >>> a = sample_of_runs(RunResult(task, "failed") for task in tasks)
        >>> b = sample_of_runs(RunResult(task, "succeeded" if "7" in task else "failed") for task in tasks)
        >>> print(compare_samples(a, b).verdict.kind)
        no_difference_found

    Args:
        since: only to be told in the report, as is `until`.
    """
    options = options or ComparisonOptions()
    measured = [Measured.of(metric, a, b) for metric in Metric]
    metrics = _adjusted([_compare_metric(one, a, b, options) for one in measured], options)
    primary = next(one for one in measured if one.metric is options.metric)
    paired = next(one.paired for one in metrics if one.metric is options.metric)
    a_side, b_side = _side(a, b), _side(b, a)
    return ComparisonReport(
        a=a_side,
        b=b_side,
        since=since,
        until=until,
        options=options,
        common_scenarios=a_side.scenarios - a_side.scenarios_alone,
        verdict=decide(primary, paired, options),
        metrics=metrics,
        flips=_flips(a, b),
        notes=tuple(_notes(a_side, b_side)),
    )


def _compare_metric(measured: Measured, a: Sample, b: Sample, options: ComparisonOptions) -> MetricComparison:
    a_known, b_known = (sum(one.count for one in side.values()) for side in (measured.a, measured.b))
    return MetricComparison(
        measured.metric,
        a.runs - a_known,
        b.runs - b_known,
        measured.paired(options.alpha),
        measured.overall(options.alpha),
    )


def _adjusted(metrics: Sequence[MetricComparison], options: ComparisonOptions) -> tuple[MetricComparison, ...]:
    """With p-values that allow for there being several metrics beside the one that decides."""
    known = {
        one.metric: one.paired.p_value
        for one in metrics
        if one.metric is not options.metric and one.paired is not None and one.paired.p_value is not None
    }
    values = dict(zip(known, adjusted_by_holm(list(known.values())), strict=True))
    return tuple(
        replace(one, paired=replace(one.paired, p_value_adjusted=values[one.metric]))
        if one.paired is not None and one.metric in values
        else one
        for one in metrics
    )


def _side(sample: Sample, other: Sample) -> Side:
    scenarios = sample.with_runs
    return Side(
        configuration_version_id=sample.configuration_version_id,
        name=sample.name,
        runs=sample.runs,
        scenarios=len(scenarios),
        scenarios_alone=len(scenarios.keys() - other.with_runs.keys()),
        statuses=sample.statuses,
        running=sample.running,
        abandoned=sample.abandoned,
        is_limited=sample.is_limited,
    )


def _flips(a: Sample, b: Sample) -> tuple[ScenarioFlip, ...]:
    b_scenarios = b.with_runs
    found = [
        _flip(before, after)
        for scenario_id, before in a.with_runs.items()
        if (after := b_scenarios.get(scenario_id)) is not None and _passes(before) is not _passes(after)
    ]
    return tuple(sorted(found, key=lambda flip: (flip.kind, flip.scenario or "", flip.scenario_id)))


def _flip(a: ScenarioSample, b: ScenarioSample) -> ScenarioFlip:
    return ScenarioFlip(
        FlipKind.NEWLY_PASSING if _passes(b) else FlipKind.NEWLY_FAILING,
        a.scenario_id,
        a.scenario or b.scenario,
        a.succeeded,
        a.runs,
        b.succeeded,
        b.runs,
    )


def _passes(scenario: ScenarioSample) -> bool:
    return 2 * scenario.succeeded > scenario.runs


def _notes(a: Side, b: Side) -> list[str]:
    notes = []
    for letter, side in (("A", a), ("B", b)):
        cancelled = side.statuses[ExecutionStatus.CANCELLED]
        left_out = side.abandoned + cancelled
        if left_out > _LEFT_OUT_SHARE * (side.runs + left_out):
            notes.append(
                f"{side.abandoned:,} abandoned and {cancelled:,} cancelled runs of {letter} are left out: if they had "
                "something to do with the agent, the comparison favours it"
            )
        if side.running:
            notes.append(
                f"{side.running:,} runs of {letter} have not ended yet: looking again and again finds what is not there"
            )
        if side.is_limited:
            notes.append(f"only the latest {side.runs:,} runs of {letter} were read; --runs-max reads more")
    if a.scenarios_alone or b.scenarios_alone:
        notes.append(
            f"{a.scenarios_alone:,} scenarios only A has run, {b.scenarios_alone:,} only B: they count in the overall "
            "figures and not in the paired ones"
        )
    return notes
