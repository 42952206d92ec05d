"""What `arc-eval-db compare` shows people."""

from __future__ import annotations

import click

from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import print_table
from arc_eval_db.recommendations import (
    ComparisonReport,
    Difference,
    FlipKind,
    Interval,
    Metric,
    MetricComparison,
    ScenarioFlip,
    Side,
)
from arc_eval_db.schemas.status import ExecutionStatus

_ENDS = (ExecutionStatus.FAILED, ExecutionStatus.ERRORED, ExecutionStatus.TIMED_OUT, ExecutionStatus.CANCELLED)


def print_report(report: ComparisonReport, flips_max: int) -> None:
    """The verdict first, then what it rests on."""
    click.echo(f"{printable(report.verdict.text)}\n")
    _print_sides(report)
    level = f"{report.options.level} interval"
    click.echo(f"\npaired, over {report.common_scenarios:,} common scenarios, each of the same weight")
    _print_metrics([(one, one.paired) for one in report.metrics], level, with_p=True)
    click.echo("\noverall, over all runs, whichever scenarios they are of")
    _print_metrics([(one, one.overall) for one in report.metrics], level, with_p=False)
    _print_flips(report.flips, flips_max)
    click.echo(
        f"\nthe verdict is about the paired {report.verdict.metric.label} alone; the p-values of the others allow for "
        "there being several (Holm)"
    )
    for note in report.notes:
        click.echo(f"note: {note}")


def _print_sides(report: ComparisonReport) -> None:
    columns = (
        *("", "configuration", "version", "runs", "scenarios", "succeeded", "failed", "errored", "timed out"),
        *("cancelled", "running", "abandoned"),
    )
    print_table(None, columns, [_side("A", report.a), _side("B", report.b)])


def _side(letter: str, side: Side) -> tuple[object, ...]:
    return (
        letter,
        printable(side.name or "-"),
        str(side.configuration_version_id or "-")[:8],
        side.runs,
        side.scenarios,
        side.statuses[ExecutionStatus.SUCCEEDED],
        *(side.statuses[status] for status in _ENDS),
        side.running,
        side.abandoned,
    )


def _print_metrics(rows: list[tuple[MetricComparison, Difference | None]], level: str, *, with_p: bool) -> None:
    columns = ["metric", "A", "B", "B - A", level, "B / A", "effect size", *(["p"] if with_p else []), "not measured"]
    print_table(None, columns, [_metric(one, found, with_p=with_p) for one, found in rows])


def _metric(one: MetricComparison, found: Difference | None, *, with_p: bool) -> tuple[object, ...]:
    missing = f"A {one.a_missing:,}, B {one.b_missing:,}" if one.a_missing or one.b_missing else "-"
    if found is None:
        return one.metric.label, *["-"] * (7 if with_p else 6), missing
    metric = one.metric
    effect = (
        "-"
        if found.effect_size is None
        else f"{'h' if found.effect_name == 'cohens_h' else 'g'} {found.effect_size:+.2f}"
    )
    p_value = found.p_value if found.p_value_adjusted is None else found.p_value_adjusted
    return (
        metric.label,
        metric.in_words(found.a_mean),
        metric.in_words(found.b_mean),
        metric.in_words(found.difference, signed=True),
        _interval(metric, found.interval),
        "-" if found.ratio is None else f"{found.ratio:.2f}" + _ratio_interval(found.ratio_interval),
        effect,
        *([_p_value(p_value)] if with_p else []),
        missing,
    )


def _interval(metric: Metric, interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{metric.number(interval.low, signed=True)} to {metric.number(interval.high, signed=True)}"


def _ratio_interval(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:.2f} to {interval.high:.2f})"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _print_flips(flips: tuple[ScenarioFlip, ...], flips_max: int) -> None:
    failing = sum(flip.kind is FlipKind.NEWLY_FAILING for flip in flips)
    click.echo(
        f"\n{len(flips) - failing:,} scenarios newly passing, {failing:,} newly failing (more than half of the runs)"
    )
    rows = [
        (
            flip.kind.replace("_", " "),
            printable(flip.scenario or str(flip.scenario_id)),
            f"{flip.a_succeeded} of {flip.a_runs}",
            f"{flip.b_succeeded} of {flip.b_runs}",
        )
        for flip in flips[:flips_max]
    ]
    if rows:
        print_table(None, ("", "scenario", "A", "B"), rows)
    if len(flips) > flips_max:
        click.echo(f"… and {len(flips) - flips_max:,} more; --flips shows them")
