"""JSON with the place of what is wrong: the standard library's reader keeps places of syntax errors only."""

from __future__ import annotations

import json
import re
from typing import Any

from arc_eval_db.configurations.content import DEPTH_MAX, kind_of, number_problem, text_problem
from arc_eval_db.configurations.errors import DocumentError
from arc_eval_db.configurations.paths import key_in_words

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
# More digits than any exact integer has, and few enough for `int`.
_DIGITS_MAX = 20
# Reads strings only: what is within each other is read below, where depth and places are known.
_DECODER = json.JSONDecoder()


class JsonSyntaxError(DocumentError):
    """The text is not JSON."""


class JsonReader:
    """Reads one JSON document. Deeper than `depth_max` it does not go, so that recursion is bounded."""

    def __init__(self, text: str, source: str, *, depth_max: int = DEPTH_MAX) -> None:
        """
        Args:
            source: the file's name, for errors.
            depth_max: more where the content stands within something else.
        """
        self._text, self._source, self._depth_max = text, source, depth_max

    def read(self) -> Any:
        """The value.

        Raises:
            JsonSyntaxError: not JSON.
            DocumentError: JSON that cannot be taken.
        """
        value, end = self._value(self._skip(0), 0)
        end = self._skip(end)
        if end < len(self._text):
            raise self._syntax("one value was expected, and then the end of the file", end)
        return value

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        first = self._text[at : at + 1]
        if first == '"':
            return self._string(at)
        if first in ("{", "["):
            if depth >= self._depth_max:
                raise self._refused(f"deeper than {self._depth_max} levels; flatten the configuration", at)
            return self._object(at, depth) if first == "{" else self._list(at, depth)
        if number := _NUMBER.match(self._text, at):
            return self._number(number, at), number.end()
        for word, value in _WORDS.items():
            if self._text.startswith(word, at):
                return value, at + len(word)
        raise self._syntax("a value was expected", at)

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise self._syntax("a key in double quotes was expected", at)
            key, end = self._string(at)
            if key in found:
                raise self._refused(f"the key {key_in_words(key)} stands twice; keep one", at)
            colon = self._skip(end)
            if self._text[colon : colon + 1] != ":":
                raise self._syntax("a colon was expected", colon)
            found[key], end = self._value(self._skip(colon + 1), depth + 1)
            at, is_last = self._next(end, "}")
            if is_last:
                return found, at

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "]":
            return found, at + 1
        while True:
            item, end = self._value(at, depth + 1)
            found.append(item)
            at, is_last = self._next(end, "]")
            if is_last:
                return found, at

    def _next(self, end: int, bracket: str) -> tuple[int, bool]:
        """What stands behind an element: the place of the next, or behind the bracket and True."""
        at = self._skip(end)
        sign = self._text[at : at + 1]
        if sign == bracket:
            return at + 1, True
        if sign != ",":
            raise self._syntax(f"a comma or {bracket} was expected", at)
        return self._skip(at + 1), False

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self._syntax(error.msg[:1].lower() + error.msg[1:], error.pos) from None
        if problem := text_problem(text):
            raise self._refused(problem, at)
        return text, end

    def _number(self, number: re.Match[str], at: int) -> float:
        text = number[0]
        is_integer = number[1] is None and number[2] is None
        value: float = (int(text) if len(text) <= _DIGITS_MAX else 10**_DIGITS_MAX) if is_integer else float(text)
        if problem := number_problem(value):
            raise self._refused(problem, at)
        return value

    def _skip(self, at: int) -> int:
        space = _SPACE.match(self._text, at)
        return space.end() if space else at

    def _syntax(self, problem: str, at: int) -> JsonSyntaxError:
        return JsonSyntaxError(f"not JSON: {problem}", self._source, *place(self._text, at))

    def _refused(self, problem: str, at: int) -> DocumentError:
        return DocumentError(problem, self._source, *place(self._text, at))


def place(text: str, index: int) -> tuple[int, int]:
    """Line and column of an index, counted from 1.

    >>> place("one\\ntwo", 5)
    (2, 2)
    """
    start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - start + 1


def require_object(value: Any, source: str) -> dict[str, Any]:
    """The value, which must be an object.

    Raises:
        DocumentError: it is not.
    """
    if not isinstance(value, dict):
        raise DocumentError(f"a configuration is a mapping of names to values, not {kind_of(value)}", source, 1, 1)
    return value
