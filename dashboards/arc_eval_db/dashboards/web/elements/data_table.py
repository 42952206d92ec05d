"""Tables: rows and cells as data, drawn by the browser as text, sorted there too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from nicegui.element import Element
from nicegui.events import GenericEventArguments

Tone = Literal["ok", "info", "warn", "critical", "unknown"]
Unit = Literal["count", "number", "rate", "seconds", "milliseconds", "percent", "usd", "bytes"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column."""

    label: str
    is_figure: bool = False
    """Figures stand to the right."""
    is_wide: bool = False
    """Long texts: may break, and take what room there is."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell. `figure`, `at`, `badge`, `link` make those that are more than a text."""

    text: str = ""
    value: float | None = None
    """A figure, written out in its unit; also what the column is sorted by."""
    unit: Unit | None = None
    ms: float | None = None
    """A moment, milliseconds since 1970."""
    href: str | None = None
    """An address on this server."""
    tone: Tone | None = None
    """How good or bad it is: a colour and a mark."""
    hint: str | None = None
    action: str | None = None
    """A button: what `on_action` is told, with the row's key."""

    def __post_init__(self) -> None:
        if self.href is not None and not (self.href.startswith("/") and not self.href.startswith(("//", "/\\"))):
            raise ValueError("a link leads to an address on this server")

    def to_json(self) -> dict[str, Any]:
        """For the browser; what is not there is left out."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None and value != ""}


@dataclass(frozen=True, slots=True)
class Row:
    """A row."""

    key: str
    """What it is: the same row has the same key in the next look, and keeps the focus."""
    cells: Sequence[Cell | str]
    tone: Tone | None = None

    def to_json(self) -> dict[str, Any]:
        """For the browser."""
        cells = [{"text": cell} if isinstance(cell, str) else cell.to_json() for cell in self.cells]
        return {"key": self.key, "cells": cells, "tone": self.tone}


def figure(value: float | None, unit: Unit = "count", *, href: str | None = None, hint: str | None = None) -> Cell:
    """A figure; a dash where it is not known."""
    return Cell("" if value is not None else "-", value, unit, href=href, hint=hint)


def at(moment: datetime | None) -> Cell:
    """A moment in UTC; a dash where there is none."""
    return Cell("-") if moment is None else Cell(ms=moment.timestamp() * 1000)


def badge(text: str, tone: Tone, *, hint: str | None = None) -> Cell:
    """A state."""
    return Cell(text, tone=tone, hint=hint)


def link(text: str, href: str) -> Cell:
    """A link to another page of the dashboard."""
    return Cell(text, href=href)


class DataTable(Element, component="data_table.js"):
    """A table. A button in each column's head sorts by it."""

    def __init__(
        self,
        caption: str,
        columns: Sequence[Column],
        *,
        empty: str = "nothing here",
        on_action: Callable[[str, str], Any] | None = None,
    ) -> None:
        """
        Args:
            caption: what it shows, for who cannot see it.
            empty: what is said where there are no rows, with the next step.
            on_action: called with a button's action and its row's key.
        """
        super().__init__()
        self.props["caption"] = caption
        self.props["columns"] = [
            {"label": one.label, "figure": one.is_figure, "wide": one.is_wide, "hint": one.hint} for one in columns
        ]
        self.props["rows"] = []
        self.props["empty"] = empty
        if on_action is not None:
            taken = on_action

            def act(event: GenericEventArguments) -> Any:
                action, key = event.args
                return taken(str(action), str(key))

            self.on("action", act)

    def show(self, rows: Sequence[Row]) -> None:
        """Other rows."""
        self.props["rows"] = [row.to_json() for row in rows]
