"""What browsers are told to refuse: scripts that are not the page's own, other addresses, frames.

The framework compiles its templates in the browser, so `unsafe-eval` has to stay. Its own inline scripts carry a nonce
that is new with every page, so that one that got into the page by way of an event's text would not run, nor would a
handler such as `onerror`. Style sheets it writes inline.
"""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAGE_MARK = "x-nicegui-content"
# What a proxy may say of itself is put into the page's addresses by the framework; nobody here believes it.
_UNBELIEVED = frozenset({b"x-forwarded-prefix"})

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def policy(nonce: str | None) -> str:
    """The Content-Security-Policy: of a page with this nonce, or of what needs no script at all.

    >>> policy(None).split("; ")[:2]
    ["default-src 'none'", "style-src 'self'"]
    """
    common = ["base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "img-src 'self' data:"]
    if nonce is None:
        return "; ".join(["default-src 'none'", "style-src 'self'", *common])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            "connect-src 'self'",
            *common,
        ]
    )


class SecureHeaders:
    """Adds the headers to every answer, and the nonce to a page's own scripts."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        scope = {**scope, "headers": [header for header in scope["headers"] if header[0] not in _UNBELIEVED]}
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Sending(send).send)


class _Sending:
    """Lets an answer through; a page is held back until it is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._page: Message | None = None
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _PAGE_MARK in Headers(raw=message["headers"]):
                self._page = message
                return
            _add(message, policy(None))
        elif self._page is not None and message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            message = await self._start_page(self._page)
        await self._send(message)

    async def _start_page(self, start: Message) -> MutableMapping[str, object]:
        nonce = secrets.token_urlsafe(18)
        body = b"".join(self._parts).replace(b"<script", f'<script nonce="{nonce}"'.encode())
        headers = MutableHeaders(raw=start["headers"])
        del headers[_PAGE_MARK]
        headers["Content-Length"] = str(len(body))
        start["headers"] = headers.raw
        _add(start, policy(nonce))
        await self._send(start)
        return {"type": "http.response.body", "body": body}


def _add(start: Message, csp: str) -> None:
    headers = MutableHeaders(scope=start)
    for name, value in _ALWAYS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", csp)
    headers.setdefault("Cache-Control", "private, no-store")
