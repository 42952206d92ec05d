"""Where events come from: the sandbox's identity and the trace it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

# modal.com/docs/guide/environment_variables: the second is in every container; the first names the sandbox itself.
_SANDBOX_VARIABLES = ("MODAL_SANDBOX_ID", "MODAL_TASK_ID")

# datatracker.ietf.org/doc/html/rfc3986#section-2.3
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")

# https://www.w3.org/TR/trace-context/#traceparent-header; all-zero ids are invalid there.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def source_from(environment: Mapping[str, str], *, hostname: str, pid: int) -> str:
    """The CloudEvents source: the Modal sandbox where there is one, else the process on its host.

    >>> source_from({"MODAL_SANDBOX_ID": "sb-1"}, hostname="h", pid=7)
    '/sandboxes/sb-1'
    >>> source_from({}, hostname="h", pid=7)
    '/hosts/h/processes/7'
    """
    for variable in _SANDBOX_VARIABLES:
        if identity := environment.get(variable):
            return f"/sandboxes/{_path_part(identity)}"
    return f"/hosts/{_path_part(hostname)}/processes/{pid}"


def _path_part(name: str) -> str:
    # `urllib.parse.quote`, which would be a twentieth of what importing the SDK costs. The variable may hold bytes that
    # are no text, and a character can become twelve; a source has at most 512.
    escaped = (chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in name.encode("utf-8", "replace"))
    return "".join(escaped)[:400]


def traceparent_from(environment: Mapping[str, str]) -> str | None:
    """The W3C trace context handed down in `TRACEPARENT`; None where there is none or it is malformed."""
    value = environment.get("TRACEPARENT", "").strip().lower()
    return value if _TRACEPARENT.fullmatch(value) else None
