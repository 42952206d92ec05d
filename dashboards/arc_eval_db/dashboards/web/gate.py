"""What stands before every page and its WebSocket: the right host, the right origin, a login."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from arc_eval_db.dashboards.api.middleware import is_safe
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.web.access import Access, NotLetInError
from arc_eval_db.dashboards.web.plain import away_page
from arc_eval_db.dashboards.web.sessions import COOKIE, Sessions
from arc_eval_db.errors import ArcEvalError, RetryableError

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

LOGIN_PATH = "/login"
SOCKET_PREFIX = "/_nicegui_ws/"
PROGRAM_PREFIX = "/api/"
"""For programs too, which show their token with each request (`Authorization: Bearer TOKEN`)."""
OPEN_PATHS = frozenset({LOGIN_PATH, "/healthz", "/readyz", "/metrics", "/favicon.ico"})
PROBE_PATHS = frozenset({"/healthz", "/readyz"})
"""Asked for by whatever address the machine has; they say whether it is well, and nothing else."""
OPEN_PREFIXES = ("/static/", "/_nicegui/")
"""Files that are the same for everybody."""

# What a proxy adds: then it is not this machine's user who asks, and only looks so.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_WRONG_HOST = "this server does not answer for that Host; name it with: arc-eval-db dashboard --allowed-host\n"
_WRONG_ORIGIN = "this request comes from another site\n"
_NO_LOGIN = "log in at /login first; under /api/ send Authorization: Bearer TOKEN\n"
_AWAY = "the database does not answer; try again\n"


class Gate:
    """Lets a request or a WebSocket through, with `state["actor"]` and `state["login"]` set; or says why not."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, access: Access, sessions: Sessions) -> None:
        self.app = app
        self._settings, self._access, self._sessions = settings, access, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before the handshake this is an HTTP 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if path in PROBE_PATHS and scope["type"] == "http" and is_safe(scope["method"]):
            return None
        hosts = headers.getlist("host")
        # No page that a browser was lured to reaches loopback under a name of its own (DNS rebinding).
        if len(hosts) != 1 or not self._settings.allows_host(hosts[0]):
            return PlainTextResponse(_WRONG_HOST, 421)
        if not _is_own_origin(scope, headers, hosts[0]):
            log.warning("dashboard_origin_refused", path=path, kind=scope["type"])
            return PlainTextResponse(_WRONG_ORIGIN, 403)
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            return None
        return await self._login_refusal(scope, headers)

    async def _login_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        login = self._sessions.read(HTTPConnection(scope).cookies.get(COOKIE))
        bearer = headers.get("authorization") if scope["path"].startswith(PROGRAM_PREFIX) else None
        try:
            if bearer is not None:
                actor = await self._access.bearer(bearer.removeprefix("Bearer ").strip())
            else:
                actor = await self._access.who(login, is_forwarded=any(name in headers for name in _FORWARDED))
        except NotLetInError:
            return _to_login(scope) if _is_page(scope, headers) else PlainTextResponse(_NO_LOGIN, 401)
        except ArcEvalError as error:
            log.warning("dashboard_login_not_checked", cause=type(error).__name__, error=str(error))
            if not _is_page(scope, headers):
                return PlainTextResponse(_AWAY, 503, {"Retry-After": "5"})
            return away_page(str(error), is_passing=isinstance(error, RetryableError))
        scope.setdefault("state", {}).update(actor=actor, login=login)
        return None


def _is_own_origin(scope: Scope, headers: Headers, host: str) -> bool:
    """Whether a request that does something comes from a page of ours.

    A WebSocket of another site would carry the cookie where browsers do not honour SameSite, and is not kept from
    reading by CORS.
    """
    does_something = (
        scope["type"] == "websocket" or not is_safe(scope["method"]) or scope["path"].startswith(SOCKET_PREFIX)
    )
    if not does_something:
        return True
    origins = headers.getlist("origin")
    if not origins:
        # Browsers leave it out of a plain GET to the same site only, such as socket.io's fallback to polling.
        return scope["type"] == "http" and is_safe(scope["method"])
    return len(origins) == 1 and urlsplit(origins[0]).netloc.lower() == host.lower()


def _is_page(scope: Scope, headers: Headers) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")


def _to_login(scope: Scope) -> Response:
    query = scope["query_string"].decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "")
    return RedirectResponse(f"{LOGIN_PATH}?next={quote(wanted, safe='')}", 303)
