"""What `arc-eval-db replay` can be asked for, and which of it goes together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.identity import by_option
from arc_eval_db.cli.moments import MOMENT
from arc_eval_db.cli.running import json_option
from arc_eval_db.replay import EventFilter, event_types, execution_id, header, scenario_id, version_id

F = TypeVar("F", bound=Callable[..., Any])

TARGETS = ("stdout", "file", "database", "topic", "shadow")

_FILE = click.Path(dir_okay=False, path_type=Path)
_RATE = FiniteRange(min=0, min_open=True)
_SECONDS = FiniteRange(min=0)
_RANGES = "start, end, +10, -10, 4000:5000, :end, @-48h:-24h, @2026-11-01:1h (docs/replay.md)"

truncated_option = click.option(
    "--allow-truncated", is_flag=True, help="Read what is left where retention has taken some of it."
)
_WHAT = (
    click.argument("sources", nargs=-1, metavar="[TOPIC[/PARTITION][=RANGE]]..."),
    click.option("-r", "--range", "range_text", default="start", show_default=True, help=f"Of each: {_RANGES}."),
    click.option(
        "--from-file",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        help="Read a file that --to file wrote, instead of topics.",
    ),
    click.option("--execution", "executions", multiple=True, help="Only this execution's."),
    click.option(
        "--type", "types", multiple=True, help="Only this type, such as completed, tool.used or its full name."
    ),
    click.option("--configuration", "versions", multiple=True, help="Only this version's, by id."),
    click.option("--scenario", "scenarios", multiple=True, help="Only this scenario, by name or id."),
    click.option("--since", type=MOMENT, help="Only events of then or later, by their own time."),
    click.option("--until", type=MOMENT, help="Only events before then, by their own time."),
    click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="Only records with this header."),
    click.option(
        "--where", metavar="JMESPATH", help="Only events for which this holds, such as data.tool == 'lookup_order'."
    ),
    click.option("--plan", "plan_only", is_flag=True, help="Show what would be read, and end."),
    truncated_option,
)
_WHERE_TO = (
    click.option("--to", "target", type=click.Choice(TARGETS), default="stdout", show_default=True, help="Where to."),
    click.option("--file", type=_FILE, help="With --to file; .gz is packed."),
    click.option("--overwrite", is_flag=True, help="With --to file: replace a file that is there."),
    click.option("--target-topic", help="With --to topic: an existing topic."),
    click.option("--dry-run", is_flag=True, help="With --to database: do everything, take it back, and report."),
    click.option("--keep", is_flag=True, help="With --to shadow: leave the shadow tables when done."),
    click.option("--verify", is_flag=True, help="Compare the log with the tables: what is missing, changed, extra?"),
    by_option,
    json_option,
)
_HOW = (
    click.option("--rate", type=_RATE, help="Records a second at the most."),
    click.option(
        "--yield-to-lag",
        type=_SECONDS,
        metavar="SECONDS",
        help="Wait while live consumption is further behind than this.",
    ),
    click.option(
        "--group",
        default="arc-eval-db",
        show_default=True,
        help="The group that --yield-to-lag and --verify look at.",
    ),
)


def asked_options(function: F) -> F:
    """All options of a replay; the function takes what `Asked` takes."""
    for option in reversed((*_WHAT, *_WHERE_TO, *_HOW)):
        function = option(function)
    return function


def pace_options(function: F) -> F:
    """How considerate a replay is."""
    for option in reversed(_HOW):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as the command line has it."""

    sources: tuple[str, ...]
    range_text: str
    from_file: Path | None
    executions: tuple[str, ...]
    types: tuple[str, ...]
    versions: tuple[str, ...]
    scenarios: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    headers: tuple[str, ...]
    where: str | None
    plan_only: bool
    allow_truncated: bool
    target: str
    file: Path | None
    overwrite: bool
    target_topic: str | None
    dry_run: bool
    keep: bool
    verify: bool
    by: str | None
    as_json: bool
    rate: float | None
    yield_to_lag: float | None
    group: str

    def filter(self) -> EventFilter:
        """Which records are meant.

        Raises:
            FilterError: something given is not what it should be.
        """
        return EventFilter(
            executions=tuple(map(execution_id, self.executions)),
            types=tuple(sorted({found for name in self.types for found in event_types(name)})),
            versions=tuple(map(version_id, self.versions)),
            scenarios=tuple(map(scenario_id, self.scenarios)),
            since=self.since,
            until=self.until,
            headers=tuple(map(header, self.headers)),
            where=self.where,
        )

    def check(self) -> None:
        """
        Raises:
            click.UsageError: what was given does not go together; the message says what does.
        """
        topics_to = self.target if self.from_file is None else None
        problems = {
            "name a topic, such as arc-eval.executions, or a file with --from-file": topics_to and not self.sources,
            "--from-file stands in the place of topics: name one or the other": self.sources and self.from_file,
            "--to file needs --file FILE": self.target == "file" and self.file is None,
            "--file is for --to file": self.target != "file" and self.file,
            "--to topic needs --target-topic TOPIC": self.target == "topic" and self.target_topic is None,
            "--target-topic is for --to topic": self.target != "topic" and self.target_topic,
            "--dry-run is for --to database": self.dry_run and self.target != "database",
            "--keep is for --to shadow": self.keep and self.target != "shadow",
            "--yield-to-lag is for --to database and --to topic, from topics": self.yield_to_lag is not None
            and topics_to not in ("database", "topic"),
            "--from-file goes to stdout, a file or the database": self.from_file and self.target in ("topic", "shadow"),
            "--plan and --allow-truncated are for topics": self.from_file and (self.plan_only or self.allow_truncated),
            "--rate is not for --verify and --to shadow": self.rate and (self.verify or self.target == "shadow"),
            "--verify compares topics with the tables: leave out --to and --from-file": self.verify
            and topics_to != "stdout",
            "--verify compares whole ranges: leave out the filters": self.verify and not self.filter().is_everything,
        }
        for problem, is_so in problems.items():
            if is_so:
                raise click.UsageError(problem)
