"""How deep a JSON text is nested."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.schemas.json_depth import exceeds_depth


def depth(value: Any) -> int:
    """How deep a value is nested, by definition."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


_BRACKETS = st.text(st.sampled_from(['"', "\\", "[", "]", "{", "}", "a", "é", "\n"]))
_NESTED = st.recursive(
    _BRACKETS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_BRACKETS, inner, max_size=3),
    max_leaves=20,
)


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


@given(st.binary())
def test_exceeds_depth_takes_any_bytes(raw: bytes) -> None:
    assert exceeds_depth(raw, 0) in (True, False)
    assert not exceeds_depth(raw, len(raw))
