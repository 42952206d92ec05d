"""`arc-eval-db replay`: a range of the log, to look at, to write into the database, a file or another topic."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from arc_eval_db.cli.check_output import print_shadow, print_verified, shadow_fields, verify_fields
from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.moments import MOMENT
from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.replay_output import (
    ProgressLine,
    job_fields,
    print_jobs,
    print_plan,
    result_fields,
    result_lines,
)
from arc_eval_db.cli.running import (
    command,
    database_settings,
    end_like_ctrl_c,
    json_option,
    kafka_settings,
    print_json,
    run_async,
)
from arc_eval_db.consumers.garbage import CollectorBetweenBatches
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.database import Session
from arc_eval_db.replay import (
    BackfillResult,
    EventFilter,
    FileTarget,
    Job,
    JobStore,
    ReplayBatch,
    ReplayOptions,
    ReplayPlan,
    ReplayProgress,
    ShadowResult,
    Source,
    VerifyReport,
    batches_of_file,
    batches_of_log,
    event_types,
    execution_id,
    for_people,
    header,
    make_plan,
    now,
    open_log,
    parse_range,
    parse_source,
    read_file,
    replay_file_into_database,
    replay_into_database,
    replay_into_shadow,
    replay_into_topic,
    run_replay,
    scenario_id,
    to_line,
    verify_log,
    version_id,
)
from arc_eval_db.settings import KafkaSettings

F = TypeVar("F", bound=Callable[..., Any])


class _DefaultGroup(click.Group):
    """A group whose first command stands for all words that are no command: `replay TOPIC` is `replay run TOPIC`."""

    default = "run"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The default command's options are this one's."""
        inner = self.commands[self.default]
        inner.format_usage(click.Context(inner, info_name=ctx.command_path), formatter)
        with click.Context(inner, info_name=ctx.command_path) as of_inner:
            inner.format_help_text(of_inner, formatter)
            inner.format_options(of_inner, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=_DefaultGroup, no_args_is_help=True)
def replay() -> None:
    """Read a range of the log, and end; no group's offsets are moved."""


def _filter_options(function: F) -> F:
    """The options that say which records are meant."""
    for option in (
        click.option(
            "--where", metavar="JMESPATH", help="Only events for which this holds, such as data.tool == 'lookup_order'."
        ),
        click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="Only records with this header."),
        click.option("--until", type=MOMENT, help="Only events before then, by their own time."),
        click.option("--since", type=MOMENT, help="Only events of then or later, by their own time."),
        click.option("--scenario", "scenarios", multiple=True, help="Only this scenario, by name or id."),
        click.option("--configuration", "versions", multiple=True, help="Only this version's, by id."),
        click.option(
            "--type", "types", multiple=True, help="Only this type, such as completed, tool.used or its full name."
        ),
        click.option("--execution", "executions", multiple=True, help="Only this execution's."),
    ):
        function = option(function)
    return function


def _filter(options: dict[str, Any]) -> EventFilter:
    return EventFilter(
        executions=tuple(map(execution_id, options["executions"])),
        types=tuple(sorted({found for name in options["types"] for found in event_types(name)})),
        versions=tuple(map(version_id, options["versions"])),
        scenarios=tuple(map(scenario_id, options["scenarios"])),
        since=options["since"],
        until=options["until"],
        headers=tuple(map(header, options["headers"])),
        where=options["where"],
    )


@replay.command(name="run", hidden=True)
@click.argument("sources", nargs=-1, metavar="[TOPIC[/PARTITION][=RANGE]]...")
@click.option(
    "-r",
    "--range",
    "range_text",
    default="start",
    show_default=True,
    help="What to read of each: start, end, +10, -10, 4000:5000, :end, @-48h:-24h, @2026-11-01:1h (docs/replay.md).",
)
@click.option(
    "--to",
    "target",
    type=click.Choice(["stdout", "file", "database", "topic", "shadow"]),
    default="stdout",
    show_default=True,
    help="Where to.",
)
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="With --to file; .gz is packed.")
@click.option("--overwrite", is_flag=True, help="With --to file: replace a file that is there.")
@click.option("--target-topic", help="With --to topic: an existing topic.")
@click.option(
    "--from-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Read a file that --to file wrote, instead of topics.",
)
@_filter_options
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be read, and end.")
@click.option("--allow-truncated", is_flag=True, help="Read what is left where retention has taken some of it.")
@click.option("--dry-run", is_flag=True, help="With --to database: do everything, take it back, and report.")
@click.option("--keep", is_flag=True, help="With --to shadow: leave the shadow tables when done.")
@click.option("--verify", is_flag=True, help="Compare the log with the tables: what is missing, changed, extra?")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second at the most.")
@click.option(
    "--yield-to-lag",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait while live consumption is further behind than this.",
)
@click.option(
    "--group",
    default="arc-eval-db",
    show_default=True,
    help="The group that --yield-to-lag and --verify look at.",
)
@by_option
@json_option
@command
def run(
    sources: tuple[str, ...],
    range_text: str,
    target: str,
    file: Path | None,
    overwrite: bool,
    target_topic: str | None,
    from_file: Path | None,
    plan_only: bool,
    allow_truncated: bool,
    dry_run: bool,
    keep: bool,
    verify: bool,
    rate: float | None,
    yield_to_lag: float | None,
    group: str,
    by: str | None,
    as_json: bool,
    **filter_options: Any,
) -> None:
    """Read ranges of topics, and end. No group's offsets are moved.

    \b
      arc-eval-db replay arc-eval.failures -r -10              the last ten offsets of each partition
      arc-eval-db replay arc-eval.executions/3=4000:5000 --json
      arc-eval-db replay arc-eval.executions -r @-24h: --to database --dry-run
      arc-eval-db replay arc-eval.executions --verify           does the database hold what the log says?
      arc-eval-db replay arc-eval.tool-usage --where "data.error != null" --to file --file errors.jsonl.gz

    What is read is resolved against the log before anything is read, and ends there, also where the log is quiet. A
    replay to the database or to a topic is recorded as a job: Ctrl-C leaves one that `replay resume` goes on with.
    """
    end_like_ctrl_c()
    configure_logging("warning")
    chosen = _filter(filter_options)
    _check_options(
        sources,
        target,
        file,
        target_topic,
        from_file,
        {"--dry-run": dry_run, "--keep": keep, "--verify": verify, "--yield-to-lag": yield_to_lag is not None},
        is_filtered=not chosen.is_everything,
    )
    line = ProgressLine()
    options = ReplayOptions(
        by or this_user(),
        dry_run=dry_run,
        records_per_s=rate,
        lag_s_max=yield_to_lag,
        group=group,
        on_job=lambda job_id: _say_job(job_id, line),
        on_progress=line.show,
        on_wait=line.waiting,
    )
    try:
        if from_file is not None:
            _replay_file(from_file, target, chosen, options, as_json=as_json, file=file, overwrite=overwrite)
            return
        kafka = kafka_settings()
        moment = now()
        default = parse_range(range_text, moment)
        plan = run_async(_plan(kafka, [parse_source(text, default, moment) for text in sources]))
        if plan_only:
            _show_plan(plan, as_json=as_json)
            return
        if not allow_truncated:
            plan.require_whole()
        if not as_json:
            print_plan(plan, err=True)
        if verify:
            database = database_settings()
            _show_verified(
                run_async(verify_log(kafka, database, plan, group=group, on_progress=line.show)), line, as_json
            )
        elif target == "shadow":
            work = replay_into_shadow(kafka, database_settings(), plan, chosen, keep=keep, on_progress=line.show)
            _show_shadow(run_async(work), line, as_json)
        elif target == "database":
            with _collecting(options) as collected:
                result = run_async(replay_into_database(kafka, database_settings(), plan, collected, chosen))
            line.close()
            _show_result(result, dry_run=dry_run, as_json=as_json)
        elif target == "topic":
            assert target_topic is not None
            appended, job_id = run_async(
                replay_into_topic(kafka, database_settings(), target_topic, plan, options, chosen)
            )
            line.close()
            _show_appended(appended, job_id, target_topic, as_json=as_json)
        else:
            _replay_here(
                lambda: _log_batches(kafka, plan, chosen, options),
                plan.records_max,
                target,
                options,
                as_json=as_json,
                file=file,
                overwrite=overwrite,
            )
    finally:
        line.close()


@replay.command()
@click.argument("job_id", type=click.UUID, metavar="ID")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second at the most.")
@click.option("--yield-to-lag", type=click.FloatRange(min=0), metavar="SECONDS", help="As of `replay`.")
@click.option("--group", default="arc-eval-db", show_default=True, help="The group that --yield-to-lag looks at.")
@json_option
@command
def resume(job_id: UUID, rate: float | None, yield_to_lag: float | None, group: str, as_json: bool) -> None:
    """Go on with a replay that was interrupted, killed, or failed."""
    end_like_ctrl_c()
    configure_logging("warning")
    line = ProgressLine()
    options = ReplayOptions(
        this_user(),
        records_per_s=rate,
        lag_s_max=yield_to_lag,
        group=group,
        on_progress=line.show,
        on_wait=line.waiting,
    )
    kafka, database = kafka_settings(), database_settings()

    async def read() -> Job:
        async with await Session.connect(database, application_name="arc-eval-db replay") as session:
            return await JobStore(session).read(job_id)

    job = run_async(read())
    try:
        if job.plan.target == "topic":
            appended, _ = run_async(
                replay_into_topic(kafka, database, job.plan.topic or "", job.plan.plan, options, resume=job_id)
            )
            line.close()
            _show_appended(appended, job_id, job.plan.topic or "", as_json=as_json)
        else:
            with _collecting(options) as collected:
                result = run_async(replay_into_database(kafka, database, job.plan.plan, collected, resume=job_id))
            line.close()
            _show_result(result, dry_run=False, as_json=as_json)
    finally:
        line.close()


@replay.command()
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Jobs at the most.")
@json_option
@command
def jobs(limit: int, as_json: bool) -> None:
    """List replays that were recorded, the newest first."""

    async def read() -> list[Job]:
        async with await Session.connect(database_settings(), application_name="arc-eval-db replay") as session:
            return await JobStore(session).list(limit)

    found = run_async(read())
    if as_json:
        print_json({"jobs": [job_fields(job) for job in found]})
    elif found:
        print_jobs(found)
    else:
        click.echo("no replay was recorded yet")


@contextlib.contextmanager
def _collecting(options: ReplayOptions) -> Iterator[ReplayOptions]:
    """Run the garbage collector between batches only: it is a third of the time otherwise."""
    with CollectorBetweenBatches() as collector:

        def on_progress(progress: ReplayProgress) -> None:
            collector.between_batches()
            options.on_progress(progress)

        yield dataclasses.replace(options, on_progress=on_progress)


def _check_options(
    sources: Sequence[str],
    target: str,
    file: Path | None,
    target_topic: str | None,
    from_file: Path | None,
    given: dict[str, bool],
    *,
    is_filtered: bool,
) -> None:
    from_topics_to = target if from_file is None else None
    problems = {
        "name a topic, such as arc-eval.executions, or a file with --from-file": not sources and from_file is None,
        "--from-file stands in the place of topics: name one or the other": bool(sources) and from_file is not None,
        "--to file needs --file FILE": target == "file" and file is None,
        "--file is for --to file": target != "file" and file is not None,
        "--to topic needs --target-topic TOPIC": target == "topic" and target_topic is None,
        "--target-topic is for --to topic": target != "topic" and target_topic is not None,
        "--dry-run is for --to database": given["--dry-run"] and target != "database",
        "--keep is for --to shadow": given["--keep"] and target != "shadow",
        "--yield-to-lag is for --to database and --to topic, from topics": given["--yield-to-lag"]
        and from_topics_to not in ("database", "topic"),
        "--from-file goes to stdout, a file or the database": from_file is not None and target in ("topic", "shadow"),
        "--verify compares topics with the tables: leave out --to and --from-file": given["--verify"]
        and from_topics_to != "stdout",
        "--verify compares whole ranges: leave out the filters": given["--verify"] and is_filtered,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise click.UsageError(problem)


async def _plan(kafka: KafkaSettings, sources: Sequence[Source]) -> ReplayPlan:
    async with open_log(kafka) as reader:
        return await make_plan(reader, sources)


def _log_batches(kafka: KafkaSettings, plan: ReplayPlan, chosen: EventFilter, options: ReplayOptions) -> Any:
    async def batches() -> Any:
        async with open_log(kafka) as reader:
            async for batch in batches_of_log(reader, plan.ranges(), chosen, options.batch_records_max):
                yield batch

    return batches()


class _Printer:
    """Prints records as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    async def take(self, batch: ReplayBatch) -> None:
        """Print a batch."""
        if self._as_json:
            sys.stdout.buffer.writelines(to_line(record) + b"\n" for record in batch.records)
        else:
            for record in batch.records:
                click.echo(printable(for_people(record)))
        sys.stdout.flush()


def _replay_here(
    batches: Callable[[], Any],
    records_max: int,
    target: str,
    options: ReplayOptions,
    *,
    as_json: bool,
    file: Path | None,
    overwrite: bool,
) -> None:
    """Print records, or write them to a file."""
    progress = ReplayProgress(records_max)
    on_progress = options.on_progress if target == "file" or not sys.stdout.isatty() else (lambda _: None)
    if target == "stdout":
        run_async(run_replay(batches(), _Printer(as_json=as_json), progress=progress, on_progress=on_progress))
        return
    assert file is not None
    with FileTarget(file, overwrite) as opened:
        run_async(run_replay(batches(), opened, progress=progress, on_progress=on_progress))
    if as_json:
        print_json({"file": str(file), "written": opened.written, "read": progress.read})
    else:
        click.echo(f"{opened.written:,} of {progress.read:,} records written to {file}")


def _replay_file(
    path: Path,
    target: str,
    chosen: EventFilter,
    options: ReplayOptions,
    *,
    as_json: bool,
    file: Path | None,
    overwrite: bool,
) -> None:
    def batches() -> Any:
        return batches_of_file(read_file(path), chosen, options.batch_records_max)

    if target == "database":
        work = replay_file_into_database(kafka_settings(), database_settings(), batches(), options)
        _show_result(run_async(work), dry_run=options.dry_run, as_json=as_json)
    else:
        _replay_here(batches, 0, target, options, as_json=as_json, file=file, overwrite=overwrite)


def _say_job(job_id: UUID, line: ProgressLine) -> None:
    line.close()
    click.echo(f"job {job_id}; interrupted, it goes on with: arc-eval-db replay resume {job_id}", err=True)


def _show_plan(plan: ReplayPlan, *, as_json: bool) -> None:
    if as_json:
        print_json({"partitions": plan.to_json(), "records_max": plan.records_max, "truncated": plan.truncated})
    else:
        print_plan(plan)


def _show_result(result: BackfillResult, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(result_fields(result, dry_run=dry_run))
    else:
        click.echo("\n".join(result_lines(result, dry_run=dry_run)))
    if result.report.refused:
        sys.exit(EXIT_FOUND)


def _show_verified(report: VerifyReport, line: ProgressLine, as_json: bool) -> None:
    line.close()
    if as_json:
        print_json(verify_fields(report))
    else:
        print_verified(report)
    if not report.agrees:
        sys.exit(EXIT_FOUND)


def _show_shadow(result: ShadowResult, line: ProgressLine, as_json: bool) -> None:
    line.close()
    if as_json:
        print_json(shadow_fields(result))
    else:
        print_shadow(result)
    if not result.diff.agrees:
        sys.exit(EXIT_FOUND)


def _show_appended(appended: int, job_id: UUID, topic: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": str(job_id), "appended": appended, "topic": topic})
    else:
        click.echo(f"{appended:,} records appended to {topic}")
