"""From a Python dictionary to the bytes of an event that every consumer accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from arc_eval_db.schemas.json_values import exceeds_depth, to_json
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX
from arc_eval_db.schemas.text import replace_nul

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


class NotEncodableError(Exception):
    """The event cannot be made to fit, whatever is cut from it."""


def encode(event: Mapping[str, Any]) -> bytes:
    """Serialize an event. Most take the first line; what is too long, too deep or not JSON is made to fit.

    Raises:
        NotEncodableError: even without its free-form fields the event is too large.
    """
    try:
        raw = orjson.dumps(event, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        return _encode_carefully(event)
    # Only a long event can hold an over-long text.
    if len(raw) > TEXT_BYTES_MAX or exceeds_depth(raw, JSON_DEPTH_MAX):
        return _encode_carefully(event)
    return replace_nul(raw)[0]


def _encode_carefully(event: Mapping[str, Any]) -> bytes:
    # A configuration is already JSON, and cutting its text would change what it is.
    data = {key: value if key == "configuration" else to_json(value) for key, value in event["data"].items()}
    raw = _dump({**event, "data": data})
    if len(raw) <= EVENT_BYTES_MAX:
        return raw
    for key, value in data.items():
        if isinstance(value, dict | list) and (size := len(_dump(value))) > TEXT_BYTES_MAX:
            data[key] = None if key == "configuration" else {"truncated_from_bytes": size}
    raw = _dump({**event, "data": data})
    if len(raw) > EVENT_BYTES_MAX:
        raise NotEncodableError(f"{len(raw)} bytes")
    return raw


def _dump(value: Any) -> bytes:
    return replace_nul(orjson.dumps(value, option=_OPTIONS))[0]


def size_of(value: object) -> int | None:
    """Bytes of a value as text or JSON; None for what is neither."""
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value)
    try:
        return (
            len(value.encode("utf-8", "replace"))
            if isinstance(value, str)
            else len(orjson.dumps(value, option=_OPTIONS))
        )
    except (TypeError, ValueError, RecursionError):
        return None
