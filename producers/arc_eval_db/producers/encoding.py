"""From a Python dictionary to the bytes of an event that every consumer accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from arc_eval_db.producers.values import text_of, to_json
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX
from arc_eval_db.schemas.text import replace_nul

_OPTIONS = orjson.OPT_UTC_Z


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
    if len(raw) > EVENT_BYTES_MAX or _has_long_text(raw) or exceeds_depth(raw, JSON_DEPTH_MAX):
        return _encode_carefully(event)
    # Few events hold a backslash, and to look for one byte takes a twentieth of the time.
    return replace_nul(raw)[0] if b"\\" in raw else raw


def _has_long_text(raw: bytes) -> bool:
    if len(raw) <= TEXT_BYTES_MAX:
        return False
    # Looking at each of many small values would hold the agent up for most of a second. Escapes only make text longer,
    # so that none is overlooked; what is long only because of them is looked at in vain.
    return max(map(len, raw.replace(b'\\"', b"--").split(b'"'))) > TEXT_BYTES_MAX


def _encode_carefully(event: Mapping[str, Any]) -> bytes:
    # A configuration is already JSON, and cutting its text would change what it is.
    data = {text_of(key): value if key == "configuration" else to_json(value) for key, value in event["data"].items()}
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
