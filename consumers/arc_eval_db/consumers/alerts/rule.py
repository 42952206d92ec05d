"""One rule: a measure, when it is too much, for how long, and what to say then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from arc_eval_db.consumers.alerts.measures import Measure
from arc_eval_db.consumers.lag.durations import in_words


class Severity(StrEnum):
    """How soon somebody should look."""

    WARNING = "warning"
    """Today."""
    CRITICAL = "critical"
    """Now."""


class Unit(StrEnum):
    """What a figure is of, which decides how it is shown."""

    SECONDS = "seconds"
    COUNT = "count"
    SHARE = "share"
    FLAG = "flag"
    """Is or is not; the text has no figure."""


_PROMETHEUS_VALUES = {
    Unit.SECONDS: "{{ $value | humanizeDuration }}",
    Unit.COUNT: '{{ $value | printf "%.0f" }}',
    Unit.SHARE: "{{ $value | humanizePercentage }}",
    Unit.FLAG: "{{ $value }}",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """When an alert opens and resolves, for each group of its measure."""

    name: str
    severity: Severity
    measure: Measure
    comparison: Literal["above", "below"]
    """Which side of the thresholds is past them."""
    opens_at: float
    """A figure past this opens the alert, once it has been so for `for_s`."""
    resolves_at: float
    """An open alert resolves once the figure has not been past this for `keep_s`: hysteresis."""
    unit: Unit
    summary: str
    """What is the matter, in words; `{value}` and `{label}` stand for the figure and the labels."""
    next_step: str
    for_s: float = 0
    keep_s: float = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"ArcEval[A-Za-z]+", self.name):
            raise ValueError(f"{self.name}: not a name for a rule")
        band = self.opens_at - self.resolves_at
        if band < 0 if self.comparison == "above" else band > 0:
            raise ValueError(f"{self.name}: it would resolve past the threshold that opens it")
        known = {"value", *self.measure.by}
        if not set(re.findall(r"\{(\w+)\}", self.summary)) <= known:
            raise ValueError(f"{self.name}: the summary names what its figures do not have")

    def is_past(self, figure: float, *, is_open: bool) -> bool:
        """Whether a figure opens the alert, or keeps one open that is so already."""
        threshold = self.resolves_at if is_open else self.opens_at
        return figure > threshold if self.comparison == "above" else figure < threshold

    def text(self, labels: Mapping[str, str], figure: float) -> str:
        """The summary, of one group."""
        filled = {name: labels.get(name, "") for name in self.measure.by} | {"value": self.shown(figure)}
        return re.sub(r"\{(\w+)\}", lambda match: filled[match[1]], self.summary)

    def shown(self, figure: float) -> str:
        """A figure in words."""
        if self.unit is Unit.SECONDS:
            return in_words(figure)
        return f"{figure:.0%}" if self.unit is Unit.SHARE else f"{figure:,.0f}"

    def promql(self) -> str:
        """When the alert is open, as PromQL; the lower threshold counts while Prometheus has it firing."""
        sign = ">" if self.comparison == "above" else "<"
        figure = self.measure.promql()
        opens = f"{figure} {sign} {self.opens_at:g}"
        if self.opens_at == self.resolves_at:
            return opens
        labels = ", ".join(self.measure.prometheus_labels)
        firing = f'ALERTS{{alertname="{self.name}", alertstate="firing"}}'
        return f"{opens}\nor\n({figure} {sign} {self.resolves_at:g} and on ({labels}) {firing})"

    def prometheus_summary(self) -> str:
        """The summary, as Prometheus fills it."""

        def filled(match: re.Match[str]) -> str:
            if match[1] == "value":
                return _PROMETHEUS_VALUES[self.unit]
            return f"{{{{ $labels.{match[1]} }}}}"

        return re.sub(r"\{(\w+)\}", filled, self.summary)
