"""Names in addresses: a slash that belongs to one is sent as %2F, and must not part the path."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send


class Paths:
    """Decodes a path piece by piece, and leaves `%` and `/` within a piece encoded; `unescaped` undoes it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (raw := scope.get("raw_path")):
            pieces = raw.decode("latin-1").partition("?")[0].split("/")
            scope = {**scope, "path": "/".join(_escaped(unquote(piece)) for piece in pieces)}
        await self._app(scope, receive, send)


def _escaped(piece: str) -> str:
    return piece.replace("%", "%25").replace("/", "%2F")


def unescaped(piece: str) -> str:
    """A parameter of the path as it was meant.

    >>> unescaped(_escaped("refunds/50%"))
    'refunds/50%'
    """
    return piece.replace("%2F", "/").replace("%25", "%")


def address(*pieces: str) -> str:
    """The address of something, for the header Location.

    >>> address("v1", "configurations", "a/b")
    '/v1/configurations/a%2Fb'
    """
    return "".join(f"/{quote(piece, safe='')}" for piece in pieces)
