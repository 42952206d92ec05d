"""The content of a configuration version: what is allowed in it, its canonical form, and the ids that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
import rfc8785

from arc_eval_db.configurations.errors import ContentRefusedError
from arc_eval_db.configurations.paths import json_path
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.limits import JSON_DEPTH_MAX

CONTENT_BYTES_MAX = 1_000_000
"""Of the canonical JSON, and of a file that is read. A sandbox sends at most `limits.EVENT_BYTES_MAX` with an event."""

DEPTH_MAX = JSON_DEPTH_MAX
"""Objects and lists within each other, the outermost counted."""

EXACT_INTEGER_MAX = 2**53 - 1
"""Beyond it two integers are one JSON number (RFC 8785), and two contents would be one version."""


@dataclass(frozen=True, slots=True)
class Content:
    """A configuration's content in its one form: what is equal as JSON is equal here."""

    value: dict[str, Any]
    """Numbers without a fraction are `int`, as far as doubles are exact; all others `float`."""
    canonical: str
    """RFC 8785."""
    content_hash: str
    """SHA-256 of `canonical`, 64 hexadecimal digits."""

    @property
    def version_id(self) -> ids.ConfigurationVersionId:
        """The id that a sandbox computes too."""
        return ids.version_id_of_hash(self.content_hash)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Check a content and bring it into its one form.

        Raises:
            ContentRefusedError: it is no JSON object within the limits; the message names the path.
        """
        if not isinstance(value, Mapping):
            raise ContentRefusedError(f"$: a configuration is an object, not {kind_of(value)}")
        plain = _normal(value, [])
        canonical = rfc8785.dumps(plain)
        if len(canonical) > CONTENT_BYTES_MAX:
            raise ContentRefusedError(
                f"$: {len(canonical):,} bytes as canonical JSON; at most {CONTENT_BYTES_MAX:,} are taken"
            )
        return cls(plain, canonical.decode(), ids.configuration_hash(plain))


def stored_value(text: str) -> Any:
    """The value of a content that PostgreSQL gives back, in the form that `Content` has.

    A jsonb keeps 1.0 apart from 1 and writes 1e17 as an integer; neither is a difference.
    """
    return one_form(orjson.loads(text))


def kind_of(value: object) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    for type_, name in _KINDS:
        if isinstance(value, type_):
            return name
    return type(value).__name__


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    (Mapping, "an object"),
    ((list, tuple), "a list"),
)


def _normal(value: Any, path: list[str | int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int | float):
        return _number(value, path)
    if len(path) >= DEPTH_MAX:
        raise ContentRefusedError(f"{json_path(path[:4])}…: deeper than {DEPTH_MAX} levels")
    if isinstance(value, Mapping):
        normal = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ContentRefusedError(f"{json_path(path)}: a key is {kind_of(key)}; keys are text")
            normal[_text(key, path)] = _normal(item, [*path, key])
        return normal
    if isinstance(value, list | tuple):
        return [_normal(item, [*path, index]) for index, item in enumerate(value)]
    raise ContentRefusedError(f"{json_path(path)}: {kind_of(value)} is not JSON")


def text_problem(text: str) -> str | None:
    """Why a text cannot be stored, or None."""
    if "\0" in text:
        return "NUL characters cannot be stored; leave them out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair is not a character"
    return None


def _text(text: str, path: list[str | int]) -> str:
    if problem := text_problem(text):
        raise ContentRefusedError(f"{json_path(path)}: {problem}")
    return str(text)


def number_problem(number: float) -> str | None:
    """Why a number cannot be a JSON number, or None."""
    if isinstance(number, int):
        if abs(number) > EXACT_INTEGER_MAX:
            return "integers beyond 2^53 are not exact in JSON; write it as text, or with an exponent"
    elif not math.isfinite(number):
        return "numbers must be finite"
    return None


def _number(number: float, path: list[str | int]) -> float:
    if problem := number_problem(number):
        raise ContentRefusedError(f"{json_path(path)}: {problem}")
    return _same_number(number)


def _same_number(number: float) -> float:
    """One form for each number: JSON's 1, 1.0 and 1e0 are the same."""
    if isinstance(number, int):
        # An enum's member, say, becomes the number that it is.
        return int(number) if abs(number) <= EXACT_INTEGER_MAX else float(number)
    if number.is_integer() and abs(number) <= EXACT_INTEGER_MAX:
        return int(number)
    return float(number)


def one_form(value: Any) -> Any:
    """The same JSON value with one form for each number."""
    if isinstance(value, dict):
        return {key: one_form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [one_form(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _same_number(value)
    return value
