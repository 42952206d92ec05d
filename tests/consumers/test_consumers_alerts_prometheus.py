"""The rules as Prometheus understands them: `promtool` reads the file, and evaluates as we do."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from arc_eval_db.consumers.alerts import AlertSettings, Rule, alert_rules
from arc_eval_db.consumers.alerts.evaluating import Evaluator
from arc_eval_db.consumers.alerts.measures import Sample, labels_of
from arc_eval_db.consumers.alerts.prometheus import rules_document, rules_yaml
from arc_eval_db.dashboards.grafana import dashboards
from support.metric_names import METRIC_LABELS
from support.servers import missing

STEP_S = 15
STEPS = 160
RULES = {rule.name: rule for rule in alert_rules(AlertSettings())}

Labels = tuple[tuple[str, str], ...]
Series = Mapping[Labels, Sequence[float | None]]


def promtool() -> str:
    """Skips where there is none."""
    found = shutil.which("promtool")
    if found is None:
        missing("promtool", "promtool is not installed; it is in Debian's package prometheus")
    assert found is not None
    return found


def run_promtool(*arguments: str | Path) -> None:
    ran = subprocess.run([promtool(), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    for name, settings in (("default", AlertSettings()), ("own", AlertSettings(lag_for_s=0.5, keep_s=0))):
        file = tmp_path / f"{name}.yml"
        file.write_text(rules_yaml(alert_rules(settings)))
        run_promtool("check", "rules", file)


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2] / "dashboards" / "prometheus"
    text = (root / "prometheus.yml").read_text().replace("/etc/prometheus", str(root))
    (tmp_path / "prometheus.yml").write_text(text)
    run_promtool("check", "config", tmp_path / "prometheus.yml")


def test_prometheus_accepts_every_query_of_the_dashboards(tmp_path: Path) -> None:
    expressions = [
        re.sub(r"\$__rate_interval", "1m", target["expr"]).replace("$group", ".*").replace("$check", ".*")
        for document in dashboards().values()
        for panel in document["panels"]
        for target in panel["targets"]
        if "expr" in target
    ]
    recorded = [{"record": f"query_{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    run_promtool("check", "rules", tmp_path / "queries.yml")


def walk(generator: random.Random, low: float, high: float, jump: float) -> list[float | None]:
    """Figures that wander, stay, jump and are missing for a while."""
    values: list[float | None] = []
    value, gone = generator.uniform(low, high), 0
    for _ in range(STEPS):
        if generator.random() < 0.02:
            gone = generator.randint(1, 6)
        if generator.random() < 0.1:
            value = generator.uniform(low, high)
        value = min(high, max(low, value + generator.uniform(-jump, jump)))
        values.append(None if gone > 0 else round(value, 1))
        gone -= 1
    return values


def flags(generator: random.Random) -> list[float | None]:
    return [None if value is None else float(value > 5) for value in walk(generator, 0, 10, 2)]


def counter(generator: random.Random) -> list[float | None]:
    """It counts now and then, and begins anew once."""
    values: list[float | None] = []
    value = 0.0
    for step in range(STEPS):
        value = 0 if step == STEPS // 2 else value + (generator.random() < 0.06)
        values.append(value)
    return values


def series_of(name: str, generator: random.Random) -> Series:
    topics: list[Labels] = [(("group", "g"), ("partition", str(number)), ("topic", "t")) for number in range(2)]
    match name:
        case "ArcEvalLagHigh":
            return {labels: walk(generator, 0, 200, 30) for labels in topics}
        case "ArcEvalStalled":
            return {(*labels, ("state", "stalled")): flags(generator) for labels in topics} | {
                (*labels, ("state", "ok")): flags(generator) for labels in topics
            }
        case "ArcEvalMessagesLost":
            return {labels: flags(generator) for labels in topics}
        case "ArcEvalDeadLettersRising":
            letters = [round(value or 0) for value in walk(generator, 0, 5, 0.4)]
            return {(("check", "new_dead_letters"),): letters, (("check", "orphans"),): letters[::-1]}
        case "ArcEvalMonitorBlind":
            return {(("group", "g"),): [step // 12 * 12 * STEP_S for step in range(STEPS)]}
        case "ArcEvalCanaryFails":
            return {(): flags(generator)}
        case "ArcEvalWorkerStuck":
            return {(("worker", str(number)),): walk(generator, 0, 100, 20) for number in range(2)}
        case "ArcEvalWorkerRestarts":
            return {(("worker", str(number)),): counter(generator) for number in range(2)}
        case _:
            raise AssertionError(name)


def ours(rule: Rule, series: Series) -> list[list[dict[str, str]]]:
    """The labels of the alerts that are open, at each step."""
    evaluator = Evaluator([rule], alerts_max=100)
    steps = []
    for step in range(STEPS):
        samples = [
            Sample(labels_of(dict(labels)), value)
            for labels, values in series.items()
            if (value := values[step]) is not None
        ]
        evaluator.evaluate({rule.measure.metric: samples}, step * STEP_S)
        steps.append([dict(alert.labels) for alert in evaluator.open])
    return steps


def written(metric: str, labels: Sequence[tuple[str, str]], values: Sequence[float | None]) -> dict[str, str]:
    """A series as promtool has it; a value that is missing makes it stale, as a scrape without it does."""
    inside = ", ".join(f'{name}="{value}"' for name, value in labels)
    return {
        "series": f"{metric}{{{inside}}}",
        "values": " ".join("stale" if value is None else f"{value:g}" for value in values),
    }


@pytest.mark.parametrize(
    "name",
    [
        "ArcEvalLagHigh",
        "ArcEvalStalled",
        "ArcEvalMessagesLost",
        "ArcEvalDeadLettersRising",
        "ArcEvalMonitorBlind",
        "ArcEvalCanaryFails",
        "ArcEvalWorkerStuck",
        "ArcEvalWorkerRestarts",
    ],
)
def test_prometheus_opens_and_resolves_when_we_do(name: str, tmp_path: Path) -> None:
    rule = RULES[name]
    document: Any = rules_document([rule])
    del document["groups"][0]["rules"][0]["annotations"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    target = {"job": "arc-eval-db", "instance": "here"} if rule.measure.by_target else {}
    tests = []
    opened = 0
    for seed in range(2):
        series = series_of(name, random.Random(f"{name} {seed}"))
        steps = ours(rule, series)
        opened += sum(len(later) > len(earlier) for earlier, later in pairwise(steps))
        tests.append(
            {
                "interval": f"{STEP_S}s",
                "input_series": [
                    written(rule.measure.metric, [*labels, *target.items()], values)
                    for labels, values in series.items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": f"{step * STEP_S}s",
                        "alertname": name,
                        "exp_alerts": [
                            {"exp_labels": {"severity": rule.severity.value, **target, **labels}} for labels in open_now
                        ],
                    }
                    for step, open_now in enumerate(steps)
                ],
            }
        )
    assert opened >= 2, "there is something to agree about"
    wanted = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP_S}s", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(wanted))
    run_promtool("test", "rules", tmp_path / "tests.yml")


def test_every_rule_names_labels_that_its_metric_has() -> None:
    for rule in RULES.values():
        assert set(rule.measure.prometheus_labels) <= METRIC_LABELS[rule.measure.metric]
