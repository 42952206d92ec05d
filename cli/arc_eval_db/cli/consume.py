"""`arc-eval-db consume`: a long-lived worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import click
import structlog

from arc_eval_db.cli.running import command, database_settings, json_option, kafka_settings, print_json, run_async
from arc_eval_db.consumers.account import WorkerReport
from arc_eval_db.consumers.alerts import AlertRunner, AlertSettings
from arc_eval_db.consumers.garbage import CollectorBetweenBatches
from arc_eval_db.consumers.heartbeat import send_heartbeats
from arc_eval_db.consumers.http import SupervisorProbe, WorkerProbe, serving
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.watchdog import ended_when_blocked
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.consumers.worker_processes import EXIT_FATAL, WorkerCommand, WorkerProcesses
from arc_eval_db.errors import ArcEvalError


@click.command()
@click.option(
    "--group",
    help="Consumer group: its workers share the partitions.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]",
)
@click.option("--until-caught-up", is_flag=True, help="End when everything that is in the log now is in the database.")
@click.option(
    "--batch-records-max",
    type=click.IntRange(1, 100_000),
    help="Records in one transaction at the most.  [default: 10000]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the partitions; one that dies is started again. With --http-port, that is where all of "
    "them are watched from; each has one of the ports after it.",
)
@click.option("--worker-number", type=int, hidden=True, help="One of --workers: ends with its standard input.")
@click.option("--heartbeat-file", type=int, hidden=True, help="A pipe to say in that the worker moves.")
@click.option(
    "--http-port",
    "--metrics-port",
    "http_port",
    type=click.IntRange(0, 65_535),
    help="Answer probes, Prometheus and others on this port: docs/monitoring.md.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    envvar="ARC_EVAL_LOG_LEVEL",
    show_envvar=True,
    default="info",
    show_default=True,
)
@json_option
@command
def consume(
    group: str | None,
    until_caught_up: bool,
    batch_records_max: int | None,
    workers: int,
    worker_number: int | None,
    heartbeat_file: int | None,
    http_port: int | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Write events from Kafka into the database, exactly once, until stopped.

    Run as many as there are CPUs, and partitions to share. SIGTERM or Ctrl-C ends the worker after the batch in hand,
    within ten seconds; a worker that is killed loses and repeats nothing. Logs go to standard error.
    """
    configure_logging(log_level)
    settings = ConsumerSettings.load(group=group, batch_records_max=batch_records_max, http_port=http_port)
    if workers > 1:
        report = run_async(_supervise(settings, workers, log_level, until_caught_up=until_caught_up))
    elif worker_number is not None:
        structlog.contextvars.bind_contextvars(worker=worker_number)
        report = _consume_supervised(settings, heartbeat_file, until_caught_up=until_caught_up)
    else:
        report = run_async(_consume(settings, until_caught_up=until_caught_up))
    if as_json:
        print_json({name: getattr(report, name) for name in report.__slots__})
    else:
        rate = report.records / report.seconds if report.seconds else 0
        click.echo(
            f"{report.records:,} records: {report.inserted:,} rows, {report.duplicates:,} duplicates, "
            f"{report.dead_letters:,} dead letters, in {report.seconds:.1f} s ({rate:,.0f} a second)"
        )


async def _supervise(
    settings: ConsumerSettings, workers: int, log_level: str, *, until_caught_up: bool
) -> WorkerReport:
    """Run this command several times."""
    kafka, database = kafka_settings(), database_settings()  # what is wrong with them is said once
    commands = [_worker_command(settings, number, log_level, until_caught_up) for number in range(workers)]
    processes = WorkerProcesses(commands, drain_timeout_s=settings.drain_timeout_s, restart_ended=not until_caught_up)
    _on_stop(processes.stop)
    probe = SupervisorProbe(processes.workers, settings.silence_limit_s, lambda: processes.is_stopping)
    alerts = AlertSettings.load()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(serving(settings, kafka, database, probe, processes.metrics))
        if not until_caught_up:  # where that one has ended is no reason to wake anybody
            await stack.enter_async_context(AlertRunner(alerts, processes.metrics.registry, name="supervisor"))
        return await processes.run()


def _worker_command(settings: ConsumerSettings, number: int, log_level: str, until_caught_up: bool) -> WorkerCommand:
    # fmt: off
    arguments = [
        sys.executable, "-m", "arc_eval_db.cli", "consume", "--json",
        "--worker-number", str(number),
        "--group", settings.group,
        "--batch-records-max", str(settings.batch_records_max),
        "--log-level", log_level,
    ]
    # fmt: on
    if until_caught_up:
        arguments.append("--until-caught-up")
    environment = dict(os.environ)
    if settings.port is not None:
        # 0 is any port, for each of them.
        arguments += ["--http-port", str(settings.port and settings.port + 1 + number)]
    if settings.instance_id is not None:
        environment["ARC_EVAL_CONSUMER_INSTANCE_ID"] = f"{settings.instance_id}-{number}"
    return WorkerCommand(arguments, environment)


def _consume_supervised(
    settings: ConsumerSettings, heartbeat_file: int | None, *, until_caught_up: bool
) -> WorkerReport:
    try:
        return run_async(_consume(settings, until_caught_up=until_caught_up, heartbeat_file=heartbeat_file))
    except ArcEvalError as error:
        click.echo(f"arc-eval-db: {error}", err=True)
        sys.exit(EXIT_FATAL)


async def _consume(
    settings: ConsumerSettings, *, until_caught_up: bool, heartbeat_file: int | None = None
) -> WorkerReport:
    """
    Args:
        heartbeat_file: of a supervisor, with which the worker ends.
    """
    metrics = WorkerMetrics()
    collector = CollectorBetweenBatches()
    kafka, database = kafka_settings(), database_settings()
    worker = Worker(
        kafka,
        database,
        settings,
        metrics=metrics,
        until_caught_up=until_caught_up,
        between_batches=collector.between_batches,
    )
    _on_stop(worker.stop)
    probe = WorkerProbe(worker.pulse, settings.silence_limit_s, lambda: worker.report.records)
    with collector, serving(settings, kafka, database, probe, metrics):
        async with ended_when_blocked(settings.stall_timeout_s), _supervised(worker, heartbeat_file):
            return await worker.run()


@contextlib.asynccontextmanager
async def _supervised(worker: Worker, heartbeat_file: int | None) -> AsyncIterator[None]:
    """Say to a supervisor that the worker moves, and end with it."""
    if heartbeat_file is None:
        yield
        return
    _at_end_of_input(worker.stop)
    saying = asyncio.create_task(send_heartbeats(heartbeat_file, worker.pulse))
    try:
        yield
    finally:
        saying.cancel()


def _on_stop(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _at_end_of_input(stop: Callable[[], None]) -> None:
    """Call `stop` when whoever holds the other end of standard input is gone."""
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()

    def readable() -> None:
        if not os.read(number, 1024):
            loop.remove_reader(number)
            stop()

    loop.add_reader(number, readable)
