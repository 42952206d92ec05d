"""`arc-eval-db compare`: which of two configurations is better, and how sure that is."""

from __future__ import annotations

import importlib.util
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.moments import MOMENT, require_span
from arc_eval_db.cli.running import command, database_settings, json_option, print_json, run_async
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError

if TYPE_CHECKING:
    from arc_eval_db.recommendations import ComparisonOptions, ComparisonReport

# As `Metric` and `VerdictKind` have them, which are not imported before they are needed: scipy takes a second.
METRICS = ("success", "score", "cost_usd", "duration_ms", "tool_errors")
VERDICTS = ("better", "worse", "equivalent", "no_difference_found", "too_few_runs")


class StatisticsMissingError(FatalError):
    """compare needs scipy and statsmodels; install them with: pip install 'arc-eval-db[recommendations]'"""


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--since", type=MOMENT, help="Only runs that ended from then on: an age such as 7d, or ISO 8601.")
@click.option("--until", type=MOMENT, help="Only runs that ended before then.")
@click.option(
    "--metric", type=click.Choice(METRICS), default="success", show_default=True, help="What the verdict is about."
)
@click.option(
    "--detect",
    type=FiniteRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="The smallest difference of interest: points of the success rate; of another metric, % of A's mean.",
)
@click.option(
    "--margin",
    type=FiniteRange(0, min_open=True),
    help="A difference below this does not matter (as --detect): the verdict may be that A and B are equivalent.",
)
@click.option("--alpha", type=FiniteRange(1e-6, 0.5, max_open=True), default=0.05, show_default=True)
@click.option("--power", type=FiniteRange(0, 0.9999, min_open=True), default=0.8, show_default=True)
@click.option(
    "--scenarios-min",
    type=click.IntRange(2),
    default=10,
    show_default=True,
    help="Scenarios that both have run, below which there is no verdict.",
)
@click.option(
    "--runs-max", type=click.IntRange(1), default=50_000, show_default=True, help="Of each side, the latest runs."
)
@click.option("--flips", "flips_max", type=click.IntRange(0), default=20, show_default=True, help="Flips to show.")
@click.option(
    "--fail-if",
    type=click.Choice(VERDICTS),
    multiple=True,
    help="Exit with 3 where this is the verdict; can be given several times.",
)
@json_option
@command
def compare(
    a: str,
    b: str,
    since: datetime | None,
    until: datetime | None,
    detect: float,
    margin: float | None,
    runs_max: int,
    flips_max: int,
    fail_if: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Compare configuration B with A, the baseline, over the scenarios that both have run.

    A and B are configuration versions: NAME (its latest), NAME@3, NAME@production, an id, or `sha256:` and the
    beginning of a content hash.

    The verdict is about one metric (--metric); it rests on the scenarios that both have run, each of the same weight.
    What no difference was found in is not the same: the interval says what there may be.

    \b
    In a script, to stop where B is worse than A or where that cannot be told yet:
      arc-eval-db compare A B --fail-if worse --fail-if too_few_runs
    """
    require_span(since, until)
    _require_statistics()
    from arc_eval_db.cli.compare_output import print_report  # noqa: PLC0415 - takes a second, and needs the extra
    from arc_eval_db.recommendations import ComparisonOptions  # noqa: PLC0415 - see above

    chosen = ComparisonOptions(detect=detect / 100, margin=None if margin is None else margin / 100, **options)
    report = run_async(_compare(a, b, chosen, since, until, runs_max))
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report, flips_max)
    if report.verdict.kind in fail_if:
        raise SystemExit(EXIT_FOUND)


def _require_statistics() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("scipy", "statsmodels")):
        raise StatisticsMissingError


async def _compare(
    a: str, b: str, options: ComparisonOptions, since: datetime | None, until: datetime | None, runs_max: int
) -> ComparisonReport:
    from arc_eval_db.recommendations import compare as compare_versions  # noqa: PLC0415 - see above

    async with await Session.connect(database_settings(), application_name="arc-eval-db compare") as session:
        return await compare_versions(session, a, b, options, since=since, until=until, runs_max=runs_max)
