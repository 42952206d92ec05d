"""Ids that a sandbox and a consumer compute alike: layout of UUIDv7, known answers, canonical JSON."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.errors import PoisonError
from arc_eval_db.schemas import ids

CONFIGURATION = {"name": "careful", "model": "m1", "temperature": 0.2}


def uuid7_at(time_ns: int) -> uuid.UUID:
    with mock.patch.object(time, "time_ns", return_value=time_ns):
        return ids.uuid7()


def test_uuid7_layout() -> None:
    value = uuid7_at(1_795_399_200_123_456_789)
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert value.int >> 80 == 1_795_399_200_123, "milliseconds come first"
    assert value.int >> 64 & 0xFFF == 456_789 * 4096 // 1_000_000, "then their fraction in 1/4096"


@pytest.mark.parametrize("time_ns", [0, 999_999, 1_000_000, 2**48 * 1_000_000 - 1])
def test_uuid7_at_the_edges_of_its_clock(time_ns: int) -> None:
    value = uuid7_at(time_ns)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert value.int >> 80 == time_ns // 1_000_000


@given(st.integers(0, 4_000_000_000_000_000_000), st.integers(250, 10**15))
def test_uuid7_sorts_by_time_within_a_millisecond_too(time_ns: int, later_ns: int) -> None:
    # 12 bits of a millisecond are steps of 244 ns.
    assert uuid7_at(time_ns) < uuid7_at(time_ns + later_ns)


def test_uuid7_is_unique_and_mostly_in_order() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = [ids.uuid7() for _ in range(100_000)]
    after_ms = time.time_ns() // 1_000_000
    assert len(set(made)) == len(made)
    assert all(before_ms <= value.int >> 80 <= after_ms for value in made)
    in_order = sum(a < b for a, b in pairwise(made))
    assert in_order > 0.9 * len(made)


def test_new_ids_are_uuid7() -> None:
    assert ids.new_execution_id().version == 7
    assert ids.new_execution_id() != ids.new_execution_id()


# Other languages compute these and databases hold them: a change here is a change of every row's identity.
KNOWN_IDS = {
    ids.NAMESPACE: "3dd5ea42-90c3-51b5-a525-b6bb813e65fa",
    ids.scenario_id("refund-flow"): "09ca57b5-3f9d-5b1a-877f-298af8eb1c9e",
    ids.scenario_id("Grüße 😀"): "15ff6d88-902a-511b-9b70-c65d869f3892",
    ids.simulation_id("nightly"): "61aab760-2816-5b40-a81a-0c581cc49802",
    ids.configuration_id("careful"): "657fba69-90db-54ef-b991-dd0b453e6802",
    ids.configuration_version_id(CONFIGURATION): "64a365dc-ee4d-562f-8029-0ed356774341",
    ids.configuration_version_id({}): "fe23b1f4-5a79-5761-bc55-b142e7d33315",
    ids.failure_pattern_id("policy_violation", "refunded order <n>"): "8c279363-e992-5032-a055-c8aa3e9b8c1b",
}


@pytest.mark.parametrize(("computed", "known"), KNOWN_IDS.items(), ids=list(KNOWN_IDS.values()))
def test_known_answers(computed: uuid.UUID, known: str) -> None:
    assert str(computed) == known
    assert computed.version == 5


def test_version_id_is_what_the_documentation_says_to_compute() -> None:
    canonical = b'{"model":"m1","name":"careful","temperature":0.2}'
    content_hash = hashlib.sha256(canonical).hexdigest()
    assert ids.configuration_hash(CONFIGURATION) == content_hash
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "arc-eval-db")
    expected = uuid.uuid5(namespace, f"configuration_version:{content_hash}")
    assert ids.version_id_of_hash(content_hash) == ids.configuration_version_id(CONFIGURATION) == expected


def test_a_hash_is_that_of_the_canonical_json_that_the_standard_prints() -> None:
    """RFC 8785, 3.2.2 and 3.2.3: numbers, escapes, and keys in the order of their UTF-16 code units."""
    sample = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\x0f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    canonical = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + r"""'B\"\\\\\"/"}"""
    )
    assert ids.configuration_hash(sample) == hashlib.sha256(canonical.encode()).hexdigest()
    keys = ["1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]
    canonical = "{" + ",".join(f'"{key}":1' for key in keys) + "}"
    assert ids.configuration_hash(dict.fromkeys(sorted(keys), 1)) == hashlib.sha256(canonical.encode()).hexdigest()
    assert sorted(keys) != keys


def test_the_same_name_gives_other_ids_to_other_kinds() -> None:
    assert len({ids.scenario_id("x"), ids.simulation_id("x"), ids.configuration_id("x")}) == 3


SAME = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    # RFC 8785 writes numbers as JavaScript does: there 1.0 and 1 are one number.
    ({"temperature": 1.0}, {"temperature": 1}),
    ({"temperature": -0.0}, {"temperature": 0}),
    ({"x": 1e2}, {"x": 100}),
    ({"x": (1, 2)}, {"x": [1, 2]}),
]

DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a": True}, {"a": 1}),
    ({"a": "1"}, {"a": 1}),
    ({"a": None}, {}),
    ({"a": "é"}, {"a": "e\u0301"}),
    ({"a": 0.1 + 0.2}, {"a": 0.3}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_version(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert ids.configuration_version_id(one) == ids.configuration_version_id(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_versions(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert ids.configuration_version_id(one) != ids.configuration_version_id(other)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


NOT_CANONICAL: dict[str, dict[Any, Any]] = {
    "nan": {"a": float("nan")},
    "infinity": {"a": [float("-inf")]},
    "2^53": {"a": 2**53},
    "-2^53": {"a": -(2**53)},
    "30 digits": {"a": 10**30},
    "set": {"a": {1}},
    "bytes": {"a": b"x"},
    "object": {"a": object()},
    "key not a text": {1: 2},
    "surrogate": {"a": "\ud800"},
    "surrogate in a key": {"\ud800": 1},
    "too deep for the stack": {"a": nested(5000)},
}


@pytest.mark.parametrize("content", NOT_CANONICAL.values(), ids=list(NOT_CANONICAL))
def test_not_canonical(content: dict[Any, Any]) -> None:
    with pytest.raises(ids.NotCanonicalError, match="configuration:") as error:
        ids.configuration_version_id(content)
    assert isinstance(error.value, PoisonError)


def test_largest_integers_that_are_canonical() -> None:
    largest = 2**53 - 1
    assert ids.configuration_version_id({"a": largest}) != ids.configuration_version_id({"a": -largest})


_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS = st.none() | st.booleans() | _NUMBERS | st.text()
_CONTENTS = st.dictionaries(
    st.text(), st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
)


@given(_CONTENTS)
def test_an_id_survives_the_way_through_json(content: dict[str, Any]) -> None:
    received = json.loads(json.dumps(dict(reversed(content.items()))))
    assert ids.configuration_version_id(received) == ids.configuration_version_id(content)
