"""`arc-eval-db demo`: the whole path at work, on real servers, with real sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arc_eval_db.cli.local import stack_in, start_stack
from arc_eval_db.cli.running import (
    command,
    console,
    end_like_ctrl_c,
    json_option,
    print_json,
    print_table,
    progress,
    run_async,
)
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.lag import measure_lag
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import FatalError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.sql import queries

if TYPE_CHECKING:
    from arc_eval_db.local import LocalStack

# Sixteen processes that start on a few cores, with a broker that has just begun: more than the usual two seconds.
_SANDBOX_SETTINGS = {"ARC_EVAL_CLOSE_TIMEOUT_S": "30"}

_CATCH_UP_TIMEOUT_S = 60.0
_POLL_S = 0.2
_STOP_TIMEOUT_S = 15.0


class DemoError(FatalError):
    """The demo did not get to its end."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the demo shows, from the database."""

    simulation: str
    outcomes: list[Mapping[str, Any]]
    tools: list[Mapping[str, Any]]
    failures: list[Mapping[str, Any]]
    executions: int
    ended: int
    emitted: int
    """Events that the executions numbered, as their terminal events say, and what was reported."""
    reported: int
    """Events of the launcher, about sandboxes that crashed."""
    events: int
    """Of these, the ones in the database."""
    dead_letters: int
    sandbox_seconds: float
    catch_up_seconds: float
    lag_messages: int


@click.command()
@click.option(
    "--puzzles",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Puzzles; each is tried by two configurations.",
)
@click.option("--concurrency", type=click.IntRange(1, 1000), default=16, show_default=True, help="Sandboxes at a time.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the demo's servers keep everything, until the next demo there.  [default: .arc-eval-db/demo]",
)
@json_option
@command
def demo(puzzles: int, concurrency: int, directory: Path | None, as_json: bool) -> None:
    """See the whole path at work: sandboxes emit, Kafka retains, a consumer writes, and you see the rows.

    Starts a Kafka and a PostgreSQL of its own, lets a small agent with two configurations solve grid puzzles, each try
    a process of its own, and shows what the database then knows. Ends by itself and leaves nothing running.
    """
    end_like_ctrl_c()
    example = _example_folder()
    stack = stack_in(directory or _default_directory())
    _start_anew(stack)
    try:
        progress("starting Kafka and PostgreSQL")
        start_stack(stack)
        figures = run_async(_run(stack.environment(), example, stack.directory, puzzles, concurrency))
    finally:
        stack.down()
    if as_json:
        print_json(asdict(figures))
    else:
        _show(figures, stack.directory)


def _default_directory() -> Path:
    from arc_eval_db.local import default_directory  # noqa: PLC0415 - needs the extra

    return default_directory(os.environ) / "demo"


def _start_anew(stack: LocalStack) -> None:
    """The demo's stack keeps its rows for a look afterwards; the next demo begins without them."""
    mark = stack.directory / "made-by-demo"
    if stack.directory.is_dir() and any(stack.directory.iterdir()) and not mark.is_file():
        raise DemoError(f"{stack.directory} holds something else than a demo; name another directory")
    stack.down()
    for name in ("kafka", "postgres"):
        shutil.rmtree(stack.directory / name, ignore_errors=True)
    stack.directory.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _example_folder() -> Path:
    """The grid agent: beside this module in an installed package, in `examples` in a checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "grid_agent", here.parents[3] / "examples" / "grid_agent"):
        if (folder / "launch.py").is_file():
            return folder
    raise DemoError("the example agent is not installed; run the demo from a checkout of the repository: make demo")


async def _run(
    environment: Mapping[str, str], example: Path, directory: Path, puzzles: int, concurrency: int
) -> Figures:
    sys.path.append(str(example.parent))
    from grid_agent.launch import FinishedSandbox, launch  # noqa: PLC0415 - found only now

    simulation = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    total = 2 * puzzles
    async with _consumer(environment, directory / "logs" / "consumer.log"):
        with _progress_bar(total) as advance:

            def finished(_: FinishedSandbox) -> None:
                advance()

            summary = await launch(
                puzzles,
                concurrency=concurrency,
                simulation=simulation,
                environment={**environment, **_SANDBOX_SETTINGS},
                on_finish=finished,
                command=(sys.executable, str(example)),
            )
        if unheard := [sandbox for sandbox in summary.finished if sandbox.exit_code == 2]:
            raise DemoError(f"the sandboxes did not start: {unheard[0].stderr.strip()[-500:]}")
        progress("waiting for the consumer")
        ended = time.monotonic()
        lag = await _catch_up(environment)
        catch_up_seconds = time.monotonic() - ended
    return await _figures(environment, simulation, summary.seconds, catch_up_seconds, lag)


@contextlib.asynccontextmanager
async def _consumer(environment: Mapping[str, str], log_file: Path) -> AsyncIterator[None]:
    """A worker as one would run it: a process of its own, ended by SIGTERM."""
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "arc_eval_db.cli", "consume"),
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        raise DemoError(f"the consumer ended with exit code {process.returncode}; its log is {log_file}")


async def _catch_up(environment: Mapping[str, str]) -> int:
    """Wait until every event is in the database; the messages that are still missing when the time is over."""
    kafka = KafkaSettings.from_environment({**os.environ, **environment})
    topics = TopicNames(kafka.topic_prefix).all
    group = ConsumerSettings.load().group
    deadline = time.monotonic() + _CATCH_UP_TIMEOUT_S
    async with LogReader(kafka) as reader, await _connect(environment) as session:
        while True:
            lag = sum(item.lag_messages for item in await measure_lag(reader, session, group, topics))
            if lag == 0 or time.monotonic() > deadline:
                return lag
            await asyncio.sleep(_POLL_S)


async def _figures(
    environment: Mapping[str, str], simulation: str, sandbox_seconds: float, catch_up_seconds: float, lag: int
) -> Figures:
    statements = queries("summary")
    simulation_id = ids.simulation_id(simulation)
    async with await _connect(environment) as session:
        counts = (await session.fetch(statements["execution_counts"], simulation_id))[0]
        events = (await session.fetch(statements["event_counts"], simulation_id))[0]
        return Figures(
            simulation=simulation,
            outcomes=[dict(row) for row in await session.fetch(statements["outcomes_by_configuration"], simulation_id)],
            tools=[dict(row) for row in await session.fetch(statements["tools_by_configuration"], simulation_id)],
            failures=[dict(row) for row in await session.fetch(statements["failures_by_configuration"], simulation_id)],
            executions=counts["executions"],
            ended=counts["ended"],
            emitted=events["emitted"] + events["reported"],
            reported=events["reported"],
            events=events["events"],
            dead_letters=events["dead_letters"],
            sandbox_seconds=sandbox_seconds,
            catch_up_seconds=catch_up_seconds,
            lag_messages=lag,
        )


async def _connect(environment: Mapping[str, str]) -> Session:
    settings = DatabaseSettings.load(database_url=environment["ARC_EVAL_DATABASE_URL"])
    return await Session.connect(settings, application_name="arc-eval-db demo")


@contextlib.contextmanager
def _progress_bar(total: int) -> Any:
    columns = (TextColumn("sandboxes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(), disable=not sys.stdout.isatty(), transient=True) as bar:
        task = bar.add_task("sandboxes", total=total)
        yield lambda: bar.advance(task)


def _show(figures: Figures, directory: Path) -> None:
    click.echo(f"simulation {figures.simulation}: {figures.executions} executions, {figures.ended} ended\n")
    print_table(
        "outcomes",
        ("configuration", "executions", "succeeded", "failed", "timed out", "errored", "score", "ms", "cost USD"),
        [tuple(row.values()) for row in figures.outcomes],
    )
    click.echo()
    print_table(
        "tool calls", ("configuration", "tool", "calls", "errors", "ms"), [tuple(row.values()) for row in figures.tools]
    )
    click.echo()
    print_table("failures", ("configuration", "kind", "failures"), [tuple(row.values()) for row in figures.failures])
    rate = figures.events / figures.sandbox_seconds
    took = f"{figures.sandbox_seconds:.1f} s ({rate:,.0f} a second)"
    reported = f" ({figures.reported} by the launcher, of sandboxes that crashed)" if figures.reported else ""
    click.echo(f"\n{figures.emitted:,} events emitted{reported}, {figures.events:,} in the database, in {took}")
    click.echo(f"{figures.dead_letters} dead letters, {figures.lag_messages} messages behind", nl=False)
    click.echo(f"; the last was there {figures.catch_up_seconds:.1f} s after the last sandbox ended")
    stack = f"--directory {os.path.relpath(directory)}"
    us = _command_name()
    look = "SELECT time, status, score, cost_usd FROM outcomes LIMIT 10"
    click.echo("\nnothing is left running. what to type next:")
    click.echo(f"  {us} local up {stack}")
    click.echo(f'  eval "$({us} local env {stack})"')
    click.echo(f"  {us} lag                # the consumer group, partition by partition")
    click.echo(f'  {us} local psql {stack} -c "{look}"')
    click.echo(f"  {us} local down {stack}")


def _command_name() -> str:
    """What to type for this command: its name where the shell finds it, its path otherwise."""
    if shutil.which("arc-eval-db"):
        return "arc-eval-db"
    return os.path.relpath(Path(sys.executable).with_name("arc-eval-db"))
