"""Where messages go, as settings say it: URLs and mail addresses that can be used, and cannot smuggle anything."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import getaddresses
from urllib.parse import urlsplit

from arc_eval_db.errors import SettingsError

_URL = re.compile(r"https?://[!-~]+")
_PORTS = {"http": 80, "https": 443}
_RECIPIENTS_MAX = 50


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone: no name server is asked."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A URL, taken apart."""

    is_tls: bool
    host: str
    port: int
    target: str
    """Path and query, as a request's first line has them."""
    authority: str
    """Host and port, as the header Host has them."""

    @classmethod
    def parse(cls, url: str) -> HttpTarget:
        """Raises ValueError where it is none that can be used. The message shows no part of it."""
        # urlsplit drops line breaks in silence, and would let a request have more headers than ours.
        if not _URL.fullmatch(url):
            raise ValueError("must be an http:// or https:// URL of printable ASCII characters")
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc:
            raise ValueError("must name a host, and hold neither user nor password")
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme == "https", host, port, target, parts.netloc)


def check_url(url: str, variable: str, *, allow_insecure: bool) -> None:
    """Refuse a URL that cannot be used, or that goes over a network without TLS.

    Raises:
        SettingsError: it names the variable and shows no part of the URL, which may be a secret.
    """
    try:
        target = HttpTarget.parse(url)
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None
    if not (target.is_tls or allow_insecure or is_loopback(target.host)):
        raise SettingsError(
            f"{variable}: off this machine it must be https://, or waive that with ARC_EVAL_ALERT_ALLOW_INSECURE=true"
        )


def mail_addresses(text: str) -> list[str]:
    """Addresses in a list with commas between them.

    Raises:
        ValueError: one is none.
    """
    if not text.isprintable():
        raise ValueError("must be printable")
    found = [address for _, address in getaddresses([text])]
    if not 1 <= len(found) <= _RECIPIENTS_MAX:
        raise ValueError(f"must be 1 to {_RECIPIENTS_MAX} addresses")
    for address in found:
        if not Address(addr_spec=address).domain:
            raise ValueError("must be addresses such as ops@example.org")
    return found


def check_mail_addresses(text: str, variable: str) -> None:
    """Refuse what holds no mail addresses.

    Raises:
        SettingsError: it names the variable.
    """
    try:
        mail_addresses(text)
    except (ValueError, IndexError) as error:  # the parser of headers raises either
        raise SettingsError(f"{variable}: must be mail addresses with commas between them ({error})") from None
