"""Events that parsers and databases stumble over, as bytes: what becomes of each is beside it."""

from __future__ import annotations

from typing import Any

import orjson

from arc_eval_db.schemas.topics import PROGRESSED, TOOL_USED
from support.events import event

SENT_BYTES_MAX = 1_000_000
"""What no broker of ours would take is sent as the largest that it does."""


def tool(data: dict[str, Any] | None = None, **envelope: Any) -> bytes:
    """A tool use."""
    return orjson.dumps(event(TOOL_USED, data, **envelope))


def with_argument(literal: bytes) -> bytes:
    """A tool use with an argument that no Python value stands for."""
    return tool({"arguments": {"x": "HERE"}}).replace(b'"HERE"', literal)


REFUSED: dict[str, tuple[bytes | None, str]] = {
    "no value": (None, "empty"),
    "not JSON": (b"this is not json", "invalid_json"),
    "cut off": (tool()[:-1], "invalid_json"),
    "two documents": (tool() + tool(), "invalid_json"),
    "an array": (b"[1]", "invalid_envelope"),
    "NaN": (with_argument(b"NaN"), "invalid_data"),
    "1e999": (with_argument(b"1e999"), "invalid_data"),
    "a raw NUL byte": (with_argument(b'"\x00"'), "invalid_json"),
    "NUL in a name": (tool({"tool": "a\x00b"}), "invalid_data"),
    "a lone surrogate": (with_argument(rb'"\ud800"'), "invalid_json"),
    "invalid UTF-8": (with_argument(b'"\xff\xfe"'), "invalid_json"),
    "depth 1,000": (with_argument(b"[" * 1000 + b"]" * 1000), "too_deep"),
    "2 MB": (tool({"error": "x" * 2_000_000}), "too_large"),
    "30 digits": (with_argument(b"9" * 30), "invalid_data"),
    "5,000 digits": (with_argument(b"9" * 5000), "invalid_json"),
    "year 1": (tool(time="0001-01-01T00:00:00+14:00"), "time_out_of_range"),
    "year 9999": (tool(time="9999-12-31T23:59:59.999999Z"), "time_out_of_range"),
    "1970": (tool(time="1970-01-01T00:00:00Z"), "time_out_of_range"),
    "naive time": (tool(time="2026-11-23T02:00:00"), "invalid_envelope"),
    "a number as time": (tool(time=1_795_399_200), "invalid_envelope"),
    "a leap second": (tool(time="2026-11-23T02:00:60Z"), "invalid_envelope"),
    "unknown type": (orjson.dumps(event(TOOL_USED) | {"type": "arc_eval.tool.invented.v1"}), "unknown_type"),
    "unknown version": (orjson.dumps(event(TOOL_USED) | {"type": "arc_eval.tool.used.v2"}), "unknown_type"),
    "no subject": (orjson.dumps({k: v for k, v in event(TOOL_USED).items() if k != "subject"}), "invalid_envelope"),
    "a number as text": (tool({"duration_ms": "12"}), "invalid_data"),
    "a negative duration": (tool({"duration_ms": -1}), "invalid_data"),
    "an id of another kind": (tool(id="8c5d1d0c-32f1-4d3a-9a4e-111111111111"), "invalid_envelope"),
    "another topic's type": (orjson.dumps(event(PROGRESSED)), "wrong_topic"),
}
"""Each is a dead letter, with this reason."""

STORED: dict[str, bytes] = {
    "NUL in a text": tool({"error": "a\x00b", "success": False}),
    "an escaped backslash before u0000": with_argument(rb'"\\u0000"'),
    "a key twice": with_argument(b'{"a":1,"a":2}'),
    "nine digits of a second": tool(time="2026-11-23T02:00:00.123456789Z"),
    "64 bits without a sign": with_argument(b"18446744073709551615"),
    "depth 32": with_argument(b"[" * 29 + b"]" * 29),
    "another zone": tool(time="2026-11-23T02:00:00+14:00"),
    "every plane of Unicode": with_argument('"é\u2028\U0001f642"'.encode()),
}
"""Each is a row all the same."""
