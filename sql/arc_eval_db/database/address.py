"""Where the database is, as its URL says, and how the way there is protected.

The URL is taken apart here and hosts, ports and TLS are handed to asyncpg as arguments: what was checked is what is
connected to, and neither PGHOST, PGPORT nor PGSSLMODE in the environment can change it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from arc_eval_db.errors import SettingsError

_SCHEMES = ("postgresql", "postgres")
_DEFAULT_PORT = 5432
# Where servers put their socket, as asyncpg tries them for a URL without a host.
_LOCAL_HOSTS = ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")  # noqa: S108 - where a socket may be

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A service file would bring hosts and a sslmode that nobody has looked at.
_UNSUPPORTED_PARAMETERS = frozenset({"service", "servicefile"})


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """What a database URL says about hosts and TLS; user, password and database are left to asyncpg."""

    hosts: tuple[str, ...]
    """Host names, IP addresses, or directories of Unix sockets; at least one."""
    ports: tuple[int, ...]
    """One for each host."""
    ssl_mode: str | None = None
    ssl_root_certificate: str | None = None
    """A file, or "system"."""
    ssl_certificate: str | None = None
    """The client's own, and its key."""
    ssl_key: str | None = None
    direct_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart.

        Raises:
            SettingsError: it cannot be used. The message says why and shows no part of it.
        """
        try:
            parts = urlsplit(url)
            query = {name: values[-1] for name, values in _query(parts.query).items()}
        except ValueError:
            raise _unusable("it is not a URL; special characters in a password must be percent-encoded") from None
        _check_form(parts, query)
        try:
            hosts, ports = _hosts(parts.netloc.rpartition("@")[2], query)
        except ValueError:
            raise _unusable("the host or the port is not one") from None
        mode = query.get("sslmode")
        if mode is not None and mode.replace("_", "-") not in _SSL_MODES:
            raise _unusable(f"sslmode must be one of {', '.join(_SSL_MODES)}")
        return cls(
            hosts,
            ports,
            mode.replace("_", "-") if mode else None,
            query.get("sslrootcert"),
            query.get("sslcert"),
            query.get("sslkey"),
            query.get("sslnegotiation") == "direct",
        )

    @property
    def is_local(self) -> bool:
        """Whether every host is this machine, so that nothing travels over a network."""
        return all(_is_local(host) for host in self.hosts)


def check_protection(url: str, *, allow_insecure: bool) -> DatabaseAddress:
    """The address in a URL, which must demand `sslmode=verify-full` unless it is on this machine or that is waived.

    Raises:
        SettingsError: it does not, or the URL cannot be used.
    """
    address = DatabaseAddress.parse(url)
    if not (address.is_local or allow_insecure or address.ssl_mode == "verify-full"):
        raise SettingsError(
            "ARC_EVAL_DATABASE_URL: the host is not this machine, so the URL must end in ?sslmode=verify-full "
            "(anything less can be read or impersonated on the way); "
            "where that is impossible: ARC_EVAL_DATABASE_ALLOW_INSECURE=true"
        )
    return address


def _unusable(reason: str) -> SettingsError:
    return SettingsError(
        f"ARC_EVAL_DATABASE_URL: cannot be used: {reason}; it must look like "
        "postgresql://user:password@host:port/database?sslmode=verify-full"
    )


def _query(text: str) -> dict[str, list[str]]:
    return parse_qs(text, strict_parsing=True) if text else {}


def _check_form(parts: SplitResult, query: dict[str, str]) -> None:
    if parts.scheme not in _SCHEMES:
        raise _unusable("it must begin with postgresql://")
    if parts.netloc.count("@") > 1 or parts.fragment:
        raise _unusable("special characters in a password must be percent-encoded: @ is %40, # is %23")
    if unsupported := sorted(_UNSUPPORTED_PARAMETERS & query.keys()):
        raise _unusable(f"{unsupported[0]} is not supported")


def _hosts(authority: str, query: dict[str, str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Hosts and ports from the authority, or else from the parameters `host` and `port`.

    Raises:
        ValueError: one of them is not one, or they do not match.
    """
    if authority and (query.get("host") or query.get("port")):
        raise ValueError  # libpq and asyncpg disagree on which counts
    if authority:
        hosts, ports = zip(*_split_hosts(authority), strict=True)
    else:
        hosts = tuple(query["host"].split(",")) if query.get("host") else ("",)
        ports = tuple(_port(text) for text in query.get("port", "").split(","))
    if hosts == ("",):
        hosts = _LOCAL_HOSTS
    if len(ports) == 1:
        ports *= len(hosts)
    if len(hosts) != len(ports) or not all(hosts):
        raise ValueError
    return hosts, ports


def _split_hosts(authority: str) -> Iterator[tuple[str, int]]:
    for part in authority.split(","):
        if part.startswith("["):
            host, bracket, port = part[1:].partition("]")
            ipaddress.IPv6Address(host.partition("%")[0])
            if not bracket or (port and not port.startswith(":")):
                raise ValueError
            yield host, _port(port[1:])
        else:
            host, _, port = part.partition(":")
            yield unquote(host), _port(unquote(port))


def _port(text: str) -> int:
    number = int(text) if text else _DEFAULT_PORT
    if not 0 < number < 65_536:
        raise ValueError
    return number


def _is_local(host: str) -> bool:
    if host.startswith("/") or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
