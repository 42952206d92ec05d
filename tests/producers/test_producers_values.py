"""Whatever a user passes, the SDK does not raise, and a consumer takes what it sends."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from arc_eval_db.producers import EventEmitter, MemoryTransport, execution
from arc_eval_db.producers.encoding import NotEncodableError, encode
from arc_eval_db.producers.values import count_of, name_of, object_of, size_of, text_of, to_json
from arc_eval_db.schemas import StartedEvent, ids
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, INTEGER_MAX, TEXT_BYTES_MAX


class Hostile:
    """Every way of looking at it raises."""

    def __str__(self) -> str:
        raise ValueError("no str")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __bool__(self) -> bool:
        raise TypeError("ambiguous")

    def __float__(self) -> float:
        raise ZeroDivisionError("no float")

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")


class HostileMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise OSError("no items")

    def __len__(self) -> int:
        return 3


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


Pair = namedtuple("Pair", "left right")


def itself() -> list[Any]:
    cycle: list[Any] = [1]
    cycle.extend([cycle, {"again": cycle}])
    return cycle


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def billion_laughs() -> list[Any]:
    laughs: list[Any] = ["lol"]
    for _ in range(12):
        laughs = [laughs] * 12
    return laughs


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**53, max_value=2**66),
    st.sampled_from([-(2**63) - 1, -(2**63), 2**63, 2**64 - 1, 2**64]),
    st.builds(lambda: 10**5000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(alphabet=st.characters(exclude_categories=())),
    st.sampled_from(["\0", "a\0b", "\\u0000", "\\\0", "\ud800", "\x7f", "x" * 40_000, "\N{PILE OF POO}" * 9000]),
    st.binary(max_size=20),
    st.datetimes(),
    st.decimals(),
    st.uuids(),
    st.complex_numbers(),
    st.builds(object),
    st.builds(Hostile),
    st.builds(HostileMapping),
    st.builds(itself),
    st.sampled_from([Colour.RED, Path("/x"), Ellipsis, print, int, float("nan"), range(3), Pair(1, {2})]),
    st.builds(lambda: Point(1, {"a"})),
    st.builds(nested, st.integers(1, 50)),
    st.builds(lambda: iter([1, 2])),
)
KEYS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=()), max_size=10),
    st.sampled_from(["name", "\0", "\ud800", ""]),
    st.integers(),
    st.binary(max_size=5),
    st.none(),
    st.builds(Hostile),
    st.floats(),
    st.tuples(st.integers()),
)


def hashable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values.filter(lambda value: isinstance(value, int | str | bytes | float | UUID))


ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(KEYS.filter(lambda key: not isinstance(key, Hostile))), inner, max_size=4),
        st.sets(hashable(LEAVES), max_size=3),
        st.frozensets(hashable(LEAVES), max_size=3),
        inner.map(lambda value: MappingProxyType({"k": value})),
        inner.map(lambda value: {Hostile(): value}),
        inner.map(lambda value: OrderedDict(k=value)),
    ),
    max_leaves=10,
)
SLOW_DATA = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

A_MEGABYTE = "é" * 524_288


@SLOW_DATA
@given(anything=ANYTHING, other=ANYTHING, configuration=st.dictionaries(st.text(max_size=5) | st.integers(), ANYTHING))
def test_the_sdk_never_raises_and_every_event_it_sends_is_accepted(
    anything: Any, other: Any, configuration: dict[Any, Any]
) -> None:
    send_everywhere(anything, other, configuration)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (A_MEGABYTE, [A_MEGABYTE] * 40, {"prompt": A_MEGABYTE}),
        lambda: (Hostile(), HostileMapping(), {1: "a", "1": "b", "a\0b": "c\0d"}),
        lambda: (itself(), {"a": itself()}, {"a": itself()}),
        lambda: (2**63, {"n": 2**64 - 1}, {"n": 2**64 - 1, "name": "x" * 5000}),
        lambda: (-(2**63) - 1, {"n": 10**5000}, {"n": 10**5000}),
        lambda: (nested(30), nested(2000), {"deep": nested(2000)}),
        lambda: ([{"a": 1}] * 5_000, {str(key): [key] for key in range(20_000)}, {"many": list(range(10_000))}),
        lambda: (b"\xff" * 1_000_000, {b"\xff": b"\0"}, {"binary": b"\xff" * 1_000_000}),
    ],
    ids=["megabytes", "hostile", "cycles", "integers", "huge integers", "deep", "many", "bytes"],
)
def test_the_same_for_the_worst(make: Any) -> None:
    send_everywhere(*make())


def send_everywhere(anything: Any, other: Any, configuration: Any) -> None:
    memory = MemoryTransport()
    with EventEmitter(transport=memory) as emitter:
        run = execution(
            anything,
            configuration,
            anything,
            configuration_name=anything,
            attempt=anything,
            metadata=other,
            emitter=emitter,
        )
        with run:
            with run.tool(anything, other) as call:
                assert call.result(other) is other
                call.error(anything)
            with run.tool("t", {"value": anything}) as call:
                call.result(anything)
            run.tool_used(
                anything, success=other, arguments=other, duration_ms=anything, error=other, result_bytes=anything
            )
            run.progress(anything, step=anything, details=other)
            run.failure(anything, other, details=anything)
            run.complete(
                anything,
                status=other,
                score=anything,
                cost_usd=anything,
                input_tokens=anything,
                output_tokens=anything,
                error_kind=anything,
                error_message=anything,
                metadata=other,
            )
    events = memory.events()
    assert len(events) == 7
    started = events[0]
    assert isinstance(started, StartedEvent)
    # None only where the configuration was too large for an event.
    if started.data.configuration is not None:
        received = ids.configuration_version_id(started.data.configuration)
        assert started.data.configuration_version_id == received


@SLOW_DATA
@given(ANYTHING)
def test_the_same_configuration_has_the_same_id(configuration: Any) -> None:
    first, second = (orjson.dumps(to_json({"c": configuration}, exact=True)) for _ in range(2))
    assert first == second
    assert not exceeds_depth(first, 31)
    ids.configuration_version_id(orjson.loads(first))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": (1, 2.5, None, True)}, {"a": [1, 2.5, None, True]}),
        ({1: "a", None: "b", b"k": "c", (1, 2): "d"}, {"1": "a", "None": "b", "b'k'": "c", "(1, 2)": "d"}),
        ({3, 1, 2}, [1, 2, 3]),
        (Pair(1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        (float("nan"), "nan"),
        (-math.inf, "-inf"),
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        pytest.param(10**5000, hex(10**5000), id="a huge integer"),
        (Colour.RED, "red"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.50"), "Decimal('1.50')"),
        (Point(1, {"a"}), "Point(x=1, tags={'a'})"),
        (b"\xff", "b'\\xff'"),
        ("\ud800", "?"),
        (Hostile(), "<Hostile, whose repr raised RuntimeError>"),
        (HostileMapping(), "<HostileMapping, which raised OSError>"),
        ([1, HostileMapping(), 2], [1, "<HostileMapping, which raised OSError>", 2]),
    ],
)
def test_what_becomes_of_values(value: Any, expected: Any) -> None:
    assert to_json(value) == expected


def test_an_iterator_belongs_to_the_agent() -> None:
    rows = iter([1, 2, 3])
    assert "list_iterator" in to_json({"rows": rows})["rows"]
    with EventEmitter(transport=MemoryTransport()) as emitter, execution("s", {"rows": rows}, emitter=emitter) as run:
        run.progress(details={"rows": rows})
    assert list(rows) == [1, 2, 3]


def test_what_never_ends_is_left_alone() -> None:
    assert "count(0)" in to_json(itertools.count())


def test_what_contains_itself_is_cut_there() -> None:
    assert to_json(itself()) == [1, "… [truncated: contains itself]", {"again": "… [truncated: contains itself]"}]


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert to_json([shared, shared]) == [[1], [1]]


def test_what_is_shared_many_times_over_is_bounded() -> None:
    assert len(orjson.dumps(to_json(billion_laughs()))) < 10 * EVENT_BYTES_MAX


def test_depth_is_cut_with_a_marker_where_consumers_would_refuse() -> None:
    memory = MemoryTransport()
    with EventEmitter(transport=memory) as emitter, execution("s", {"c": nested(29)}, emitter=emitter) as run:
        run.progress(details={"d": nested(29)})
        run.progress(details={"d": nested(30)})
    memory.events()
    started, fits, cut, _ = (record.value for record in memory.records)
    assert b"bottom" in started
    assert b"bottom" in fits
    assert b"nested too deep" not in fits
    assert b"nested too deep" in cut


def test_numpy_like_numbers_are_numbers() -> None:
    class Integer:
        def __index__(self) -> int:
            return 41

    class Real(float):
        pass

    from numbers import Integral

    Integral.register(Integer)
    assert to_json([Integer(), Real(0.5)]) == [41, 0.5]


def test_long_text_is_cut_with_its_original_size() -> None:
    memory = MemoryTransport()
    with EventEmitter(transport=memory) as emitter, execution("s", {}, emitter=emitter) as run:
        run.progress("x" * 100_000, details={"log": ["y" * 50_000]})
    data = orjson.loads(memory.records[1].value)["data"]
    assert data["message"].endswith("… [truncated from 100000 bytes]")
    assert data["details"]["log"][0].endswith("… [truncated from 50000 bytes]")
    assert len(data["message"].encode()) == TEXT_BYTES_MAX


def test_a_long_event_of_short_text_is_left_as_it_is() -> None:
    rows = {"rows": [{"n": number, "quoted": '"' * 20} for number in range(5000)]}
    raw = encode({"data": {"details": rows}})
    assert len(raw) > 4 * TEXT_BYTES_MAX
    assert orjson.loads(raw)["data"]["details"] == rows


@pytest.mark.parametrize(
    "text", ["x" * 33_000, '"' * 33_000, "\\" * 33_000, '\\"' * 17_000, "\n" * 33_000, "é" * 17_000]
)
def test_long_text_is_found_however_it_is_escaped(text: str) -> None:
    (stored,) = orjson.loads(encode({"data": {"details": {"a": 'short "', "b": text, "c": '"'}}}))["data"].values()
    assert stored["b"].endswith("bytes]")
    assert (stored["a"], stored["c"]) == ('short "', '"')


def test_configuration_text_is_never_cut() -> None:
    prompt = "p" * (TEXT_BYTES_MAX * 4)
    memory = MemoryTransport()
    with EventEmitter(transport=memory) as emitter, execution("s", {"prompt": prompt}, emitter=emitter):
        pass
    (started, _) = memory.events()
    assert isinstance(started, StartedEvent)
    assert started.data.configuration == {"prompt": prompt}
    assert started.data.configuration_version_id == ids.configuration_version_id({"prompt": prompt})


def test_an_event_that_is_too_large_is_degraded_and_not_lost() -> None:
    memory = MemoryTransport()
    large = {str(number): "v" * 30_000 for number in range(40)}
    with EventEmitter(transport=memory) as emitter, execution("s", large, emitter=emitter) as run:
        run.tool_used("t", success=False, error="why", arguments=large)
    assert all(len(record.value) <= EVENT_BYTES_MAX for record in memory.records)
    started, used, _ = (orjson.loads(record.value)["data"] for record in memory.records)
    assert started["configuration"] is None
    assert started["configuration_version_id"] == str(ids.configuration_version_id(large))
    assert used["arguments"]["truncated_from_bytes"] > EVENT_BYTES_MAX
    assert (used["tool"], used["error"]) == ("t", "why")
    assert len(memory.events()) == 3


def test_what_cannot_be_made_to_fit_is_refused() -> None:
    with pytest.raises(NotEncodableError):
        encode({"data": {f"text{number}": "x" * TEXT_BYTES_MAX for number in range(40)}})


def test_memory_addresses_do_not_make_a_new_configuration() -> None:
    def content() -> dict[str, Any]:
        return to_json({"tools": [object(), lambda: None]}, exact=True)  # type: ignore[no-any-return]  # a dict

    assert content() == content()
    assert " at 0x" not in str(content())


def test_integers_that_not_every_reader_keeps_become_text_in_configurations() -> None:
    assert to_json([2**53 - 1, 2**53, -(2**53)], exact=True) == [2**53 - 1, str(2**53), str(-(2**53))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ([1, 2], {"value": [1, 2]}),
        ("text", {"value": "text"}),
        (0, {"value": 0}),
    ],
)
def test_what_should_be_an_object_becomes_one(value: Any, expected: Any) -> None:
    assert object_of(value) == expected


def test_an_object_is_a_copy() -> None:
    given_arguments = {"a": 1}
    assert object_of(given_arguments) is not given_arguments


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("two\nlines", "two lines"),
        ("", "unnamed"),
        (None, "None"),
        ("x" * 300, "x" * 200),
        (Hostile(), "<Hostile, whose str raised ValueError>"),
    ],
)
def test_names(value: object, expected: str) -> None:
    assert name_of(value) == expected


def test_text_of_an_object_without_text() -> None:
    assert text_of(Hostile()) == "<Hostile, whose str raised ValueError>"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (3, 3), (3.9, 3), ("7", 7), (-1, None), (math.nan, None), (10**400, None), (1e300, INTEGER_MAX)],
)
def test_counts(value: object, expected: int | None) -> None:
    assert count_of(value, "step") == expected


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("abc", 3),
        ("é", 2),
        ("\ud800", 1),
        (b"1234", 4),
        (memoryview(b"12345678").cast("i"), 8),
        ({"a": 1}, 7),
        ({1: 2}, 7),
        (None, 4),
        (object(), None),
        (Hostile(), None),
        (itself(), None),
    ],
)
def test_sizes_of_results(value: object, size: int | None) -> None:
    assert size_of(value) == size
