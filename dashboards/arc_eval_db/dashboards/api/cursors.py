"""Pages: a cursor says behind which row the next begins, so that no row that stays is missed or repeated.

It holds that row's name, number or id, and what was asked: with another query it is refused. It is no secret, and says
nothing that the page did not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson
from fastapi import Query, Request, Response

from arc_eval_db.dashboards.api.problems import invalid

LIMIT_MAX = 200

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows in this page at the most.")]
CursorText = Annotated[
    str | None,
    Query(alias="cursor", max_length=1000, description="From `next` of the page before; with the same query."),
]

Row = TypeVar("Row")
Position = TypeVar("Position", str, int)

_PLACE = "query.cursor"
_NOT_OURS = "not a cursor; take it from `next` of the page before"
_INTEGER_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some of the rows, and the address of those behind them."""

    rows: Sequence[Row]
    next: str | None
    """Relative to the server; None: these were the last."""


def read_cursor(request: Request, text: str | None, kind: type[Position]) -> Position | None:
    """The position in a cursor, of that type; None without one.

    Raises:
        ProblemError: it is none of ours, or one of another query.
    """
    if text is None:
        return None
    try:
        decoded = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except ValueError as error:
        raise invalid(_PLACE, _NOT_OURS) from error
    if not isinstance(decoded, list) or len(decoded) != 2:
        raise invalid(_PLACE, _NOT_OURS)
    query, position = decoded
    if query != _query_key(request):
        raise invalid(_PLACE, "from another query; begin again without a cursor")
    # A bool is an int to Python.
    if type(position) is not kind or not _is_position(position):
        raise invalid(_PLACE, _NOT_OURS)
    return position


def _is_position(position: str | int) -> bool:
    return "\x00" not in position if isinstance(position, str) else 0 <= position <= _INTEGER_MAX


def page(
    request: Request, response: Response, rows: Sequence[Row], limit: int, position: Callable[[Row], str | int]
) -> Page[Row]:
    """The page, and in the response's header where the next is.

    Args:
        rows: one more than `limit`, where there is one more.
        position: what a cursor says of a row.
    """
    if len(rows) <= limit:
        return Page(rows, None)
    kept = rows[:limit]
    following = _address(request, _cursor(request, position(kept[-1])))
    response.headers["Link"] = f'<{following}>; rel="next"'
    return Page(kept, following)


def _cursor(request: Request, position: str | int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([_query_key(request), position])).decode().rstrip("=")


def _parameters(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]


def _query_key(request: Request) -> str:
    asked = sorted(pair for pair in _parameters(request) if pair[0] != "limit")
    text = orjson.dumps([request.url.path, asked])
    return hashlib.sha256(text).hexdigest()[:16]


def _address(request: Request, cursor: str) -> str:
    path = quote(request.url.path, safe="/%")
    return f"{path}?{urlencode([*_parameters(request), ('cursor', cursor)])}"
