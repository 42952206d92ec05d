"""`arc-eval-db alerts`: the rules, whether those who are told can be reached, and a process that evaluates them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack

import click
from prometheus_client import CollectorRegistry

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import (
    command,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    print_table,
    run_async,
)
from arc_eval_db.consumers.alerts import AlertRunner, AlertSettings, Rule, alert_rules, receivers_of
from arc_eval_db.consumers.alerts.prometheus import rules_yaml
from arc_eval_db.consumers.alerts.testing import Trial, try_receivers
from arc_eval_db.consumers.lag.durations import in_words
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.consumers.monitoring import MonitorMetrics, PipelineMonitor
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.errors import SettingsError
from arc_eval_db.metrics import MetricsServer


@click.group()
def alerts() -> None:
    """Rules over metrics, and who is told when one is broken.

    Thresholds and receivers are settings, ARC_EVAL_ALERT_...; docs/alerts.md lists them.
    """


@alerts.command()
@click.option("--prometheus", is_flag=True, help="Print them as a file of rules for Prometheus, with these settings.")
@json_option
@command
def rules(prometheus: bool, as_json: bool) -> None:
    """List the rules, with the thresholds of these settings."""
    if prometheus and as_json:
        raise click.UsageError("--prometheus goes without --json")
    found = alert_rules(AlertSettings.load())
    if prometheus:
        click.echo(rules_yaml(found), nl=False)
    elif as_json:
        print_json([_fields(rule) for rule in found])
    else:
        rows = [(rule.name, rule.severity.value, _condition(rule), rule.summary) for rule in found]
        print_table(None, ("rule", "severity", "opens when", "says"), rows)


def _fields(rule: Rule) -> dict[str, object]:
    return {
        "name": rule.name,
        "severity": rule.severity.value,
        "metric": rule.measure.metric,
        "labels": rule.measure.by,
        "comparison": rule.comparison,
        "opens_at": rule.opens_at,
        "resolves_at": rule.resolves_at,
        "for_s": rule.for_s,
        "keep_s": rule.keep_s,
        "summary": rule.summary,
        "next_step": rule.next_step,
        "promql": rule.promql(),
    }


def _condition(rule: Rule) -> str:
    sign = ">" if rule.comparison == "above" else "<"
    lasting = f" for {in_words(rule.for_s)}" if rule.for_s else ""
    return f"{rule.measure.promql()} {sign} {rule.opens_at:g}{lasting}"


@alerts.command()
@json_option
@command
def test(as_json: bool) -> None:
    """Send a message to every receiver that is set, and say what became of it.

    Exit code 3 where one was not taken.
    """
    settings = AlertSettings.load()
    receivers = receivers_of(settings)
    if not receivers:
        raise SettingsError(
            "nobody is to be told: set ARC_EVAL_ALERT_WEBHOOK_URL, ARC_EVAL_ALERT_SLACK_URL or ARC_EVAL_ALERT_EMAIL_TO"
        )
    trials = run_async(try_receivers(receivers, settings, time.time()))
    if as_json:
        print_json([{"receiver": each.receiver, "taken": each.is_taken, "error": each.error} for each in trials])
    else:
        print_table(None, ("receiver", "message"), [(each.receiver, _outcome(each)) for each in trials])
    if not all(each.is_taken for each in trials):
        raise SystemExit(EXIT_FOUND)


def _outcome(trial: Trial) -> str:
    return "taken" if trial.is_taken else f"not taken: {trial.error}"


@alerts.command()
@click.option("--group", help="Consumer group to watch.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]")
@click.option("--metrics-port", type=click.IntRange(0, 65_535), help="Serve Prometheus what is seen, on this port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to serve it on.")
@command
def run(group: str | None, metrics_port: int | None, metrics_host: str) -> None:
    """Watch the lag and the database's health, and tell who has to know, until Ctrl-C or SIGTERM.

    For where no dashboard runs, which does the same.
    """
    configure_logging()
    run_async(_run(ConsumerSettings.load(group=group).group, metrics_port, metrics_host))


async def _run(group: str, port: int | None, host: str) -> None:
    registry = CollectorRegistry()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    metrics = MonitorMetrics(registry)
    async with AsyncExitStack() as stack:
        monitor = PipelineMonitor(kafka_settings(), database_settings(), group, metrics=metrics)
        runner = AlertRunner(AlertSettings.load(), registry, name="monitor")
        if port is not None:
            stack.enter_context(_server(metrics, host, port))
        await stack.enter_async_context(monitor)
        await stack.enter_async_context(runner)
        await stopping.wait()


def _server(metrics: MonitorMetrics, host: str, port: int) -> MetricsServer:
    try:
        return MetricsServer(metrics, host, port)
    except OSError as error:
        raise SettingsError(
            f"--metrics-port: cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; choose another"
        ) from error
