"""Charts: figures as data. The browser makes the drawing of it, so that nothing in a name or a value is ever code.

The framework's own chart takes any options, and runs what stands under keys that begin with a colon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui.element import Element
from nicegui.elements import echart as _registers_echart  # noqa: F401 - what chart.js imports

from arc_eval_db.dashboards.web.elements.data_table import Unit

Kind = Literal["time", "bars", "spans"]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour."""

    name: str
    points: Sequence[tuple[Any, ...]]
    """`time`: (milliseconds since 1970, value or None). `bars`: (category, value or None), or with an interval that is
    drawn (category, value, low, high). `spans`: (lane, from, to, label), in the unit of `x_unit`."""
    unit: Unit | None = None
    """None: the chart's own."""
    tone: str | None = None
    """A colour of the theme, such as `warn`; None: the next one."""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a chart shows."""

    kind: Kind
    unit: Unit
    series: Sequence[Series]
    is_stacked: bool = False
    is_filled: bool = False
    x_unit: Unit = "milliseconds"
    """`spans` only."""
    start_ms: float | None = None
    end_ms: float | None = None
    """`time`: what the axis covers, where it is more than the points."""

    def to_json(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "xUnit": self.x_unit,
            "stacked": self.is_stacked,
            "filled": self.is_filled,
            "start": self.start_ms,
            "end": self.end_ms,
            "series": [
                {
                    "name": one.name,
                    "points": [list(point) for point in one.points],
                    "unit": one.unit or self.unit,
                    "tone": one.tone,
                    "dashed": one.is_dashed,
                }
                for one in self.series
            ],
        }


class Chart(Element, component="chart.js"):
    """A chart in the theme's colours, and the same figures as a table for who wants that."""

    def __init__(self, label: str, *, height_px: int = 220, empty: str = "no figures in this range") -> None:
        """
        Args:
            label: what it shows, in words.
            empty: what is said where there are no points.
        """
        super().__init__()
        self.props["label"] = label
        self.props["height"] = height_px
        self.props["empty"] = empty
        self.props["figures"] = None

    def show(self, figures: Figures) -> None:
        """Other figures."""
        self.props["figures"] = figures.to_json()
