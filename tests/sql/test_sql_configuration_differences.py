"""How contents differ, and what is the same: properties, and what people read."""

from __future__ import annotations

import doctest
import json
import random
import subprocess
import sys
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.configurations import (
    Change,
    ChangeKind,
    Content,
    ContentRefusedError,
    differences,
    json_patch,
    text_diff,
)
from arc_eval_db.configurations import differences as differences_module
from arc_eval_db.configurations import paths as paths_module
from arc_eval_db.configurations.content import CONTENT_BYTES_MAX, DEPTH_MAX, stored_value
from arc_eval_db.schemas import ids
from support.contents import contents, values

module = sys.modules["arc_eval_db.configurations.differences"]


def told(before: Any, after: Any) -> list[tuple[str, str]]:
    return [(change.kind.value, change.place) for change in differences(before, after)]


def shuffled(value: Any, generator: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        generator.shuffle(keys)
        return {key: shuffled(value[key], generator) for key in keys}
    return [shuffled(item, generator) for item in value] if isinstance(value, list) else value


def written_otherwise(value: Any) -> Any:
    """The same numbers, as floats where that is exact."""
    if isinstance(value, dict):
        return {key: written_otherwise(item) for key, item in value.items()}
    if isinstance(value, list):
        return [written_otherwise(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(contents(), st.randoms(use_true_random=False))
def test_the_order_of_keys_and_the_way_of_numbers_do_not_matter(value: dict[str, Any], generator: Any) -> None:
    other = written_otherwise(shuffled(value, generator))
    assert Content.of(other) == Content.of(value)
    assert Content.of(other).version_id == ids.configuration_version_id(value)
    assert differences(value, other) == []
    assert text_diff(value, other) == []


@given(contents())
def test_canonical_json_is_json_and_its_own_canonical_form(value: dict[str, Any]) -> None:
    content = Content.of(value)
    assert Content.of(stored_value(content.canonical)) == content
    assert Content.of(json.loads(json.dumps(content.value))) == content
    assert differences(json.loads(content.canonical), value) == []


@pytest.mark.parametrize("text", ["1", "1.0", "1e0", "10e-1", "0.1E+1"])
def test_one_is_one(text: str) -> None:
    assert Content.of(json.loads(f'{{"a": {text}}}')).canonical == '{"a":1}'


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": "1"}, {"a": 1}),
        ({"a": None}, {}),
        ({"\u00e9": 1}, {"e\u0301": 1}),
    ],
)
def test_what_is_not_equal_as_json_is_not_the_same(first: Any, second: Any) -> None:
    assert Content.of(first).version_id != Content.of(second).version_id
    assert differences(first, second)
    assert differences([first], [second])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "$: a configuration is an object, not a list"),
        ({"a": {"b": [1, {1: 2}]}}, "$.a.b[1]: a key is a number; keys are text"),
        ({"a": 2**53}, "$.a: integers beyond 2^53"),
        ({"a": [float("nan")]}, "$.a[0]: numbers must be finite"),
        ({"a": float("inf")}, "$.a: numbers must be finite"),
        ({"a": "\0"}, "$.a: NUL"),
        ({"a": {"\ud800": 1}}, "$.a: half of a surrogate pair"),
        ({"a b": {1, 2}}, "$['a b']: set is not JSON"),
        ({"a": b"x"}, "$.a: bytes is not JSON"),
        ({"a": "x" * CONTENT_BYTES_MAX}, f"$: {CONTENT_BYTES_MAX + 8:,} bytes as canonical JSON; at most"),
    ],
)
def test_what_is_no_content_is_refused_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(ContentRefusedError) as caught:
        Content.of(value)
    assert str(caught.value).startswith(message)


def test_what_is_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(DEPTH_MAX):
        value = {"a": value}
    assert Content.of(value)
    for _ in range(10_000):
        value = {"a": value}
    with pytest.raises(ContentRefusedError, match=f"deeper than {DEPTH_MAX} levels"):
        Content.of(value)


def test_hashes_are_the_same_in_every_process() -> None:
    code = (
        "from arc_eval_db.configurations import Content;"
        "print(Content.of({'b': [1.0, {'z': None, 'ä': 'ß'}], 'a': {str(n): n for n in range(50)}}).content_hash)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(found) == 1


@given(contents(), contents())
def test_a_patch_makes_the_one_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert Content.of(jsonpatch.apply_patch(before, json_patch(before, after))) == Content.of(after)
    assert (differences(before, after) == []) == (Content.of(before) == Content.of(after))


@given(st.lists(values(), max_size=8), st.lists(values(), max_size=8), st.randoms(use_true_random=False))
def test_a_patch_of_lists_does_too(before: list[Any], added: list[Any], generator: Any) -> None:
    after = [item for item in before if generator.random() < 0.6] + added
    generator.shuffle(after)
    patched = jsonpatch.apply_patch({"list": before}, json_patch({"list": before}, {"list": after}))
    assert Content.of(patched) == Content.of({"list": after})


@given(st.data())
def test_a_patch_of_long_lists_does_too(data: st.DataObject) -> None:
    """Past so many elements they are compared place by place."""
    before = data.draw(st.lists(st.integers(0, 3), min_size=0, max_size=30))
    after = data.draw(st.lists(st.integers(0, 3), min_size=0, max_size=30))
    kept = module.__dict__["_ALIGNED_MAX"]
    module.__dict__["_ALIGNED_MAX"] = 2
    try:
        patch = json_patch({"list": before}, {"list": after})
    finally:
        module.__dict__["_ALIGNED_MAX"] = kept
    assert jsonpatch.apply_patch({"list": before}, patch) == {"list": after}


def test_what_people_are_told() -> None:
    before = {"model": "m1", "temperature": 0.2, "tools": ["a", "b", "c"], "limits": {"steps": 5, "a b": 1}}
    after = {"limits": {"a b": 1, "steps": 6.0}, "tools": ["new", "a", "c"], "model": "m1", "seed": 1}
    assert told(before, after) == [
        ("changed", "$.limits.steps"),
        ("added", "$.seed"),
        ("removed", "$.temperature"),
        ("removed", "$.tools[1]"),
        ("added", "$.tools[0]"),
    ]
    assert differences({"a": 1}, {"a": [1]}) == [Change(ChangeKind.CHANGED, ("a",), 1, [1])]


def test_a_moved_element_of_a_list_is_a_change() -> None:
    assert told({"a": [1, 2]}, {"a": [2, 1]}) != []
    assert told({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}) == []


def test_one_more_at_the_front_is_one_change() -> None:
    assert told(list(range(100)), [-1, *range(100)]) == [("added", "$[0]")]
    assert told([{"n": n} for n in range(9)], [{"n": n} for n in range(9) if n != 4]) == [("removed", "$[4]")]


def test_as_text() -> None:
    assert text_diff({"b": 1, "a": [1.0]}, {"a": [1, 2], "b": 1}, names=("x@1", "x@2")) == [
        "--- x@1",
        "+++ x@2",
        "@@ -1,6 +1,7 @@",
        " {",
        '   "a": [',
        "-    1",
        "+    1,",
        "+    2",
        "   ],",
        '   "b": 1',
        " }",
    ]


def test_what_postgresql_makes_of_a_number_is_the_same_number() -> None:
    assert stored_value("[1.0, 100000000000000000000, -0.0, 1e-7]") == [1, 1e20, 0, 1e-7]
    assert Content.of({"a": 1e17}) == Content.of({"a": stored_value("100000000000000000")})


def test_examples_in_the_code() -> None:
    assert callable(differences_module)
    for one in (module, paths_module):
        assert doctest.testmod(one).failed == 0
