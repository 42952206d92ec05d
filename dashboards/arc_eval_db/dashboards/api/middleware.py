"""What stands before every route, as plain ASGI: failures, limits, hosts, bodies, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arc_eval_db.dashboards.api.bodies import check_body
from arc_eval_db.dashboards.api.failures import problem_of, unavailable
from arc_eval_db.dashboards.api.problems import Kind, ProblemError
from arc_eval_db.dashboards.api.settings import ApiSettings

T = TypeVar("T")

JSON = "application/json"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_BUSY_RETRY_AFTER_S = 1


def is_safe(method: str) -> bool:
    """Whether a method changes nothing."""
    return method in _SAFE


OPEN_PATHS = frozenset({"/healthz"})
"""For probes, which have no token; it says whether the database answers, and nothing else."""


def is_open(scope: Scope) -> bool:
    """Whether a request is a probe's: it takes no slot, and of a body nothing is read."""
    return scope["path"] in OPEN_PATHS


class Failures:
    """Whatever happens, the answer is a problem; every answer says what browsers and caches may make of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if has_begun:
                raise
            await problem_of(error).response()(scope, receive, sending)


class Concurrency:
    """So many requests at once; the others are told to come back, before the database hears of them."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app, self._max, self._running = app, settings.requests_max, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A probe neither waits for the others, nor keeps them out: anybody may send it.
        if scope["type"] != "http" or is_open(scope):
            await self._app(scope, receive, send)
            return
        if self._running >= self._max:
            raise unavailable("too many requests are at work; try again", _BUSY_RETRY_AFTER_S)
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1


class Hosts:
    """No page that a browser was lured to reaches loopback under a name of its own (DNS rebinding).

    A probe asks by whatever address the machine has.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope):
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or not self._settings.allows_host(hosts[0]):
                raise ProblemError(
                    Kind.MISDIRECTED,
                    "this server does not answer for that Host; name it with: arc-eval-db api serve --allowed-host",
                )
        await self._app(scope, receive, send)


class Bodies:
    """A body is whole, in time, JSON and not too large before a route begins; and the route ends in time."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_open(scope):
            await self._in_its_time(scope, _replayed(b"", receive), send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.body_bytes_max:
            raise self._too_large()
        body = await _in_time(
            self._read(receive), self._settings.body_timeout_s, Kind.BODY_TIMEOUT, "send the body without pauses"
        )
        if body is None:
            return  # whoever asked has hung up
        if body and scope["method"] in _WITH_BODY:
            _require_json(Headers(scope=scope))
            # A megabyte takes half a second: the other requests get their turn.
            await asyncio.to_thread(check_body, body)
        await self._in_its_time(scope, _replayed(body, receive), send)

    async def _in_its_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _in_time(
            self._app(scope, receive, send),
            self._settings.request_timeout_s,
            Kind.TIMEOUT,
            "ask for less, or try again when the database is less busy",
        )

    async def _read(self, receive: Receive) -> bytes | None:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._settings.body_bytes_max:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ProblemError:
        return ProblemError(
            Kind.BODY_TOO_LARGE, f"at most {self._settings.body_bytes_max:,} bytes are taken; keep the rest elsewhere"
        )


def _require_json(headers: Headers) -> None:
    """A form of another site cannot say so without the browser's asking first, which nobody here answers."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProblemError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "send the body as it is, without Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )
    if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ProblemError(
            Kind.UNSUPPORTED_MEDIA_TYPE, f"send the header Content-Type: {JSON}", headers={"Accept": JSON}
        )


async def _in_time(work: Awaitable[T], timeout_s: float, kind: Kind, advice: str) -> T:
    scope = asyncio.timeout(timeout_s)
    try:
        async with scope:
            return await work
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise ProblemError(kind, f"not done within {timeout_s:g} s; {advice}") from error


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
