"""A moment, in UTC, with how long ago that is."""

from __future__ import annotations

from datetime import datetime

from nicegui.element import Element


class Moment(Element, component="moment.js"):
    """Written out by the browser, which keeps the second part up to date."""

    def __init__(self, moment: datetime | None, *, before: str = "") -> None:
        """
        Args:
            before: words in front of it.
        """
        super().__init__()
        self.props["before"] = before
        self.show(moment)

    def show(self, moment: datetime | None) -> None:
        """Another moment; None shows nothing."""
        self.props["ms"] = None if moment is None else moment.timestamp() * 1000
