"""Writes every generated file: `make schema`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from arc_eval_db.client import CLIENT_METRICS
from arc_eval_db.consumers.alerts import ALERT_METRICS, AlertSettings, alert_rules
from arc_eval_db.consumers.alerts.prometheus import rules_yaml
from arc_eval_db.consumers.canary import CANARY_METRICS
from arc_eval_db.consumers.metrics import METRICS
from arc_eval_db.consumers.monitoring import MONITOR_METRICS
from arc_eval_db.consumers.supervisor_metrics import SUPERVISOR_METRICS
from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.grafana import dashboards
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.health import HealthSettings
from arc_eval_db.health.checks import CHECKS
from arc_eval_db.metrics import MetricDefinition
from arc_eval_db.migrations import Edition, Migrator, describe_schema
from arc_eval_db.migrations.edition import detect_edition
from arc_eval_db.recorder import RECORDER_METRICS
from arc_eval_db.schemas.generate import write as write_schemas
from support.databases import connect, temporary_database
from support.servers import start_servers

ROOT = Path(__file__).resolve().parents[2]


class Component(NamedTuple):
    """What counts something: its list of metrics, where that is, and how to get at the values."""

    title: str
    module: str
    access: str
    metrics: Sequence[MetricDefinition[Any]]


COMPONENTS = (
    Component(
        "A worker",
        "consumers/arc_eval_db/consumers/metrics.py",
        "`arc-eval-db consume --http-port 9100` serves them at `http://127.0.0.1:9100/metrics`, with what else there is"
        " to [see](monitoring.md) (`ARC_EVAL_CONSUMER_HTTP_HOST` for another address).",
        METRICS,
    ),
    Component(
        "A supervisor",
        "consumers/arc_eval_db/consumers/supervisor_metrics.py",
        "With `consume --workers N --http-port 9100` it has port 9100, and its workers the ports after it.",
        SUPERVISOR_METRICS,
    ),
    Component(
        "A monitor",
        "consumers/arc_eval_db/consumers/monitoring/metrics.py",
        "What a look at the [lag](lag.md) and at the [health](health.md) found, in whatever runs a `PipelineMonitor`:"
        " see [monitoring](monitoring.md).",
        MONITOR_METRICS,
    ),
    Component(
        "A canary",
        "consumers/arc_eval_db/consumers/canary/metrics.py",
        "`arc-eval-db canary --metrics-port 9102` serves them at `http://127.0.0.1:9102/metrics`; in a registry of your"
        " own: see [the canary](canary.md).",
        CANARY_METRICS,
    ),
    Component(
        "Alerts",
        "consumers/arc_eval_db/consumers/alerts/metrics.py",
        "In the registry that an `AlertRunner` looks at, such as a supervisor's: see [alerts](alerts.md).",
        ALERT_METRICS,
    ),
    Component(
        "The database client",
        "sql/arc_eval_db/operations.py",
        "In `client.metrics.registry`, or in a registry of your own: see [the client](client.md#watch-it).",
        CLIENT_METRICS,
    ),
    Component(
        "The recorder",
        "sql/arc_eval_db/recorder/reports.py",
        "In `recorder.metrics.registry`, or in a registry of your own: see [the recorder](recorder.md).",
        RECORDER_METRICS,
    ),
)


def metrics_page() -> str:
    """docs/metrics.md, from the lists of metrics, one table a component."""
    lines = [
        "# Metrics",
        "",
        "For Prometheus. Made by `make schema` from the lists in the code; a test compares the two.",
    ]
    for component in COMPONENTS:
        lines += ["", f"## {component.title}", "", component.access, f"The list: `{component.module}`.", ""]
        lines += ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.help} |"
            for metric in component.metrics
        ]
    return "\n".join(lines) + "\n"


def openapi_text() -> str:
    """dashboards/openapi.json, from the routes; no database is asked."""
    nowhere = ApiDatabase(DatabaseSettings.load(database_url="postgresql://localhost/none"))
    document = create_app(ApiSettings(), nowhere).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


HEALTH_BEGIN, HEALTH_END = "<!-- checks: begin (made by `make schema`) -->", "<!-- checks: end -->"


def health_tables() -> str:
    """The part of docs/health.md between its markers: the list of checks, and every setting."""
    lines = [HEALTH_BEGIN, "| check | figure | unit | variables | what to do |", "| --- | --- | --- | --- | --- |"]
    for check in CHECKS:
        variables = ", ".join(f"`{name.upper()}`" for name in check.limits) or "-"
        looks_at = check.looks_at + (f" ({check.needs.value})" if check.needs else "")
        lines.append(f"| `{check.name}` | {looks_at} | {check.unit} | {variables} | {check.next_step} |")
    lines += ["", "| variable, after `ARC_EVAL_HEALTH_` | default |", "| --- | --- |"]
    for name, field in HealthSettings.model_fields.items():
        default = "none" if field.default is None else f"{field.default:,.10g}"
        lines.append(f"| `{name.upper()}` | {default} |")
    return "\n".join([*lines, HEALTH_END])


def health_page(page: str) -> str:
    """docs/health.md with its tables made anew."""
    head, _, rest = page.partition(HEALTH_BEGIN)
    return head + health_tables() + rest.partition(HEALTH_END)[2]


PROMETHEUS_RULES = ROOT / "dashboards" / "prometheus" / "rules" / "arc-eval-db.yml"


def prometheus_rules() -> str:
    """dashboards/prometheus/rules/arc-eval-db.yml, from the list of rules with the default thresholds."""
    head = "# Made by `make schema` from consumers/arc_eval_db/consumers/alerts/rules.py; not to be edited.\n"
    return head + rules_yaml(alert_rules(AlertSettings()))


GRAFANA_DASHBOARDS = ROOT / "dashboards" / "grafana" / "dashboards"


def grafana_dashboards() -> dict[str, str]:
    """dashboards/grafana/dashboards/, from dashboards/arc_eval_db/dashboards/grafana/, by file."""
    return {
        f"arc-eval-db-{name}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in dashboards().items()
    }


ALERTS_BEGIN, ALERTS_END = "<!-- rules: begin (made by `make schema`) -->", "<!-- rules: end -->"
_SETTINGS_BEGIN, _SETTINGS_END = "<!-- settings: begin (made by `make schema`) -->", "<!-- settings: end -->"


def alerts_page(page: str) -> str:
    """docs/alerts.md with its list of rules and its settings made anew."""
    page = _replaced(page, ALERTS_BEGIN, _alert_rules(), ALERTS_END)
    lines = ["| variable, after `ARC_EVAL_ALERT_` | default |", "| --- | --- |"]
    for name, field in AlertSettings.model_fields.items():
        lines.append(f"| `{name.upper()}` | {'none' if field.default is None else field.default} |")
    return _replaced(page, _SETTINGS_BEGIN, lines, _SETTINGS_END)


def _replaced(page: str, begin: str, lines: Sequence[str], end: str) -> str:
    head, _, rest = page.partition(begin)
    return head + "\n".join([begin, *lines, end]) + rest.partition(end)[2]


def _alert_rules() -> list[str]:
    columns = ("rule", "severity", "opens when", "for", "says", "what to do")
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    for rule in alert_rules(AlertSettings()):
        sign = ">" if rule.comparison == "above" else "<"
        opens = f"`{rule.measure.promql()} {sign} {rule.opens_at:g}`"
        if rule.resolves_at != rule.opens_at:
            opens += f"; resolves at {rule.resolves_at:g}"
        cells = (f"`{rule.name}`", rule.severity, opens, f"{rule.for_s:g} s", rule.summary, rule.next_step)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


async def _write_schemas(url: str) -> None:
    server = DatabaseSettings.load(database_url=url)
    async with await connect(server) as session:
        best = await detect_edition(session)
    for edition in {Edition.POSTGRESQL, best}:
        async with temporary_database(server) as settings, await connect(settings) as session:
            await Migrator(session, edition=edition).up()
            description = await describe_schema(session, edition)
        (ROOT / "sql" / f"schema.{edition}.sql").write_text(description)
        print(f"wrote sql/schema.{edition}.sql")
    if best is not Edition.TIMESCALEDB:
        print("left sql/schema.timescaledb.sql alone: this server has no TimescaleDB")


def main() -> None:
    """Write what is generated."""
    write_schemas(ROOT / "schemas")
    (ROOT / "docs" / "metrics.md").write_text(metrics_page())
    (ROOT / "dashboards" / "openapi.json").write_text(openapi_text())
    health = ROOT / "docs" / "health.md"
    health.write_text(health_page(health.read_text()))
    alerts = ROOT / "docs" / "alerts.md"
    alerts.write_text(alerts_page(alerts.read_text()))
    PROMETHEUS_RULES.write_text(prometheus_rules())
    for name, text in grafana_dashboards().items():
        (GRAFANA_DASHBOARDS / name).write_text(text)
    print("wrote schemas/, dashboards/, docs/metrics.md and the tables of docs/health.md and docs/alerts.md")
    with tempfile.TemporaryDirectory() as directory, start_servers(Path(directory)) as servers:
        asyncio.run(_write_schemas(servers.database_url))


if __name__ == "__main__":
    main()
