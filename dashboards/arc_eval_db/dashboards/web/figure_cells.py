"""How figures of executions are written in tables and charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from arc_eval_db.dashboards.web.data.figures import Figures, RateInterval
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.dashboards.web.elements import Tag, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell

CUT_AT = 300
"""Characters of a text in a table."""


def rate_cell(rate: float | None, interval: RateInterval | None) -> Cell:
    """A rate, with how sure it is."""
    if rate is None or interval is None:
        return Cell("-")
    return Cell(f" ({interval_text(interval)})", rate, "percent", hint="in brackets: 95 % confidence (Wilson)")


def interval_text(interval: RateInterval) -> str:
    """Such as "6.1 to 11 %"."""
    return f"{percent(interval.low)} to {percent(interval.high)} %"


def percent(share: float) -> str:
    """With one digit behind the point."""
    text = f"{100 * share:.1f}"
    return text.removesuffix(".0")


def cut(text: str | None) -> str:
    """What fits into a table."""
    if text is None:
        return ""
    return text if len(text) <= CUT_AT else f"{text[:CUT_AT]}…"


def over_time(buckets: Mapping[datetime, Figures], window: Window, measure: str) -> list[tuple[float, float | None]]:
    """A line: a point for each hour or day, without a value where nothing ended.

    Args:
        measure: an attribute of `Figures`.
    """
    return [
        (moment.timestamp() * 1000, getattr(buckets[moment], measure) if moment in buckets else None)
        for moment in window.buckets()
    ]


def count_line(buckets: Mapping[datetime, Figures], window: Window, measure: str) -> list[tuple[float, float | None]]:
    """A line of counts: 0 where nothing ended."""
    return [
        (moment.timestamp() * 1000, (getattr(buckets[moment], measure) or 0) if moment in buckets else 0)
        for moment in window.buckets()
    ]


def figure_list(names: Iterable[tuple[str, str]]) -> dict[str, Tag]:
    """A row of figures with their labels; by name the element that is to be filled.

    Args:
        names: name and label of each.
    """
    with tag("dl", classes="figures"):
        return {name: figure_item(name, label) for name, label in names}


def figure_item(name: str, label: str) -> Tag:
    """One of them, inside of a list."""
    with tag("div"):
        tag("dt", label)
        return tag("dd", "-", data_figure=name)


def count_text(value: int | None) -> str:
    """Such as "12,345"; a dash where it is not known."""
    return "-" if value is None else f"{value:,}"


def usd_text(value: float | None) -> str:
    """Such as "$1,234.56"; small amounts with more digits; a dash where it is not known."""
    if value is None:
        return "-"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def number_text(value: float | None) -> str:
    """A mean; a dash where it is not known."""
    return "-" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def duration_text(milliseconds: float | None) -> str:
    """For people; a dash where it is not known.

    >>> duration_text(950.0), duration_text(90_000.0), duration_text(None)
    ('950 ms', '90 s', '-')
    """
    if milliseconds is None:
        return "-"
    for unit_ms, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if milliseconds >= 2 * unit_ms:
            return f"{milliseconds / unit_ms:,.1f} {name}"
    return f"{milliseconds / 1000:,.3g} s" if milliseconds >= 1000 else f"{milliseconds:,.3g} ms"
