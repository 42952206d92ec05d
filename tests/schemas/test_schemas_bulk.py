"""Reading in bulk: what it takes it takes for the same as the parser, and it takes what the SDK sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arc_eval_db.schemas.bulk import BulkParser, PlainEvent, plain_of
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError
from arc_eval_db.schemas.text import replace_nul
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED, TOPIC_OF_TYPE
from support.events import event
from support.poison import REFUSED, STORED

A_UUID7, A_UUID5 = "01a205b3-d001-7694-ad99-c6cd5d908ba5", "60c344f0-0958-535b-9bb9-c2ac1ee78d98"
TYPES = tuple(TOPIC_OF_TYPE)
PARSER = BulkParser(TYPES)
EXAMPLES = sorted((Path(__file__).parents[2] / "schemas/examples").rglob("*.json"))


def in_bulk(value: bytes | None, now: datetime) -> PlainEvent | None:
    """None: left to `parse_event`."""
    others: list[int] = []
    found = list(PARSER.parse([value], now, others))
    assert len(found) + len(others) == 1
    return found[0].events()[0] if found else None


def by_the_parser(value: bytes | None, now: datetime) -> PlainEvent | None:
    """None: refused."""
    try:
        return plain_of(parse_event(value, now))
    except EventRefusedError:
        return None


def check(value: bytes | None) -> None:
    now = datetime.now(UTC)
    found = in_bulk(value, now)
    if found is not None:
        assert found == by_the_parser(value, now)
        assert replace_nul(value or b"")[1] == 0


FULL: dict[str, dict[str, Any]] = {
    STARTED: {"metadata": {"a": 1}, "attempt": 2},
    PROGRESSED: {"details": {"plan": ["look", {"deeper": None}]}},
    COMPLETED: {
        "error_kind": "ToolError",
        "error_message": "it broke",
        "input_tokens": 3,
        "output_tokens": 4,
        "metadata": {"steps": 9},
        "last_sequence": 9,
        "dropped": {"queue_full": 2},
    },
    TOOL_USED: {"error": "none", "result_bytes": 9},
    FAILURE_RECORDED: {"details": {"order": 7}},
}


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("data", [{}, FULL])
@pytest.mark.parametrize("envelope", [{}, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "sequence": "0"}])
def test_what_the_sdk_sends_is_read_in_bulk(
    type_: str, data: dict[str, dict[str, Any]], envelope: dict[str, str]
) -> None:
    now = datetime.now(UTC)
    value = orjson.dumps(event(type_, data.get(type_), **envelope))
    found = in_bulk(value, now)
    assert found is not None
    assert found == by_the_parser(value, now)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_is_read_as_the_parser_reads_it(path: Path) -> None:
    check(path.read_bytes())


@pytest.mark.parametrize("name", [*REFUSED, *STORED])
def test_what_parsers_stumble_over(name: str) -> None:
    value = REFUSED[name][0] if name in REFUSED else STORED[name]
    check(value)


def test_other_types_are_left_to_the_parser() -> None:
    others: list[int] = []
    found = BulkParser([COMPLETED]).parse([orjson.dumps(event(kind)) for kind in TYPES], datetime.now(UTC), others)
    assert [index for events in found for index in events.indexes] == [TYPES.index(COMPLETED)]
    assert sorted(others) == [index for index, kind in enumerate(TYPES) if kind != COMPLETED]


def test_limits_are_the_parsers() -> None:
    now = datetime.now(UTC)
    for nested in (JSON_DEPTH_MAX - 3, JSON_DEPTH_MAX - 2, JSON_DEPTH_MAX - 1):
        check(orjson.dumps(event(TOOL_USED, {"arguments": {"x": json.loads("[" * nested + "]" * nested)}})))
    for time in (TIME_MIN, TIME_MIN - timedelta(microseconds=1), now + TIME_AHEAD_MAX, now + 2 * TIME_AHEAD_MAX):
        value = orjson.dumps(event(TOOL_USED, time=time.isoformat()))
        assert (in_bulk(value, now) is None) == (by_the_parser(value, now) is None)
    check(orjson.dumps(event(TOOL_USED, {"error": "x" * EVENT_BYTES_MAX})))


@pytest.mark.parametrize("name", ["id", "subject", "configuration_version_id", "scenario_id", "simulation_id"])
@pytest.mark.parametrize(
    "other",
    [str.upper, "{{{}}}".format, "{}\n".format, lambda text: text.replace("-", "0"), lambda text: f"-{text[:-1]}"]
    + [lambda text, at=at: f"{text[:at]}g{text[at + 1 :]}" for at in (0, 8, 14, 19, 35)]
    + [lambda text: f"{text[:14]}4{text[15:]}", lambda text: f"é{text[1:]}"],
)
def test_ids_in_another_form_are_left_to_the_parser(name: str, other: Callable[[str], str]) -> None:
    content = event(TOOL_USED, {"simulation_id": A_UUID5})
    within = content if name in content else content["data"]
    within[name] = other(within[name])
    good = orjson.dumps(event(TOOL_USED))
    now, others = datetime.now(UTC), list[int]()
    values = [good] * 70 + [orjson.dumps(content)] + [good] * 70
    found = list(PARSER.parse(values, now, others))
    assert all(event == by_the_parser(good, now) for events in found for event in events.events())
    assert others == [70], "all the others are read in bulk nevertheless"
    assert sorted([*others, *(index for events in found for index in events.indexes)]) == list(range(len(values)))


MOMENTS = (
    "2026-11-23T01:02:03Z",
    "2026-11-23T01:02:03.1Z",
    "2026-11-23T01:02:03.123456789Z",
    "2026-11-23T01:02:03+00:00",
    "2026-11-23T01:02:03-00:00",
    "2026-11-23T01:02:03+05:30",
    "2026-11-23T01:02:03",
    "2026-11-23 01:02:03Z",
    "2026-11-23t01:02:03z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T23:59:60Z",
    "2026-13-23T01:02:03Z",
    "2026-02-30T01:02:03Z",
    "20261123T010203Z",
    "2026-W48-1T01:02:03Z",
    "2026-11-23T01:02:03Z\n",
    "1795392000",
)
TEXTS = (
    "",
    "x",
    "x" * 200,
    "x" * 201,
    "é" * 8_192,
    "é" * 20_000,
    "\n",
    "\x00",
    "\ufffd",
    "null",
    A_UUID7,
    A_UUID7.upper(),
    f"urn:uuid:{A_UUID7}",
    f"{{{A_UUID7}}}",
    A_UUID7.replace("-", ""),
    f"{A_UUID7}\n",
    A_UUID7.replace("-7", "-4"),
    A_UUID5,
    "succeeded",
    "SUCCEEDED",
    "0000000001",
    "+1",
    "1_0",
    "٣",
    *MOMENTS,
    *TYPES,
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(TEXTS),
    st.sampled_from((0, 1, -1, 1.0, 0.5, 1e300, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30)),
    st.sampled_from((float("nan"), float("inf"), -float("inf"))),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(("a", "null", "", "x\n")), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def changed_events(draw: st.DrawFn) -> bytes:
    """A valid event in which something was replaced, left out or added."""
    type_ = draw(st.sampled_from(TYPES))
    content = event(type_, draw(st.sampled_from(({}, FULL[type_]))))
    for _ in range(draw(st.integers(1, 3))):
        within = draw(st.sampled_from((content, content["data"] if isinstance(content.get("data"), dict) else content)))
        name = draw(st.sampled_from((*within, "unknown", "type", "data", "simulation", "configuration", "metadata")))
        if draw(st.booleans()):
            within[name] = draw(VALUES)
        else:
            within.pop(name, None)
    return json.dumps(content, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@settings(max_examples=600)
@given(changed_events())
@example(orjson.dumps(event(STARTED, {"scenario": "another"})))
@example(orjson.dumps(event(STARTED, {"simulation": "another"})))
@example(orjson.dumps(event(STARTED, {"configuration": {"another": 1}})))
@example(orjson.dumps(event(STARTED, {"simulation": "nightly", "simulation_id": None})))
@example(json.dumps(event(TOOL_USED, {"arguments": {"a": float("nan")}})).encode())
@example(json.dumps(event(STARTED, {"configuration": {"a": float("inf")}})).encode())
@example(orjson.dumps(event(TOOL_USED, {"arguments": {"a": "é" * 20_000}})))
@example(orjson.dumps(event(COMPLETED)).replace(b'"score":0.5', b'"score":0.5,"score":0.75'))
@example(orjson.dumps(event(COMPLETED)).replace(b'"sequence"', b'"data":{},"sequence"'))
def test_it_takes_nothing_that_the_parser_takes_otherwise(value: bytes) -> None:
    check(value)


@given(st.binary(max_size=300))
def test_any_bytes_at_all(value: bytes) -> None:
    check(value)
