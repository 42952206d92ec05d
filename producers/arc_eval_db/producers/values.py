"""Whatever a user passes, as a value that an event can carry. Nothing here raises for what the user's objects do."""

from __future__ import annotations

import logging
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import islice
from numbers import Integral, Real
from typing import Any

import orjson

from arc_eval_db.schemas import text
from arc_eval_db.schemas.limits import (
    EVENT_BYTES_MAX,
    FREE_INTEGER_MAX,
    INTEGER_MAX,
    JSON_DEPTH_MAX,
    NAME_CHARACTERS_MAX,
    TEXT_BYTES_MAX,
)

logger = logging.getLogger("arc_eval_db.producers")

# `data` is the second level of an event and a free-form object the third.
_DEPTH_MAX = JSON_DEPTH_MAX - 2

# A value and its comma take two bytes: more values than this never fit into an event. Bounds the work for what is
# shared many times over, or endless.
_VALUES_MAX = EVENT_BYTES_MAX // 2

_SAFE_INTEGER_MAX = 2**53 - 1
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def to_json(value: object, *, exact: bool = False) -> Any:
    """Make JSON of any Python value, so that every reader accepts it.

    Text is cut at its limit; what is nested too deep, contains itself or never ends becomes a marker; what is not JSON
    becomes its `repr`. Iterators are not touched: they belong to the agent, and reading them would empty them.

    With `exact`, the result has a canonical form (RFC 8785) that survives the journey, and is the same only for the
    same value: text is not cut, NUL is replaced now rather than on the wire, integers that not every JSON reader
    keeps exactly (beyond 2^53) become text, and a `repr` shows no memory addresses.
    """
    return _Conversion(exact=exact).convert(value, _DEPTH_MAX)


class _Conversion:
    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._values_left = _VALUES_MAX
        self._open: set[int] = set()
        """Ids of the containers that the conversion is inside of."""

    def convert(self, value: object, depth: int) -> Any:
        self._values_left -= 1
        try:
            if value is None or isinstance(value, bool):
                return value
            if isinstance(value, str):
                return self._text(value)
            if isinstance(value, Integral):
                return self._integer(operator.index(value))
            if isinstance(value, Real):
                number = float(value)
                return number if math.isfinite(number) else str(number)
            if isinstance(value, Mapping | Set | Sequence) and not isinstance(value, bytes | bytearray | memoryview):
                return self._container(value, depth)
            return self._other(value, depth)
        except Exception as error:  # noqa: BLE001 - a user's broken object must not break the user's run
            return f"<{type(value).__name__}, which raised {type(error).__name__}>"

    def _text(self, value: str) -> str:
        valid = value.encode("utf-8", "replace").decode()
        return valid.replace("\0", text.REPLACEMENT) if self._exact else text.truncate(valid)

    def _integer(self, value: int) -> int | str:
        if self._exact and abs(value) <= _SAFE_INTEGER_MAX:
            return value
        if not self._exact and -INTEGER_MAX <= value <= FREE_INTEGER_MAX:
            return value
        # str() refuses integers of more than 4,300 digits.
        return self._text(str(value) if value.bit_length() < 1024 else hex(value))

    def _container(self, value: Mapping[Any, Any] | Set[Any] | Sequence[Any], depth: int) -> Any:
        if id(value) in self._open:
            return "… [truncated: contains itself]"
        if depth <= 0:
            return "… [truncated: nested too deep]"
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                items = self._limited(value.items())
                return {self._key(key): self.convert(item, depth - 1) for key, item in items}
            elements: Iterable[Any] = sorted(value, key=_representation) if isinstance(value, Set) else value
            return [self.convert(item, depth - 1) for item in self._limited(elements)]
        finally:
            self._open.discard(id(value))

    def _limited(self, items: Iterable[Any]) -> Iterable[Any]:
        for item in islice(items, max(0, self._values_left)):
            if self._values_left <= 0:
                return
            yield item

    def _key(self, key: object) -> str:
        valid = text_of(key).encode("utf-8", "replace").decode()
        return valid.replace("\0", text.REPLACEMENT) if self._exact else valid

    def _other(self, value: object, depth: int) -> Any:
        try:
            # Times, UUIDs, enumerations and dataclasses look here as they do in an event that needs no mending.
            plain = orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))
        except (TypeError, ValueError, RecursionError):
            shown = _representation(value)
            return self._text(_ADDRESS.sub("", shown) if self._exact else shown)
        return self.convert(plain, depth)


def _representation(value: object) -> str:
    if isinstance(value, bytes | bytearray) and len(value) > TEXT_BYTES_MAX:
        return f"{bytes(value[:TEXT_BYTES_MAX])!r}… [truncated from {len(value)} bytes]"
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a user's broken object must not break the user's run
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def text_of(value: object) -> str:
    """`str(value)`, or a text that says why there is none."""
    if value.__class__ is str:
        return value
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a user's broken object must not break the user's run
        return f"<{type(value).__name__}, whose str raised {type(error).__name__}>"


def name_of(value: object) -> str:
    """A valid name of anything."""
    return _clean(text_of(value)[:NAME_CHARACTERS_MAX])


# An agent has few tools, and cleaning a name costs more than all the rest that is done to an event.
@lru_cache(maxsize=1024)
def _clean(name: str) -> str:
    return text.clean_name(name)


def object_of(value: object) -> dict[Any, Any]:
    """A JSON object of its own for what should be a mapping: None is an empty one, anything else is put into one."""
    if value is None:
        return {}
    if value.__class__ is dict:
        return dict(value)
    if not isinstance(value, Mapping):
        return {"value": value}
    try:
        return dict(value)
    except Exception:  # noqa: BLE001 - a user's broken mapping must not break the user's run
        return {"value": to_json(value)}


def truth_of(value: object, *, default: bool) -> bool:
    """`bool(value)`; `default` for what refuses to be one, such as an array."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - a user's broken object must not break the user's run
        logger.error("success must be true or false; %s is taken instead", default)
        return default


def number_of(value: object, field: str) -> float | None:
    """A finite float, or None with a logged error: one wrong figure must not cost the whole event."""
    if value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever has no float raises
    except Exception:  # noqa: BLE001 - a user's broken object must not break the user's run
        number = math.nan
    if math.isfinite(number):
        return number
    logger.error("%s must be a finite number; it is left out", field)
    return None


def amount_of(value: object, field: str) -> float | None:
    """A finite float that is not negative, or None with a logged error."""
    number = number_of(value, field)
    if number is not None and number < 0:
        logger.error("%s must not be negative; it is left out", field)
        return None
    return number


def count_of(value: object, field: str, most: int = INTEGER_MAX) -> int | None:
    """A whole number from 0 to `most`, cut to it, or None with a logged error."""
    if value is None or (value.__class__ is int and 0 <= value <= most):
        return value
    number = amount_of(value, field)
    if number is None:
        return None
    return min(int(value if isinstance(value, int) else number), most)


def size_of(value: object) -> int | None:
    """Bytes of a value as text or JSON; None for what is neither."""
    try:
        if isinstance(value, str):
            return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        if isinstance(value, memoryview):
            return value.nbytes
        if isinstance(value, bytes | bytearray):
            return len(value)
        return len(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
    except Exception:  # noqa: BLE001 - a user's broken object must not break the user's run
        return None
