"""What panels have in common: where their figures come from, their units, and their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PROMETHEUS = {"type": "prometheus", "uid": "arc-eval-db-prometheus"}
POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "arc-eval-db-postgresql"}

_COLUMNS = 24
_SCHEMA_VERSION = 39

Kind = Literal["timeseries", "stat", "table", "state-timeline", "bargauge"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, or SQL where `is_sql`."""

    text: str
    legend: str = ""
    """Of PromQL: `{{label}}` stands for a label."""
    is_sql: bool = False
    is_series: bool = False
    """SQL with a column `time`, and otherwise texts as names and numbers as values."""
    is_instant: bool = False
    """Of PromQL: only the latest."""

    def target(self, reference: str) -> dict[str, Any]:
        """As Grafana has it."""
        if self.is_sql:
            return {
                "refId": reference,
                "datasource": POSTGRESQL,
                "editorMode": "code",
                "rawQuery": True,
                "rawSql": self.text,
                "format": "time_series" if self.is_series else "table",
            }
        return {
            "refId": reference,
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": self.text,
            "legendFormat": self.legend or "__auto",
            "instant": self.is_instant,
            "range": not self.is_instant,
            "format": "table" if self.is_instant else "time_series",
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; the dashboard gives it its place."""

    title: str
    kind: Kind
    queries: Sequence[Query]
    unit: str = "short"
    description: str = ""
    width: int = 12
    height: int = 8
    units: dict[str, str] = field(default_factory=dict)
    """Of a table: units by column."""
    thresholds: Sequence[tuple[str, float | None]] = ()
    """Colours, each with the value that it begins at."""
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Texts and colours of values."""
    minimum: float | None = 0

    def document(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana has it."""
        source = POSTGRESQL if self.queries[0].is_sql else PROMETHEUS
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": source,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [query.target(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": _OPTIONS[self.kind],
        }

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {"unit": self.unit, "mappings": self._mappings()}
        if self.minimum is not None and self.kind == "timeseries":
            defaults["min"] = self.minimum
        if self.thresholds:
            steps = [{"color": colour, "value": value} for colour, value in self.thresholds]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
            defaults["color"] = {"mode": "thresholds"}
        if self.kind == "timeseries":
            defaults["custom"] = {"fillOpacity": 10, "showPoints": "auto", "spanNulls": False}
        return defaults

    def _mappings(self) -> list[dict[str, Any]]:
        if not self.mappings:
            return []
        options = {value: {"text": text, "color": colour} for value, (text, colour) in self.mappings.items()}
        return [{"type": "value", "options": options}]

    def _overrides(self) -> list[dict[str, Any]]:
        return [
            {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}
            for column, unit in self.units.items()
        ]


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "tooltip": {"mode": "multi", "sort": "desc"},
        "legend": {"displayMode": "list", "placement": "bottom"},
    },
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "colorMode": "value", "textMode": "auto"},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "state-timeline": {"showValue": "auto", "mergeValues": True, "tooltip": {"mode": "single"}},
    "bargauge": {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": {"calcs": ["lastNotNull"]}},
}


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, filled by PromQL's `label_values` or by SQL."""

    name: str
    label: str
    query: str
    is_sql: bool = False

    def document(self) -> dict[str, Any]:
        """As Grafana has it."""
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": POSTGRESQL if self.is_sql else PROMETHEUS,
            "query": self.query if self.is_sql else {"query": self.query, "refId": "variable"},
            "definition": self.query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def dashboard(
    uid: str, title: str, panels: Iterable[Panel], *, variables: Sequence[Variable] = (), span: str, refresh: str
) -> dict[str, Any]:
    """A dashboard whose panels follow each other from left to right, in rows as wide as the page.

    Args:
        span: how far back it looks at first, such as "6h".
        refresh: how often it is read anew.
    """
    return {
        "uid": uid,
        "title": title,
        "tags": ["arc-eval-db"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": _SCHEMA_VERSION,
        "timezone": "utc",
        "time": {"from": f"now-{span}", "to": "now"},
        "refresh": refresh,
        "templating": {"list": [variable.document() for variable in variables]},
        "links": [{"type": "dashboards", "tags": ["arc-eval-db"], "title": "arc-eval-db", "asDropdown": False}],
        "panels": _placed(panels),
    }


def _placed(panels: Iterable[Panel]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    x = y = row_height = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        placed.append(panel.document(number, x, y))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed
