"""How the API is served."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8320

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the API listens, and its limits."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    """Names besides those of loopback that requests may be for (their `Host`): in whatever case, ports are ignored."""
    body_bytes_max: int = 1_000_000
    """As a file of `config push`."""
    requests_max: int = 32
    """At work at once; more are told to come back."""
    body_timeout_s: float = 10.0
    """For a request's body to arrive."""
    request_timeout_s: float = 30.0
    """For an answer, from the moment that the body is there."""

    def __post_init__(self) -> None:
        names = frozenset(_without_port(name.lower()) for name in self.allowed_hosts)
        object.__setattr__(self, "allowed_hosts", names)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def tokens_required(self) -> bool:
        """Whether every request needs a token, also where the database has none: somebody else may reach it."""
        return not self.is_loopback or bool(self.allowed_hosts)

    @property
    def _own_name(self) -> str:
        host = self.host.lower()
        return f"[{host}]" if ":" in host else host

    def allows_host(self, host: str) -> bool:
        """Whether a request may be for this name: DNS rebinding brings others to loopback."""
        name = _without_port(host.lower())
        if name in LOOPBACK_NAMES or name in self.allowed_hosts or name == self._own_name:
            return True
        # Elsewhere a page that rebinds has no token, and a name that is not told cannot be known.
        return not self.is_loopback and not self.allowed_hosts


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.endswith("]")) else host
