"""`arc-eval-db replay`: a range of the log, to look at, to write into the database, a file or another topic."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import click

from arc_eval_db.cli.check_output import print_shadow, print_verified, shadow_fields, verify_fields
from arc_eval_db.cli.identity import this_user
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.replay_here import log_batches, replay_here
from arc_eval_db.cli.replay_options import Asked, asked_options, pace_options, truncated_option
from arc_eval_db.cli.replay_output import ProgressLine, job_fields, print_jobs, print_plan, result_fields, result_lines
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
    Job,
    JobStore,
    ReplayOptions,
    ReplayPlan,
    ReplayProgress,
    Source,
    batches_of_file,
    drop_shadows,
    list_shadows,
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
    verify_log,
)
from arc_eval_db.replay.sessions import APPLICATION_NAME
from arc_eval_db.settings import KafkaSettings


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
        with click.Context(inner, info_name=ctx.command_path) as of_inner:
            inner.format_usage(of_inner, formatter)
            inner.format_help_text(of_inner, formatter)
            inner.format_options(of_inner, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=_DefaultGroup, no_args_is_help=True)
def replay() -> None:
    """Read a range of the log, and end; no group's offsets are moved."""


@replay.command(name="run", hidden=True)
@asked_options
@command
def run(**given: Any) -> None:
    """Read ranges of topics, and end. No group's offsets are moved.

    \b
      arc-eval-db replay arc-eval.failures -r -10               the last ten offsets of each partition
      arc-eval-db replay arc-eval.executions/3=4000:5000 --json
      arc-eval-db replay arc-eval.executions -r @-24h: --to database --dry-run
      arc-eval-db replay arc-eval.executions --verify           does the database hold what the log says?
      arc-eval-db replay arc-eval.tool-usage --where "data.error != null" --to file --file errors.jsonl.gz

    What is read is resolved against the log before anything is read, and ends there, also where the log is quiet. A
    replay to the database or to a topic is recorded as a job: Ctrl-C leaves one that `replay resume` goes on with.
    """
    asked = Asked(**given)
    end_like_ctrl_c()
    configure_logging("warning")
    asked.check()
    chosen = asked.filter()
    with contextlib.closing(ProgressLine()) as line:
        options = ReplayOptions(
            asked.by or this_user(),
            dry_run=asked.dry_run,
            records_per_s=asked.rate,
            lag_s_max=asked.yield_to_lag,
            group=asked.group,
            allow_truncated=asked.allow_truncated,
            on_job=lambda job_id: _say_job(job_id, line),
            on_progress=line.show,
            on_wait=line.waiting,
        )
        if asked.from_file is not None:
            _replay_file(asked, chosen, options, line)
            return
        kafka = kafka_settings()
        plan = _planned(kafka, asked)
        if asked.plan_only:
            _show_plan(plan, as_json=asked.as_json)
            return
        if not asked.allow_truncated:
            plan.require_whole()
        if not asked.as_json:
            print_plan(plan, err=True)
        _replay_log(asked, kafka, plan, chosen, options, line)


@replay.command()
@click.argument("job_id", type=click.UUID, metavar="ID")
@pace_options
@truncated_option
@json_option
@command
def resume(
    job_id: UUID, rate: float | None, yield_to_lag: float | None, group: str, allow_truncated: bool, as_json: bool
) -> None:
    """Go on with a replay that was interrupted, killed, or failed."""
    end_like_ctrl_c()
    configure_logging("warning")
    kafka, database = kafka_settings(), database_settings()

    async def read() -> Job:
        async with await Session.connect(database, application_name=APPLICATION_NAME) as session:
            return await JobStore(session).read(job_id)

    plan = run_async(read()).plan
    with contextlib.closing(ProgressLine()) as line:
        options = ReplayOptions(
            this_user(),
            records_per_s=rate,
            lag_s_max=yield_to_lag,
            group=group,
            allow_truncated=allow_truncated,
            on_progress=line.show,
            on_wait=line.waiting,
        )
        if plan.target == "topic":
            topic = plan.topic or ""
            appended, _ = run_async(replay_into_topic(kafka, database, topic, plan.plan, options, resume=job_id))
            line.close()
            _show_appended(appended, job_id, topic, as_json=as_json)
            return
        with _collecting(options) as collected:
            result = run_async(replay_into_database(kafka, database, plan.plan, collected, resume=job_id))
        line.close()
        _show_result(result, dry_run=False, as_json=as_json)


@replay.command()
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Jobs at the most.")
@json_option
@command
def jobs(limit: int, as_json: bool) -> None:
    """List replays that were recorded, the newest first."""

    async def read() -> list[Job]:
        async with await Session.connect(database_settings(), application_name=APPLICATION_NAME) as session:
            return await JobStore(session).list(limit)

    found = run_async(read())
    if as_json:
        print_json({"jobs": [job_fields(job) for job in found]})
    elif found:
        print_jobs(found)
    else:
        click.echo("no replay was recorded yet")


@replay.command()
@click.option("--drop", is_flag=True, help="Drop those that nobody uses at the moment, those that were kept too.")
@json_option
@command
def shadows(drop: bool, as_json: bool) -> None:
    """List the schemas of shadow tables that were kept or left, or drop them."""

    async def look() -> list[str]:
        async with await Session.connect(database_settings(), application_name=APPLICATION_NAME) as session:
            return await (drop_shadows if drop else list_shadows)(session)

    found = run_async(look())
    if as_json:
        print_json({"dropped" if drop else "shadows": found})
    else:
        click.echo("\n".join(f"dropped {name}" if drop else name for name in found) or "no shadow tables")


def _planned(kafka: KafkaSettings, asked: Asked) -> ReplayPlan:
    moment = now()
    default = parse_range(asked.range_text, moment)
    sources: Sequence[Source] = [parse_source(text, default, moment) for text in asked.sources]

    async def make() -> ReplayPlan:
        async with open_log(kafka) as reader:
            return await make_plan(reader, sources)

    return run_async(make())


def _replay_log(
    asked: Asked,
    kafka: KafkaSettings,
    plan: ReplayPlan,
    chosen: EventFilter,
    options: ReplayOptions,
    line: ProgressLine,
) -> None:
    """Carry out what was asked for, by where it goes."""
    if asked.verify:
        verifying = verify_log(kafka, database_settings(), plan, group=asked.group, on_progress=line.show)
        report = run_async(verifying)
        line.close()
        print_json(verify_fields(report)) if asked.as_json else print_verified(report)
        _exit_unless(report.agrees)
    elif asked.target == "shadow":
        shadowing = replay_into_shadow(kafka, database_settings(), plan, chosen, keep=asked.keep, on_progress=line.show)
        shadow = run_async(shadowing)
        line.close()
        print_json(shadow_fields(shadow)) if asked.as_json else print_shadow(shadow)
        _exit_unless(shadow.diff.agrees)
    elif asked.target == "database":
        with _collecting(options) as collected:
            result = run_async(replay_into_database(kafka, database_settings(), plan, collected, chosen))
        line.close()
        _show_result(result, dry_run=asked.dry_run, as_json=asked.as_json)
    elif asked.target == "topic":
        topic = asked.target_topic or ""
        appended, job_id = run_async(replay_into_topic(kafka, database_settings(), topic, plan, options, chosen))
        line.close()
        _show_appended(appended, job_id, topic, as_json=asked.as_json)
    else:
        replay_here(asked, lambda: log_batches(kafka, plan, chosen, options), plan.records_max, options)


def _replay_file(asked: Asked, chosen: EventFilter, options: ReplayOptions, line: ProgressLine) -> None:
    assert asked.from_file is not None
    path = asked.from_file
    if asked.target != "database":
        replay_here(asked, lambda: batches_of_file(read_file(path), chosen, options.batch_records_max), 0, options)
        return
    with _collecting(options) as collected:
        batches = batches_of_file(read_file(path), chosen, options.batch_records_max)
        result = run_async(replay_file_into_database(kafka_settings(), database_settings(), batches, collected))
    line.close()
    _show_result(result, dry_run=asked.dry_run, as_json=asked.as_json)


@contextlib.contextmanager
def _collecting(options: ReplayOptions) -> Iterator[ReplayOptions]:
    """Run the garbage collector between batches only: it is a third of the time otherwise."""
    with CollectorBetweenBatches() as collector:

        def on_progress(progress: ReplayProgress) -> None:
            collector.between_batches()
            options.on_progress(progress)

        def on_wait(lag_s: float) -> None:
            collector.between_batches()
            options.on_wait(lag_s)

        yield dataclasses.replace(options, on_progress=on_progress, on_wait=on_wait)


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
    _exit_unless(not result.report.refused)


def _show_appended(appended: int, job_id: UUID, topic: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": str(job_id), "appended": appended, "topic": topic})
    else:
        click.echo(f"{appended:,} records appended to {topic}")


def _exit_unless(all_is_well: bool) -> None:
    if not all_is_well:
        sys.exit(EXIT_FOUND)
