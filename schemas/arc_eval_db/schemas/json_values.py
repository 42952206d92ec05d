"""Any Python value as JSON that every consumer accepts, and how deep a JSON text is nested.

Sandboxes import this: it stays free of pydantic, whose import and models would cost each of them a third of a second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from arc_eval_db.schemas.limits import INTEGER_MAX, JSON_DEPTH_MAX
from arc_eval_db.schemas.text import truncate

# `data` is the second level of an event and a free-form object the third.
_OUTER_LEVELS = 2
_SAFE_INTEGER_MAX = 2**53 - 1
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def to_json(
    value: Any,
    *,
    depth: int = JSON_DEPTH_MAX - _OUTER_LEVELS,
    exact: bool = False,
    _above: tuple[int, ...] = (),
) -> Any:
    """Make JSON of any Python value, so that every reader accepts it; never raises for a value's shape.

    Text is cut at its limit, what contains itself or is nested deeper than `depth` becomes a marker, and what is not
    JSON becomes its `repr`; so does an iterator, which is the caller's to consume and may never end. With `exact`, the
    result has a canonical form (RFC 8785): text is not cut, and integers that not every JSON reader keeps exactly
    (beyond 2^53) become text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()
        return text if exact else truncate(text)
    if isinstance(value, int):
        return int(value) if abs(value) <= (_SAFE_INTEGER_MAX if exact else INTEGER_MAX) else _integer_text(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if depth <= 0:
        return "… [truncated: nested too deep]"
    # The depth alone would not do: objects that point at each other branch, and 2^30 nodes hang a sandbox.
    if id(value) in _above:
        return "… [truncated: contains itself]"
    above = (*_above, id(value))
    if isinstance(value, Mapping):
        return {_key(key): to_json(item, depth=depth - 1, exact=exact, _above=above) for key, item in value.items()}
    if (elements := _elements(value)) is not None:
        return [to_json(item, depth=depth - 1, exact=exact, _above=above) for item in elements]
    return truncate(_representation(value))


def _elements(value: object) -> list[Any] | None:
    if isinstance(value, Set):
        return sorted(value, key=repr)
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray | Iterator):
        return None
    try:
        return list(value)
    except TypeError:  # an array of no dimension has __iter__, which raises
        return None


def _integer_text(value: int) -> str:
    # str() refuses integers of more than 4,300 digits.
    return str(value) if value.bit_length() < 1024 else hex(value)


def _key(key: object) -> str:
    return (key if isinstance(key, str) else str(key)).encode("utf-8", "replace").decode()


def _representation(value: object) -> str:
    try:
        return repr(value).encode("utf-8", "replace").decode()
    except Exception as error:  # noqa: BLE001 - a user's broken __repr__ must not break the user's run
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def exceeds_depth(raw: bytes, depth_max: int = JSON_DEPTH_MAX) -> bool:
    """Whether a JSON text is nested deeper than `depth_max`; exact also when brackets stand in strings."""
    if raw.count(b"{") + raw.count(b"[") <= depth_max:
        return False
    depth = 0
    for byte in _STRING.sub(b"", raw):
        if byte in b"{[":
            depth += 1
            if depth > depth_max:
                return True
        elif byte in b"}]":
            depth -= 1
    return False
