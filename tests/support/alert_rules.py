"""Made-up rules of alerts."""

from __future__ import annotations

from typing import Any

from arc_eval_db.consumers.alerts import Rule, Severity
from arc_eval_db.consumers.alerts.measures import Measure
from arc_eval_db.consumers.alerts.rule import Unit

_GAUGE = Measure("m", by=("topic",))


def rule(measure: Measure = _GAUGE, opens_at: float = 10, resolves_at: float = 5, **changes: Any) -> Rule:
    """A rule over the metric "m" that opens above 10 and resolves at 5, at once."""
    fields: dict[str, Any] = {
        "name": "ArcEvalTest",
        "severity": Severity.WARNING,
        "measure": measure,
        "comparison": "above",
        "opens_at": opens_at,
        "resolves_at": resolves_at,
        "unit": Unit.COUNT,
        "summary": "it is {value}",
        "next_step": "look",
    }
    return Rule(**(fields | changes))
