"""`arc-eval-db lag`: how far behind consumers are, and why."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import click
from rich.live import Live

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.lag_output import live_report, print_report
from arc_eval_db.cli.main import EXIT_FAILED, EXIT_FOUND
from arc_eval_db.cli.running import (
    command,
    console,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    print_json_line,
    run_async,
)
from arc_eval_db.consumers.lag import LagReport, LagSettings, LagState, LagWatcher
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.errors import RetryableError
from arc_eval_db.schemas.topics import TopicNames

_WATCH_S = 2.0


@click.command()
@click.option("--group", help="Consumer group.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]")
@click.option("--topic", "topics", multiple=True, help="Only this topic; may be given more than once.")
@click.option(
    "--watch",
    "watch_s",
    type=FiniteRange(min=0.2),
    is_flag=False,
    flag_value=_WATCH_S,
    metavar="[SECONDS]",
    help="Look again and again until Ctrl-C.  [default: every 2 seconds]",
)
@click.option(
    "--max-lag", type=click.IntRange(min=0), help="Exit with code 3 when a partition is further behind than this."
)
@click.option(
    "--max-seconds",
    type=FiniteRange(min=0),
    help="Exit with code 3 when a partition's oldest unread event has waited longer, or it is not known how long.",
)
@click.option(
    "--fail-on",
    "states",
    type=click.Choice([state.value for state in LagState if state is not LagState.OK]),
    multiple=True,
    help="Exit with code 3 when a partition is in this state; may be given more than once.",
)
@json_option
@command
def lag(
    group: str | None,
    topics: tuple[str, ...],
    watch_s: float | None,
    max_lag: int | None,
    max_seconds: float | None,
    states: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show how far each partition is behind, in messages and seconds, and why.

    Counted from the offsets that are stored in the database with the rows, which are what consumers start from; where
    the database does not answer, from Kafka's copy, with exit code 1. docs/lag.md explains each number and state.
    """
    if watch_s is not None and (states or max_lag is not None or max_seconds is not None):
        raise click.UsageError("--max-lag, --max-seconds and --fail-on are for one look: leave out --watch")
    settings, limits = ConsumerSettings.load(group=group), LagSettings.load()
    watcher = _watcher(settings.group, topics, limits)
    if watch_s is not None:
        run_async(_watch(watcher, watch_s, as_json=as_json))
        return
    report = run_async(_look(watcher))
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    for warning in report.warnings:
        click.echo(f"arc-eval-db: {warning}", err=True)
    found = _too_much(report, max_lag, max_seconds, {LagState(state) for state in states})
    for finding in found:
        click.echo(finding, err=True)
    if report.from_kafka:
        raise SystemExit(EXIT_FAILED)
    if found:
        raise SystemExit(EXIT_FOUND)


def _watcher(group: str, topics: Sequence[str], limits: LagSettings) -> LagWatcher:
    kafka = kafka_settings()
    kafka.client_options()  # what is missing here is said before what is missing of the database
    known = TopicNames(kafka.topic_prefix).all
    if unknown := [topic for topic in topics if topic not in known]:
        raise click.UsageError(f"--topic {unknown[0]}: there are {', '.join(known)}")
    return LagWatcher(kafka, database_settings(), group, topics or known, limits)


async def _look(watcher: LagWatcher) -> LagReport:
    async with watcher:
        return await watcher.look()


async def _watch(watcher: LagWatcher, interval_s: float, *, as_json: bool) -> None:
    """Until a signal: the screen is then left as it is, and that is no failure."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with watcher:
        if not as_json and sys.stdout.isatty():
            with Live(console=console(), auto_refresh=False, vertical_overflow="visible") as live:
                async for report in _reports(watcher, interval_s, stopping):
                    live.update(live_report(report), refresh=True)
        else:
            async for report in _reports(watcher, interval_s, stopping):
                if as_json:
                    print_json_line(report.to_json())
                else:
                    print_report(report)
                    sys.stdout.flush()


async def _reports(watcher: LagWatcher, interval_s: float, stopping: asyncio.Event) -> AsyncIterator[LagReport]:
    """One look after the other. One that fails for a passing reason is said, and left out."""
    while not stopping.is_set():
        looking = asyncio.create_task(watcher.look())
        ending = asyncio.create_task(stopping.wait())
        await asyncio.wait({looking, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not looking.done():
            looking.cancel()
            await asyncio.wait({looking})
            return
        try:
            yield looking.result()
        except RetryableError as error:
            click.echo(f"arc-eval-db: {datetime.now(UTC):%H:%M:%S} {error}", err=True)
        try:
            await asyncio.wait_for(stopping.wait(), interval_s)
        except TimeoutError:
            continue


def _too_much(report: LagReport, max_lag: int | None, max_seconds: float | None, states: set[LagState]) -> list[str]:
    """Why the exit code is 3: one line for each partition and limit."""
    found = []
    if max_lag is not None or max_seconds is not None or states:
        found += [f"{topic}: not there, or not to be seen by this login" for topic in report.missing]
    for each in report.partitions:
        name = str(each.lag.partition)
        if max_lag is not None and each.lag_messages > max_lag:
            found.append(f"{name}: {each.lag_messages:,} messages behind, more than {max_lag:,}")
        if max_seconds is not None and (each.lag_s is None or each.lag_s > max_seconds):
            waited = "for nobody knows how long" if each.lag_s is None else f"for {each.lag_s:,.1f} s"
            found.append(f"{name}: its oldest unread event has waited {waited}, and {max_seconds:g} s are allowed")
        if each.verdict.state in states:
            found.append(f"{name}: {each.verdict.state.value}: {each.verdict.reason}")
    return found
