"""The same rules for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from arc_eval_db.consumers.alerts.rule import Rule

EVALUATION_INTERVAL_S = 15


def rules_document(rules: Sequence[Rule]) -> dict[str, Any]:
    """A file of rules, as Prometheus reads it (2.42 or newer, for `keep_firing_for`)."""
    group = {
        "name": "arc-eval-db",
        "interval": f"{EVALUATION_INTERVAL_S}s",
        "rules": [_rule(rule) for rule in rules],
    }
    return {"groups": [group]}


def rules_yaml(rules: Sequence[Rule]) -> str:
    """The document as text."""
    return yaml.dump(rules_document(rules), Dumper=_Dumper, sort_keys=False, width=1_000, allow_unicode=True)


def _rule(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {"alert": rule.name, "expr": rule.promql()}
    if rule.for_s:
        written["for"] = _duration(rule.for_s)
    if rule.keep_s:
        written["keep_firing_for"] = _duration(rule.keep_s)
    written["labels"] = {"severity": rule.severity.value}
    written["annotations"] = {"summary": rule.prometheus_summary(), "next_step": rule.next_step}
    return written


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds % 1 else f"{seconds:.0f}s"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
