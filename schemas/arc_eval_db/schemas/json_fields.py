"""Free-form JSON as a field of an event model: what is allowed in it."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from arc_eval_db.schemas.limits import FREE_INTEGER_MAX, INTEGER_MAX
from arc_eval_db.schemas.text import truncate


def check_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what PostgreSQL or another JSON reader could not take back, and cut long text.

    jiter, pydantic's parser, lets NaN, Infinity and 1e999 through where no field is declared a float.
    """
    for key, item in value.items():
        if item.__class__ is str:
            if len(item) > 8192:
                value[key] = truncate(item)
        elif item.__class__ in _SCALARS:
            if item.__class__ is not bool:
                _check_number(item)
        elif item is not None:
            value[key] = _check(item)
    return value


_SCALARS = (int, float, bool)


def _check(item: Any) -> Any:
    if isinstance(item, str):
        return truncate(item)
    if isinstance(item, dict):
        return check_json(item)
    if isinstance(item, list):
        return [_check(element) for element in item]
    if item.__class__ in (int, float):
        _check_number(item)
    return item


def _check_number(number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise PydanticCustomError("number_not_finite", "numbers must be finite")
    if isinstance(number, int) and not -INTEGER_MAX - 1 <= number <= FREE_INTEGER_MAX:
        raise PydanticCustomError("integer_too_large", "integers must fit in 64 bits")


def check_exact_json(value: dict[str, Any]) -> dict[str, Any]:
    """Like `check_json`, but text keeps its length: the value's hash is its identity."""
    _check_numbers(value)
    return value


def _check_numbers(item: Any) -> None:
    if isinstance(item, dict):
        for element in item.values():
            _check_numbers(element)
    elif isinstance(item, list):
        for element in item:
            _check_numbers(element)
    elif item.__class__ in (int, float):
        _check_number(item)


JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
"""A JSON object with finite numbers, 64-bit integers and text within `limits.TEXT_BYTES_MAX`."""

ExactJsonObject = Annotated[dict[str, Any], AfterValidator(check_exact_json)]
"""A JSON object with finite numbers and 64-bit integers, of any text."""
