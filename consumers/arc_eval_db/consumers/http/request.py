"""The head of an HTTP request, read within a deadline and a size: all that is taken here."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from arc_eval_db.errors import PoisonError

HEAD_BYTES_MAX = 8_192
METHODS = ("GET", "HEAD")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


class RequestRefusedError(PoisonError):
    """The request is answered with a status and no more."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, list[str]]
    """By name in lower case."""

    def header(self, name: str) -> str:
        """A header's only value; empty where it is missing or given twice."""
        values = self.headers.get(name, [])
        return values[0] if len(values) == 1 else ""


def read_request(connection: socket.socket, timeout_s: float) -> Request:
    """Read the head of a request. However slowly it comes, `timeout_s` is all it has.

    Raises:
        RequestRefusedError: it is not there in time, too long, or no request that is taken.
        OSError: the connection was lost.
    """
    deadline = time.monotonic() + timeout_s
    head = b""
    while b"\r\n\r\n" not in head:
        if len(head) > HEAD_BYTES_MAX:
            raise RequestRefusedError(431, f"the head of a request is {HEAD_BYTES_MAX} bytes at the most")
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            part = connection.recv(4_096)
        except TimeoutError:
            raise RequestRefusedError(408, f"the request was not there within {timeout_s:g} s") from None
        if not part:
            raise ConnectionError("closed before the end of the request")
        head += part
    return parse_request(head.partition(b"\r\n\r\n")[0])


def parse_request(head: bytes) -> Request:
    """A request from its head.

    Raises:
        RequestRefusedError: it is malformed, or of a method or version that is not taken.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not target.startswith("/") or version not in _VERSIONS or " " in target:
        raise RequestRefusedError(400, "this is no HTTP/1.1 request for a path")
    if method not in METHODS:
        raise RequestRefusedError(405, f"only {' and '.join(METHODS)} are answered")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise RequestRefusedError(400, "a header cannot be read")
        headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return Request(method, target.partition("?")[0], headers)
