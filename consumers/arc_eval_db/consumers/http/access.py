"""Who may see what: probes and Prometheus everything that is no secret, others with a token."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass

from pydantic import SecretStr

from arc_eval_db.consumers.http.request import Request
from arc_eval_db.consumers.monitoring.answers import Answer, problem

TOKEN_VARIABLE = "ARC_EVAL_CONSUMER_HTTP_TOKEN"  # noqa: S105 - its name

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_REALM = 'Bearer realm="arc-eval-db"'
# What a proxy adds: then it is not this machine's user who asks, and only looks so.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server."""

    host: str
    """Where it listens."""
    token: SecretStr | None = None

    def misdirected(self, request: Request) -> Answer | None:
        """No page that a browser was lured to reaches loopback under a name of its own (DNS rebinding)."""
        if not is_loopback(self.host) or _without_port(request.header("host").lower()) in _LOOPBACK_NAMES:
            return None
        return problem(
            421,
            "misdirected",
            "The request is for another host",
            "this server listens on loopback, and answers for no other name",
            "ask for http://127.0.0.1, or let it listen elsewhere with ARC_EVAL_CONSUMER_HTTP_HOST",
        )

    def refused(self, request: Request) -> Answer | None:
        """Whether a request for more than probes may see lacks the token; None where it may be answered."""
        if self.token is None:
            is_local = is_loopback(self.host) and not any(name in request.headers for name in _FORWARDED)
            return None if is_local else _no_token_set()
        kind, _, given = request.header("authorization").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("latin-1"), self.token.get_secret_value().encode()
        ):
            return None
        return _unauthenticated(is_wrong="authorization" in request.headers)


def _no_token_set() -> Answer:
    return problem(
        403,
        "forbidden",
        "A token has to be set first",
        "others than this machine can reach this server, and there is no token that would keep them out",
        f"set {TOKEN_VARIABLE} to a long random text, and send it as Authorization: Bearer TOKEN",
    )


def _unauthenticated(*, is_wrong: bool) -> Answer:
    return problem(
        401,
        "unauthenticated",
        "A token is needed",
        "the token is not the one that is set" if is_wrong else "the request has no token",
        f"send the header Authorization: Bearer TOKEN, with what {TOKEN_VARIABLE} says",
        {"WWW-Authenticate": _REALM + (', error="invalid_token"' if is_wrong else "")},
    )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.endswith("]")) else host
