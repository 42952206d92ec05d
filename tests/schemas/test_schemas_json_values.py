"""Any Python value as JSON, and how deep a JSON text is nested."""

from __future__ import annotations

import array
import collections
import datetime
import enum
import itertools
import json
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.json_values import exceeds_depth, to_json
from arc_eval_db.schemas.limits import INTEGER_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX

TOO_DEEP = "… [truncated: nested too deep]"
CONTAINS_ITSELF = "… [truncated: contains itself]"


def depth(value: Any) -> int:
    """How deep a value is nested, by definition."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = [value]
    return value


class BrokenRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Plain:
    def __repr__(self) -> str:
        return "Plain\ud800()"


class NoDimension:
    """As an array of no dimension: it has `__iter__`, which raises."""

    def __iter__(self) -> Any:
        raise TypeError("iteration over a 0-d array")

    def __repr__(self) -> str:
        return "array(5)"


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


_TEXT = st.text(st.characters(codec=None, categories=None))
_HASHABLE = st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary() | st.tuples(st.integers())
_LEAVES = _HASHABLE | st.datetimes() | st.decimals() | st.uuids() | st.builds(Plain) | st.builds(BrokenRepr)
_VALUES = st.recursive(
    _LEAVES | st.sets(_HASHABLE, max_size=3) | st.integers(2**52, 2**70),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_HASHABLE, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_VALUES, st.integers(0, 5))
def test_result_is_json_of_bounded_depth(value: Any, depth_max: int) -> None:
    result = to_json(value, depth=depth_max)
    assert json.loads(orjson.dumps(result)) == result
    assert depth(result) <= depth_max
    assert to_json(result, depth=depth_max) == result


@settings(deadline=None)
@given(_VALUES)
def test_exact_result_has_a_canonical_form(value: Any) -> None:
    result = to_json({"value": value}, exact=True)
    assert ids.configuration_hash(json.loads(orjson.dumps(result))) == ids.configuration_hash(result)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_what_is_json_already_is_unchanged(value: Any) -> None:
    assert to_json(value, depth=99) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (INTEGER_MAX, INTEGER_MAX),
        (INTEGER_MAX + 1, "9223372036854775808"),
        (10**400, hex(10**400)),
        (True, True),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ("\ud800", "?"),
        ({1: 2, None: 3, "\ud800": 4}, {"1": 2, "None": 3, "?": 4}),
        ({3, 1, 2}, [1, 2, 3]),
        ((1, (2,)), [1, [2]]),
        (b"ab", "b'ab'"),
        (datetime.date(2026, 11, 23), "datetime.date(2026, 11, 23)"),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (collections.deque([1, 2]), [1, 2]),
        (array.array("d", [0.5]), [0.5]),
        ({"a": 1}.keys(), ["a"]),
        (Plain(), "Plain?()"),
        (BrokenRepr(), "<BrokenRepr, whose repr raised RuntimeError>"),
        (NoDimension(), "array(5)"),
    ],
)
def test_literal_values(value: Any, expected: Any) -> None:
    result = to_json(value)
    assert result == expected
    assert type(result) is type(expected)


def test_exact_keeps_text_whole_and_makes_text_of_integers_that_readers_round() -> None:
    long = "a" * (TEXT_BYTES_MAX + 1)
    assert to_json(long, exact=True) == long
    assert len(to_json(long)) < len(long)
    assert to_json([2**53 - 1, 2**53, -(2**53)], exact=True) == [2**53 - 1, str(2**53), str(-(2**53))]


def test_depth_is_cut_where_an_event_still_fits() -> None:
    free_levels = JSON_DEPTH_MAX - 2  # the event and its data
    assert depth(to_json(nested(free_levels))) == free_levels
    assert TOO_DEEP not in json.dumps(to_json(nested(free_levels)), ensure_ascii=False)
    cut = to_json(nested(free_levels + 1))
    assert depth(cut) == free_levels
    assert TOO_DEEP in json.dumps(cut, ensure_ascii=False)
    assert not exceeds_depth(orjson.dumps({"data": {"arguments": cut}}))


def test_an_iterator_is_left_alone() -> None:
    numbers = iter([1, 2, 3])
    assert "iterator" in to_json(numbers)
    assert list(numbers) == [1, 2, 3]
    assert to_json({"n": itertools.count(5)}) == {"n": "count(5)"}


def test_what_contains_itself_ends_soon() -> None:
    # Two ways back at each level would be 2^30 nodes.
    parent: dict[str, Any] = {"name": "parent"}
    parent["children"] = [{"name": name, "parent": parent, "root": parent} for name in ("a", "b")]
    assert to_json(parent) == {
        "name": "parent",
        "children": [{"name": n, "parent": CONTAINS_ITSELF, "root": CONTAINS_ITSELF} for n in ("a", "b")],
    }


def test_what_stands_twice_side_by_side_does_not_contain_itself() -> None:
    shared = [1]
    assert to_json({"a": shared, "b": [shared, shared], "c": ((), ())}) == {"a": [1], "b": [[1], [1]], "c": [[], []]}


_BRACKETS = st.text(st.sampled_from(['"', "\\", "[", "]", "{", "}", "a", "é", "\n"]))
_NESTED = st.recursive(
    _BRACKETS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_BRACKETS, inner, max_size=3),
    max_leaves=20,
)


@settings(deadline=None)
@given(_NESTED, st.integers(0, 6), st.booleans())
def test_exceeds_depth_is_the_definition(value: Any, depth_max: int, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert exceeds_depth(raw, depth_max) == (depth(value) > depth_max)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"[" * 32, False),
        (b"[" * 33, True),
        (b'{"a":' * 33, True),
        (b"[]" * 1000, False),
        (b'"' + b"[" * 1000 + b'"', False),
        (b'"\\"' + b"[" * 1000, False),
        (b'"\\\\"' + b"[" * 1000, True),
        (b'"unterminated ' + b"[" * 1000, False),
        (b"", False),
    ],
)
def test_exceeds_depth_of_literals(raw: bytes, expected: bool) -> None:
    assert exceeds_depth(raw) is expected


@settings(deadline=None)
@given(st.binary())
def test_exceeds_depth_takes_any_bytes(raw: bytes) -> None:
    assert exceeds_depth(raw, 0) in (True, False)
    assert not exceeds_depth(raw, len(raw))
