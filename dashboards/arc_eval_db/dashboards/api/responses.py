"""The answers that routes declare in OpenAPI: their headers, and every problem that they may end with."""

from __future__ import annotations

from typing import Any

from arc_eval_db.dashboards.api.problems import MEDIA_TYPE, Kind

Responses = dict[int | str, dict[str, Any]]

ETAG = {"ETag": {"description": "Of what was read or changed.", "schema": {"type": "string"}}}
LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
LINK = {"Link": {"description": 'Where the next page is: rel="next".', "schema": {"type": "string"}}}

_COMMON = (
    *(Kind.MALFORMED_REQUEST, Kind.UNAUTHENTICATED, Kind.BODY_TIMEOUT, Kind.BODY_TOO_LARGE, Kind.MISDIRECTED),
    *(Kind.INVALID, Kind.INTERNAL, Kind.UNAVAILABLE, Kind.TIMEOUT),
)
_CHANGE = (Kind.FORBIDDEN, Kind.UNSUPPORTED_MEDIA_TYPE)
_CONDITIONAL = (Kind.STALE, Kind.PRECONDITION_REQUIRED)
_HEADERS = {
    Kind.UNAUTHENTICATED: "WWW-Authenticate",
    Kind.FORBIDDEN: "WWW-Authenticate",
    Kind.UNAVAILABLE: "Retry-After",
}


def problem_response(kind: Kind) -> dict[str, Any]:
    """The declaration of one problem, to which the routes' answers refer in the document."""
    declared: dict[str, Any] = {
        "description": kind.title,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if header := _HEADERS.get(kind):
        declared["headers"] = {header: {"schema": {"type": "string"}}}
    return declared


def _problems(*kinds: Kind) -> Responses:
    return {
        kind.status: {"description": kind.title} for kind in sorted({*_COMMON, *kinds}, key=lambda kind: kind.status)
    }


def reading(*kinds: Kind, headers: dict[str, Any] | None = None, cached: bool = False) -> Responses:
    """Of a route that reads.

    Args:
        cached: it honours If-None-Match.
    """
    found: Responses = {200: {"headers": headers or {}}}
    if cached:
        found[304] = {"description": "It is as it was.", "headers": ETAG}
    return found | _problems(*kinds)


def changing(
    *kinds: Kind, status: int = 200, headers: dict[str, Any] | None = None, conditional: bool = False
) -> Responses:
    """Of a route that changes something.

    Args:
        conditional: it needs If-Match.
    """
    return {status: {"headers": headers or {}}} | _problems(*_CHANGE, *(_CONDITIONAL if conditional else ()), *kinds)
