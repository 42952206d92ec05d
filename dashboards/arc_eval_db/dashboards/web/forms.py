"""Filters: plain forms whose values are in the page's address, so that it can be shared and gone back to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from arc_eval_db.dashboards.web.elements import tag
from arc_eval_db.dashboards.web.view import View


@contextlib.contextmanager
def filters(view: View, label: str) -> Iterator[None]:
    """A form that loads this page again with what is chosen; a choice of a `select` is applied at once.

    Args:
        label: what it filters, for who cannot see it.
    """
    path = view.request.url.path
    with tag("form", classes="filters", method="get", action=path, role="search", aria_label=label, data_filters=""):
        yield
        tag("button", "Apply", type="submit")
        tag("a", "Clear", href=path)


def select(
    name: str, label: str, options: Sequence[str] | Mapping[str, str], chosen: str, *, none: str = "any"
) -> None:
    """A choice.

    Args:
        name: of the parameter in the address.
        options: values, or values with what is shown for them; the empty one is shown as `none`.
        chosen: one that is not among the options is added.
    """
    shown = dict(options) if isinstance(options, Mapping) else {value: value for value in options}
    if chosen not in shown:
        shown[chosen] = chosen
    with tag("label", label), tag("select", name=name):
        for value, text in shown.items():
            selected = {"selected": "selected"} if value == chosen else {}
            tag("option", text or none, value=value, **selected)


def search(name: str, label: str, value: str, *, placeholder: str = "") -> None:
    """A field for words; the key / leads to it."""
    with tag("label", label):
        field = tag("input", type="search", name=name, placeholder=placeholder, data_search="", maxlength="200")
        # As an attribute: as a property it would be written over what is being typed, with every change of the page.
        field.props["^value"] = value
