"""Which executions a page is about: the form above it, and its panels' sources. All of it is in the address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode

from arc_eval_db.dashboards.web.data.names import Choices, read_choices
from arc_eval_db.dashboards.web.data.selections import DEFAULT_RANGE, RANGES, Filters, Selection, resolve
from arc_eval_db.dashboards.web.data.spans import prepare
from arc_eval_db.dashboards.web.elements import Tag, tag
from arc_eval_db.dashboards.web.live import Seen, Source
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session

T = TypeVar("T")

_CHOICES_INTERVAL_S = 60.0
_LONG = timedelta(days=3)
_LONG_INTERVAL_S = 60.0
"""Of a range of weeks an hour more or less is no news."""

FIELDS = ("configuration", "scenario", "simulation")


def read_filters(view: View) -> Filters:
    """What the address asks for. What cannot be understood is said on the page, and left out."""
    try:
        filters = Filters.of(view.request.query_params)
        filters.window(datetime.now(UTC))
    except ValueError as error:
        tag("p", f"The address was not understood: {error}.", "notice notice-warn", role="alert")
        return Filters()
    return filters


def filter_form(
    view: View,
    filters: Filters,
    *,
    fields: Iterable[str] = FIELDS,
    more: Callable[[], None] | None = None,
    keep: Mapping[str, str] | None = None,
) -> None:
    """The form. It is an ordinary one, so that each choice is an address that can be shared and gone back to.

    Args:
        more: makes fields of the page's own, in front.
        keep: what else the address has to hold on to.
    """
    with tag("form", classes="filters", method="get", action=view.request.url.path, data_filters="", role="search"):
        for name, value in (keep or {}).items():
            tag("input", type="hidden", name_=name, **{"^value": value})
        if more is not None:
            more()
        _range_field(filters)
        lists = {name: _text_field(name, getattr(filters, name)) for name in fields}
        for name, label, moment in (("from", "From (UTC)", filters.since), ("to", "To (UTC)", filters.until)):
            with tag("label", label):
                text = "" if moment is None else f"{moment:%Y-%m-%dT%H:%M}"
                tag("input", type="datetime-local", name_=name, **{"^value": text})
        tag("button", "Show", "primary", type="submit")
        tag("a", "Clear", "button", href=view.request.url.path)
    source = view.dashboard.source("choices", load=read_choices, interval_s=_CHOICES_INTERVAL_S)
    for name, options in lists.items():
        view.follow(source, _offer(name, options), inside=options)


def _range_field(filters: Filters) -> None:
    with tag("label", "Range"), tag("select", name_="range"):
        for name, duration in RANGES.items():
            chosen = {"selected": ""} if name == filters.range else {}
            value = "" if name == DEFAULT_RANGE else name
            tag("option", f"last {_words(duration)}", **{"^value": value}, **chosen)


def _words(duration: timedelta) -> str:
    hours = int(duration / timedelta(hours=1))
    if hours == 1:
        return "hour"
    return f"{hours} hours" if hours <= 24 else f"{hours // 24} days"


def _text_field(name: str, value: str) -> Tag:
    with tag("label", name.capitalize()):
        tag("input", type="text", name_=name, list=f"choices-{name}", autocomplete="off", **{"^value": value})
        return tag("datalist", id=f"choices-{name}")


def _offer(name: str, options: Tag) -> Callable[[Seen[Choices]], None]:
    offered: list[tuple[str, ...]] = [()]

    def show(seen: Seen[Choices]) -> None:
        names = () if seen.value is None else getattr(seen.value, f"{name}s")
        if names == offered[0]:
            return
        offered[0] = names
        options.clear()
        with options:
            for each in names:
                tag("option", **{"^value": each})

    return show


def selected(
    view: View,
    name: str,
    filters: Filters,
    load: Callable[[Session, Selection], Awaitable[T]],
    *more: Hashable,
) -> Source[T]:
    """Something of the executions that the filters mean, at the time of each look."""

    async def look(session: Session) -> T:
        await prepare(session)
        return await load(session, await resolve(session, filters, now=datetime.now(UTC)))

    is_long = RANGES[filters.range] > _LONG or filters.since is not None
    interval_s = _LONG_INTERVAL_S if is_long else None
    return view.dashboard.source(name, filters, *more, load=look, interval_s=interval_s)


def address(path: str, filters: Filters, **changes: str) -> str:
    """A page's address with the same filters, but for the changes."""
    values = {**filters.parameters(), **changes}
    query = urlencode({name: value for name, value in values.items() if value})
    return path + (f"?{query}" if query else "")


def range_covering(since: datetime | None, now: datetime) -> str:
    """The shortest range that goes back to a moment; the default where none is known."""
    if since is None:
        return DEFAULT_RANGE
    fitting = [name for name, duration in RANGES.items() if now - since <= duration and name != "1h"]
    return fitting[0] if fitting else list(RANGES)[-1]
