"""Our own files for browsers, under addresses that change with what is in them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    """Content and type by name: read once, so that no address leads anywhere else in the file system."""
    folder = resources.files("arc_eval_db.dashboards.web").joinpath("static")
    return {
        file.name: (file.read_bytes(), _TYPES["." + file.name.rpartition(".")[2]])
        for file in folder.iterdir()
        if "." + file.name.rpartition(".")[2] in _TYPES
    }


@cache
def asset_url(name: str) -> str:
    """Where browsers find a file of `static/`; they may keep it for ever."""
    return f"/static/{name}?v={hashlib.sha256(read_asset(name)).hexdigest()[:12]}"


def read_asset(name: str) -> bytes:
    """A file of `static/`."""
    return _assets()[name][0]


async def serve_asset(request: Request) -> Response:
    """One of them."""
    found = _assets().get(request.path_params["name"])
    if found is None:
        return PlainTextResponse("there is no such file\n", 404)
    return Response(found[0], media_type=found[1], headers={"Cache-Control": _FOR_EVER})
