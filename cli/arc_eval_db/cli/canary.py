"""`arc-eval-db canary`: does an execution arrive, and how soon?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import click

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.main import EXIT_FAILED, EXIT_FOUND
from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import (
    command,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    print_json_line,
    run_async,
)
from arc_eval_db.consumers.canary import Canary, CanaryReport, CanaryResult, CanarySettings
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.errors import SettingsError
from arc_eval_db.metrics import MetricsServer

_FOUND = (CanaryResult.NOT_CONSUMED, CanaryResult.DEAD_LETTERED, CanaryResult.WRONG)
"""What says something of the pipeline. Without Kafka or the database nothing can be said: that has failed."""


@click.command()
@click.option("--once", is_flag=True, help="Run once; exit with code 3 when it does not arrive as it was sent.")
@click.option(
    "--interval",
    "interval_s",
    type=FiniteRange(0.1, 86_400),
    metavar="SECONDS",
    help="Run again and again until Ctrl-C.  [default: ARC_EVAL_CANARY_INTERVAL_S, or 60]",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=FiniteRange(0, 3600, min_open=True),
    metavar="SECONDS",
    help="What takes longer has not arrived.  [default: ARC_EVAL_CANARY_TIMEOUT_S, or 30]",
)
@click.option(
    "--group", help="Whose lag explains what does not arrive.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]"
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), help="Serve Prometheus metrics on this port of 127.0.0.1."
)
@json_option
@command
def canary(
    once: bool,
    interval_s: float | None,
    timeout_s: float | None,
    group: str | None,
    metrics_port: int | None,
    as_json: bool,
) -> None:
    """Send a small execution through the whole path, and look for its rows: does it arrive whole, and how soon?

    Its scenario and configuration are arc-eval-canary, so that it is in nobody's figures: docs/canary.md. The login
    must be able to read the tables, as arc_eval_reader is.
    """
    if once and (interval_s is not None or metrics_port is not None):
        raise click.UsageError("--once goes with neither --interval nor --metrics-port")
    kafka = kafka_settings()
    kafka.client_options()  # what is missing here is said before what is missing of the database
    configure_logging("error")  # each run is said below
    runner = Canary(
        kafka, database_settings(), CanarySettings.load(interval_s=interval_s, timeout_s=timeout_s), group=group
    )
    if not once:
        run_async(_run(runner, metrics_port, as_json=as_json))
        return
    report = run_async(runner.run_once())
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    if not report.has_arrived:
        raise SystemExit(EXIT_FOUND if report.result in _FOUND else EXIT_FAILED)


async def _run(runner: Canary, metrics_port: int | None, *, as_json: bool) -> None:
    """Until a signal, which is no failure: a run in hand is given up."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        if metrics_port is not None:
            stack.enter_context(_metrics_server(runner, metrics_port))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        showing = asyncio.create_task(_show(runner, as_json=as_json))
        ending = asyncio.create_task(stopping.wait())
        await asyncio.wait({showing, ending}, return_when=asyncio.FIRST_COMPLETED)
        runner.stop()
        for task in (showing, ending):
            task.cancel()
        await asyncio.wait({showing, ending})
        if not showing.cancelled():
            showing.result()


async def _show(runner: Canary, *, as_json: bool) -> None:
    async for report in runner.reports():
        if as_json:
            print_json_line(report.to_json())
        else:
            _print(report)
            sys.stdout.flush()


def _print(report: CanaryReport) -> None:
    at = f"{report.started_at:%H:%M:%S} UTC"
    if report.seconds is not None:
        acknowledged = "-" if report.acknowledged_s is None else f"{report.acknowledged_s:.3f} s"
        click.echo(
            f"{at} arrived: Kafka had {len(report.events)} events after {acknowledged}, "
            f"the database after {report.seconds:.3f} s"
        )
        return
    step = f"  next: {report.next_step}" if report.next_step else ""
    click.echo(printable(f"{at} {report.result.value}: {report.reason}{step}"))


def _metrics_server(runner: Canary, port: int) -> MetricsServer:
    try:
        return MetricsServer(runner.metrics, "127.0.0.1", port)
    except OSError as error:
        raise SettingsError(
            f"--metrics-port: cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}"
        ) from error
