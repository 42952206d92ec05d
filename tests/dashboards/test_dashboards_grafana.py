"""Grafana's dashboards: every query against the real schema, every metric and label against the typed lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from arc_eval_db.consumers.alerts.rules import PROMETHEUS_JOB
from arc_eval_db.consumers.canary.names import CANARY_NAME
from arc_eval_db.dashboards.grafana import dashboards
from arc_eval_db.dashboards.grafana.panels import POSTGRESQL, PROMETHEUS
from arc_eval_db.database import DatabaseSettings
from support.databases import connect
from support.metric_names import METRIC_LABELS
from support.regenerate import GRAFANA_DASHBOARDS, PROMETHEUS_RULES, ROOT, grafana_dashboards, prometheus_rules

GRAFANA = ROOT / "dashboards" / "grafana"

# What Grafana puts in place of its macros and variables before it asks PostgreSQL.
MACROS = (
    (r"\$__timeFilter\(([^)]*)\)", r"\1 BETWEEN '2026-11-01T00:00:00Z' AND '2026-11-02T00:00:00Z'"),
    (r"\$__timeGroupAlias\(([^,]*),\s*\$__interval\)", r"floor(extract(epoch FROM \1) / 60) * 60 AS time"),
    (r"\$configuration", "'careful', 'it''s'"),
)
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"\b(?:arc_eval_\w+|ALERTS|up)\b")


def queries() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, document in dashboards().items():
        for variable in document["templating"]["list"]:
            text = variable["query"] if isinstance(variable["query"], str) else variable["query"]["query"]
            key = "rawSql" if variable["datasource"] == POSTGRESQL else "expr"
            yield f"{name}: {variable['name']}", {"datasource": variable["datasource"], key: text}
        for panel in document["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']} {target['refId']}", target


SQL = [pytest.param(target["rawSql"], id=name) for name, target in queries() if "rawSql" in target]
PROMQL = [pytest.param(target["expr"], id=name) for name, target in queries() if "expr" in target]


def expanded(sql: str) -> str:
    for pattern, text in MACROS:
        sql = re.sub(pattern, text, sql)
    assert "$" not in sql, "a macro or variable that this test does not know"
    return sql


@pytest.mark.database
async def test_every_query_runs_as_the_reader(database: DatabaseSettings) -> None:
    async with await connect(database) as session:
        await session.execute("SET ROLE arc_eval_reader")
        for parameter in SQL:
            (text,) = parameter.values
            rows = await session.fetch(expanded(str(text)))
            if "AS metric" in str(text):
                await session.execute(f"PREPARE checked AS {expanded(str(text))}")
                names = await session.fetch_value(
                    "SELECT result_types::text FROM pg_prepared_statements WHERE name = 'checked'"
                )
                await session.execute("DEALLOCATE checked")
                assert str(names).split(",")[1] == "text", "the second column names the series"
            assert len(rows) <= 1000


@pytest.mark.parametrize("text", SQL)
def test_every_query_is_bounded(text: str) -> None:
    assert "LIMIT" in text or "$__timeFilter" in text


def labels_named(promql: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of an expression, with the labels that its selector names."""
    for match in re.finditer(r"(\w+)\{([^}]*)\}", promql):
        yield match[1], set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', match[2])))
    for match in re.finditer(r"label_values\((\w+), (\w+)\)", promql):
        yield match[1], {match[2]}


@pytest.mark.parametrize("text", PROMQL)
def test_every_metric_and_label_is_on_a_list(text: str) -> None:
    metrics = set(_NAME.findall(_RANGE.sub("", re.sub(r'"[^"]*"', '""', text))))
    assert metrics, "it asks for nothing"
    assert metrics <= set(METRIC_LABELS)
    for metric, labels in labels_named(text):
        assert labels <= METRIC_LABELS[metric], metric
    shared = set[str]().union(*(METRIC_LABELS[metric] for metric in metrics))
    for grouping in re.findall(r"\bby \(([^)]*)\)", text):
        assert {label.strip() for label in grouping.split(",")} <= shared


def test_the_canary_is_in_nobodys_figures() -> None:
    for name, target in queries():
        if re.search(r"performance_|cost_breakdown|error_rates|tool_reliability", target.get("rawSql", "")):
            assert f"configuration <> '{CANARY_NAME}'" in target["rawSql"], name


def test_legends_name_labels_that_are_there() -> None:
    for name, target in queries():
        for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
            grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
            metrics = _NAME.findall(target["expr"])
            allowed = grouped or set[str]().union(*(METRIC_LABELS[metric] for metric in metrics))
            assert label in allowed, name


def test_the_files_are_made_from_the_code() -> None:
    made = grafana_dashboards()
    assert {path.name for path in GRAFANA_DASHBOARDS.glob("*.json")} == set(made)
    for name, text in made.items():
        assert (GRAFANA_DASHBOARDS / name).read_text() == text, "run: make schema"
    assert PROMETHEUS_RULES.read_text() == prometheus_rules(), "run: make schema"


def test_dashboards_can_be_told_apart_and_panels_do_not_overlap() -> None:
    documents = [json.loads(text) for text in grafana_dashboards().values()]
    assert len({document["uid"] for document in documents}) == len(documents)
    for document in documents:
        taken: set[tuple[int, int]] = set()
        for panel in document["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells
        assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_provisioning_names_what_the_dashboards_use() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "arc-eval-db.yml").read_text())["datasources"]
    assert {(source["uid"], source["type"]) for source in sources} == {
        (source["uid"], source["type"]) for source in (PROMETHEUS, POSTGRESQL)
    }
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "arc-eval-db.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert f"./dashboards/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]
    asked = set(re.findall(r"\$(ARC_EVAL_\w+)", (GRAFANA / "provisioning/datasources/arc-eval-db.yml").read_text()))
    assert asked <= set(compose["grafana"]["environment"])


def test_prometheus_scrapes_under_the_name_that_rules_know() -> None:
    document = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    assert job["job_name"] == PROMETHEUS_JOB
    assert all(target.startswith("127.0.0.1:") for group in job["static_configs"] for target in group["targets"]), (
        "only this machine"
    )
