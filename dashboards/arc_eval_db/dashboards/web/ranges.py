"""Ranges of time that pages offer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from arc_eval_db.dashboards.web.elements import tag
from arc_eval_db.dashboards.web.view import View

RANGES: dict[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "3d": timedelta(days=3),
    "14d": timedelta(days=14),
}
"""Of the lag's samples, which are kept for 14 days."""


def range_links(view: View, chosen: str, ranges: Mapping[str, timedelta] = RANGES) -> None:
    """Links to the same page with another range; the range is in the address, as `range`."""
    with tag("nav", classes="segments", aria_label="Range of time"):
        for name in ranges:
            current = {"aria_current": "true"} if name == chosen else {}
            tag("a", name, href=view.address(range=name), **current)
