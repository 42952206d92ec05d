"""Text: cutting, NUL, names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from arc_eval_db.schemas.events import Name
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX, TEXT_BYTES_MAX
from arc_eval_db.schemas.text import REPLACEMENT, clean_name, replace_nul, truncate

NAME: TypeAdapter[str] = TypeAdapter(Name)

# Long enough to be cut at the lengths that are tried, without long inputs to shrink.
_TEXTS = st.builds(lambda text, times: text * times, st.text(), st.integers(1, 40))
_WITH_SURROGATES = st.text(st.characters(codec=None, categories=None))


@given(_TEXTS, st.integers(48, 200))
def test_truncate_keeps_the_limit_in_bytes_and_says_what_was_cut(text: str, bytes_max: int) -> None:
    result = truncate(text, bytes_max)
    size = len(text.encode())
    assert len(result.encode()) <= bytes_max
    assert truncate(result, bytes_max) == result
    if size <= bytes_max:
        assert result == text
    else:
        kept, _, marker = result.rpartition("…")
        assert marker == f" [truncated from {size} bytes]"
        assert text.startswith(kept)
        # No more is lost than the character that does not fit whole.
        assert len(result.encode()) > bytes_max - 4


def test_truncate_at_the_default_limit() -> None:
    assert truncate("a" * TEXT_BYTES_MAX) == "a" * TEXT_BYTES_MAX
    cut = truncate("a" * (TEXT_BYTES_MAX + 1))
    assert len(cut.encode()) == TEXT_BYTES_MAX
    assert cut.endswith("a… [truncated from 32769 bytes]")
    assert len(truncate("é" * TEXT_BYTES_MAX).encode()) <= TEXT_BYTES_MAX


@given(_WITH_SURROGATES)
def test_truncate_takes_lone_surrogates(text: str) -> None:
    assert len(truncate(text * 100, 64).encode("utf-8", "replace")) <= 64


@pytest.mark.parametrize(
    ("raw", "expected", "count"),
    [
        (rb'"\u0000"', rb'"\ufffd"', 1),
        (rb'"\u0000\u0000"', rb'"\ufffd\ufffd"', 2),
        (rb'"\\u0000"', rb'"\\u0000"', 0),
        (rb'"\\\u0000"', rb'"\\\ufffd"', 1),
        (rb'"\\\\u0000"', rb'"\\\\u0000"', 0),
        (rb'"\n\u0000"', rb'"\n\ufffd"', 1),
        (rb'"\u00000"', rb'"\ufffd0"', 1),
        (rb'{"\u0000":"\\u0000\u0000"}', rb'{"\ufffd":"\\u0000\ufffd"}', 2),
        (rb'"\u0001"', rb'"\u0001"', 0),
        (b"", b"", 0),
    ],
)
def test_replace_nul_counts_backslashes(raw: bytes, expected: bytes, count: int) -> None:
    assert replace_nul(raw) == (expected, count)


# Alphabets in which the escape, and what looks like it, is likely.
_TRICKY = st.text(st.sampled_from(["\0", "\\", "u", "0", '"', "a", "é", "\ufffd"]))
_JSON = st.recursive(
    _TRICKY | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TRICKY, inner, max_size=4),
    max_leaves=8,
)


def without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", REPLACEMENT)
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


def count_nul(value: Any) -> int:
    if isinstance(value, dict):
        return sum(count_nul(part) for item in value.items() for part in item)
    return sum(map(count_nul, value)) if isinstance(value, list) else str(value).count("\0")


@given(_JSON, st.booleans())
def test_replace_nul_replaces_in_the_text_what_it_means(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    result, count = replace_nul(raw)
    assert json.loads(result) == without_nul(json.loads(raw))
    assert count == count_nul(value)
    assert replace_nul(result) == (result, 0)


def test_replace_nul_is_fast_on_a_run_of_backslashes() -> None:
    raw = b'"' + b"\\" * 800_000 + rb'\u0000"'
    assert replace_nul(raw)[1] == 1  # the time-out of the test is the assertion: no quadratic search


@given(_WITH_SURROGATES)
def test_clean_name_makes_a_valid_name_of_any_text(text: str) -> None:
    name = clean_name(text)
    assert NAME.validate_python(name) == name
    assert clean_name(name) == name
    assert name == name.strip()
    if re.fullmatch(r"[\w.-]{1,200}", text):
        assert name == text


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("", "unnamed"),
        ("  \n", "unnamed"),
        ("\0", "unnamed"),
        ("a\tb", "a b"),
        ("a\x85b", "a b"),
        ("a\ufffdb", "a?b"),
        ("\ud800", "?"),
        (None, "None"),
        (7, "7"),
        ("x" * 300, "x" * NAME_CHARACTERS_MAX),
        ("x" * 199 + " y", "x" * 199),
    ],
)
def test_clean_name(given_name: object, expected: str) -> None:
    assert clean_name(given_name) == expected
