"""What is refused and why, what is accepted at each limit's edge, and that nothing else can come of an event."""

from __future__ import annotations

import copy
import json
import math
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arc_eval_db.errors import PoisonError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import EVENT_MODELS, Event, ToolUsedEvent, type_name
from arc_eval_db.schemas.example_events import all_examples
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, TEXT_BYTES_MAX, TIME_MIN
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
EVENT_ID = b"01a20621-ad7b-71f7-9234-56789abc0002"

TOOL = (
    b'{"specversion":"1.0","id":"01a20621-ad7b-71f7-9234-56789abc0002","source":"/sandboxes/sb-01",'
    b'"type":"arc_eval.tool.used.v1","subject":"01a20621-ad7b-71f7-9234-56789abc0001",'
    b'"time":"2026-11-23T02:00:00Z","sequence":"0000000017","data":{'
    b'"configuration_version_id":"64a365dc-ee4d-562f-8029-0ed356774341",'
    b'"scenario_id":"09ca57b5-3f9d-5b1a-877f-298af8eb1c9e","tool":"lookup","success":true,'
    b'"duration_ms":12.5,"arguments":{"order":7}}}'
)


def put(old: bytes, new: bytes, event: bytes = TOOL) -> bytes:
    """`event` with one thing changed."""
    assert event.count(old) == 1, old
    return event.replace(old, new)


def tool(name: bytes) -> bytes:
    return put(b'"tool":"lookup"', b'"tool":"' + name + b'"')


def at(time: bytes) -> bytes:
    return put(b'"2026-11-23T02:00:00Z"', time)


def duration(value: bytes) -> bytes:
    return put(b"12.5", value)


def argument(value: bytes) -> bytes:
    return put(b'{"order":7}', b'{"order":' + value + b"}")


def padded(size: int) -> bytes:
    return argument(b'"' + b"a" * (size - len(argument(b'""'))) + b'"')


def nested(levels: int) -> bytes:
    """An event that is nested `levels` deep: `arguments` is the third level."""
    return argument(b"[" * (levels - 3) + b"]" * (levels - 3))


STARTED = put(
    b'"tool":"lookup","success":true,"duration_ms":12.5,"arguments":{"order":7}',
    b'"scenario":"refund-flow","configuration":{"model":"m1","name":"careful","temperature":0.2}',
    put(b"arc_eval.tool.used.v1", b"arc_eval.execution.started.v1"),
)
COMPLETED = put(
    b'"tool":"lookup","success":true',
    b'"status":"failed"',
    put(b"arc_eval.tool.used.v1", b"arc_eval.execution.completed.v1"),
)


def outcome(raw: bytes) -> Event | EventRefusedError:
    try:
        return parse_event(raw, NOW)
    except EventRefusedError as refusal:
        return refusal


R = RefusalReason

BAD: dict[str, tuple[bytes | None, RefusalReason]] = {
    "empty": (b"", R.EMPTY),
    "tombstone": (None, R.EMPTY),
    "2 MB": (padded(2_000_000), R.TOO_LARGE),
    "2 MB that are not JSON": (b"x" * 2_000_000, R.TOO_LARGE),
    "900,001 bytes": (padded(900_001), R.TOO_LARGE),
    "depth 33": (nested(33), R.TOO_DEEP),
    "depth 1,000": (nested(1000), R.TOO_DEEP),
    "100,000 opening brackets": (b"[" * 100_000, R.TOO_DEEP),
    "not JSON": (b"not json", R.INVALID_JSON),
    "blank": (b" ", R.INVALID_JSON),
    "truncated": (TOOL[:-5], R.INVALID_JSON),
    "two documents": (TOOL + TOOL, R.INVALID_JSON),
    "raw NUL in a text": (argument(b'"a\x00b"'), R.INVALID_JSON),
    "raw NUL after it": (TOOL + b"\x00", R.INVALID_JSON),
    "raw line feed in a text": (argument(b'"a\nb"'), R.INVALID_JSON),
    "lone surrogate escape": (argument(rb'"\ud800"'), R.INVALID_JSON),
    "lone low surrogate": (argument(rb'"\udc00"'), R.INVALID_JSON),
    "lone surrogate in a key": (put(b'"order":7', rb'"\ud800":7'), R.INVALID_JSON),
    "invalid UTF-8": (argument(b'"\xff"'), R.INVALID_JSON),
    "overlong UTF-8": (argument(b'"\xc0\x80"'), R.INVALID_JSON),
    "surrogate in UTF-8": (argument(b'"\xed\xa0\x80"'), R.INVALID_JSON),
    "UTF-16": (TOOL.decode().encode("utf-16"), R.INVALID_JSON),
    "byte order mark": (b"\xef\xbb\xbf" + TOOL, R.INVALID_JSON),
    "single quotes": (b"{'a':1}", R.INVALID_JSON),
    "trailing comma": (argument(b"[1,]"), R.INVALID_JSON),
    "comment": (b"/**/" + TOOL, R.INVALID_JSON),
    "leading zero": (argument(b"07"), R.INVALID_JSON),
    "integer of 5,000 digits": (argument(b"1" * 5000), R.INVALID_JSON),
    "integer of 5,000 digits where a number is due": (duration(b"1" * 5000), R.INVALID_JSON),
    "list": (b"[1]", R.INVALID_ENVELOPE),
    "null": (b"null", R.INVALID_ENVELOPE),
    "text": (b'"arc_eval.tool.used.v1"', R.INVALID_ENVELOPE),
    "empty object": (b"{}", R.INVALID_ENVELOPE),
    "no type": (put(b'"type":"arc_eval.tool.used.v1",', b""), R.INVALID_ENVELOPE),
    "no id": (put(b'"id":"' + EVENT_ID + b'",', b""), R.INVALID_ENVELOPE),
    "UUIDv4 as id": (put(EVENT_ID, b"9b2c1a3e-6d4f-4e8a-b0c7-1f2e3d4c5b6a"), R.INVALID_ENVELOPE),
    "id not a UUID": (put(EVENT_ID, b"1"), R.INVALID_ENVELOPE),
    "id null": (put(b'"' + EVENT_ID + b'"', b"null"), R.INVALID_ENVELOPE),
    "specversion 0.3": (put(b'"1.0"', b'"0.3"'), R.INVALID_ENVELOPE),
    "no source": (put(b'"source":"/sandboxes/sb-01",', b""), R.INVALID_ENVELOPE),
    "source with a space": (put(b"sb-01", b"sb 01"), R.INVALID_ENVELOPE),
    "source of 513 characters": (put(b"/sandboxes/sb-01", b"a" * 513), R.INVALID_ENVELOPE),
    "sequence a number": (put(b'"0000000017"', b"17"), R.INVALID_ENVELOPE),
    "sequence of 19 digits": (put(b"0000000017", b"1" * 19), R.INVALID_ENVELOPE),
    "no data": (TOOL[: TOOL.index(b',"data"')] + b"}", R.INVALID_ENVELOPE),
    "data null": (TOOL[: TOOL.index(b',"data"')] + b',"data":null}', R.INVALID_ENVELOPE),
    "traceparent not W3C": (put(b'"sequence"', b'"traceparent":"00-1-2-3","sequence"'), R.INVALID_ENVELOPE),
    "naive time": (at(b'"2026-11-23T02:00:00"'), R.INVALID_ENVELOPE),
    "date as time": (at(b'"2026-11-23"'), R.INVALID_ENVELOPE),
    "epoch seconds as time": (at(b"1795399200"), R.INVALID_ENVELOPE),
    "epoch milliseconds as text": (at(b'"1795399200000"'), R.INVALID_ENVELOPE),
    "epoch seconds as text": (at(b'"1795399200"'), R.INVALID_ENVELOPE),
    "leap second": (at(b'"2026-11-23T02:00:60Z"'), R.INVALID_ENVELOPE),
    "30 February": (at(b'"2026-02-30T02:00:00Z"'), R.INVALID_ENVELOPE),
    "envelope and data both wrong": (put(b'"1.0"', b'"2.0"', tool(b"")), R.INVALID_ENVELOPE),
    "unknown type": (put(b"arc_eval.tool.used.v1", b"arc_eval.tool.broken.v1"), R.UNKNOWN_TYPE),
    "unknown version": (put(b"arc_eval.tool.used.v1", b"arc_eval.tool.used.v2"), R.UNKNOWN_TYPE),
    "type in capitals": (put(b"arc_eval.tool.used.v1", b"ARC_EVAL.TOOL.USED.V1"), R.UNKNOWN_TYPE),
    "unknown type in an otherwise empty event": (b'{"type":"other"}', R.UNKNOWN_TYPE),
    "NaN": (duration(b"NaN"), R.INVALID_DATA),
    "Infinity": (duration(b"Infinity"), R.INVALID_DATA),
    "1e999": (duration(b"1e999"), R.INVALID_DATA),
    "NaN in free-form JSON": (argument(b"NaN"), R.INVALID_DATA),
    "-Infinity deep in free-form JSON": (argument(b'[{"x":[-Infinity]}]'), R.INVALID_DATA),
    "1e999 in free-form JSON": (argument(b"1e999"), R.INVALID_DATA),
    "integer of 30 digits": (argument(b"123456789012345678901234567890"), R.INVALID_DATA),
    "integer of 30 digits in a list": (argument(b"[-123456789012345678901234567890]"), R.INVALID_DATA),
    "400 digits where a number is due": (duration(b"1" * 400), R.INVALID_DATA),
    "boolean as text": (put(b"true", b'"true"'), R.INVALID_DATA),
    "boolean as number": (put(b"true", b"1"), R.INVALID_DATA),
    "number as text": (duration(b'"12.5"'), R.INVALID_DATA),
    "number as boolean": (duration(b"true"), R.INVALID_DATA),
    "negative duration": (duration(b"-0.001"), R.INVALID_DATA),
    "tool without a name": (tool(b""), R.INVALID_DATA),
    "tool of 201 characters": (tool(b"a" * 201), R.INVALID_DATA),
    "tool with a control character": (tool(rb"a\u0007"), R.INVALID_DATA),
    "tool with a line feed at its end": (tool(rb"a\n"), R.INVALID_DATA),
    "tool with a NUL": (tool(rb"a\u0000"), R.INVALID_DATA),
    "tool with a NUL that was replaced": (tool(rb"a\ufffd"), R.INVALID_DATA),
    "arguments a list": (put(b'{"order":7}', b"[]"), R.INVALID_DATA),
    "arguments null": (put(b'{"order":7}', b"null"), R.INVALID_DATA),
    "scenario_id a UUIDv4": (put(b"09ca57b5-3f9d-5b1a", b"09ca57b5-3f9d-4b1a"), R.INVALID_DATA),
    "scenario_id not of scenario": (put(b"refund-flow", b"refund-flow2", STARTED), R.INVALID_DATA),
    "version not of configuration": (put(b"0.2", b"0.3", STARTED), R.INVALID_DATA),
    "configuration without canonical form": (put(b"0.2", b"9007199254740992", STARTED), R.INVALID_DATA),
    "NaN in a configuration": (put(b"0.2", b"[NaN]", STARTED), R.INVALID_DATA),
    "simulation without its id": (put(b'"scenario":', b'"simulation":"s","scenario":', STARTED), R.INVALID_DATA),
    "unknown status": (put(b'"failed"', b'"done"', COMPLETED), R.INVALID_DATA),
    "negative count of dropped events": (put(b'"status"', b'"dropped":{"x":-1},"status"', COMPLETED), R.INVALID_DATA),
    "bigint plus one": (put(b'"status"', b'"input_tokens":9223372036854775808,"status"', COMPLETED), R.INVALID_DATA),
    "integer as 3.0": (put(b'"status"', b'"input_tokens":3.0,"status"', COMPLETED), R.INVALID_DATA),
    "2019": (at(b'"2019-12-31T23:59:59.999999Z"'), R.TIME_OUT_OF_RANGE),
    "year 9999": (at(b'"9999-12-31T23:59:59Z"'), R.TIME_OUT_OF_RANGE),
    "year 9999 west of Greenwich": (at(b'"9999-12-31T23:59:59-14:00"'), R.TIME_OUT_OF_RANGE),
    "year 1 east of Greenwich": (at(b'"0001-01-01T00:00:00+14:00"'), R.TIME_OUT_OF_RANGE),
    "one day and one second ahead": (at(b'"2026-11-24T02:30:01Z"'), R.TIME_OUT_OF_RANGE),
    "one day and a microsecond ahead": (at(b'"2026-11-24T02:30:00.000001Z"'), R.TIME_OUT_OF_RANGE),
}

GOOD: dict[str, bytes] = {
    "as it is": TOOL,
    "started": STARTED,
    "completed": COMPLETED,
    "900,000 bytes": padded(900_000),
    "depth 32": nested(32),
    "brackets in strings": argument(b'"' + b"[{" * 1000 + rb"\"[\\" + b'"'),
    "white space around": b" \r\n\t" + TOOL + b"\n",
    "escaped NUL in a text": argument(rb'"a\u0000b"'),
    "surrogate pair": argument(rb'"\ud83d\ude00"'),
    "largest integers": argument(b"[18446744073709551615,-9223372036854775808]"),
    "bigint": put(b'"status"', b'"input_tokens":9223372036854775807,"status"', COMPLETED),
    "30 digits where a number is due": duration(b"1" * 30),
    "duration 0": duration(b"0"),
    "null where a value may be absent": duration(b"null"),
    "tool of 200 characters": tool("é".encode() * 200),
    "tool of 1 character": tool(b"a"),
    "exactly one day ahead": at(b'"2026-11-24T02:30:00Z"'),
    "the first moment of 2020": at(b'"2020-01-01T00:00:00Z"'),
    "the first moment of 2020, said in 2019": at(b'"2019-12-31T23:00:00-01:00"'),
    "source of 512 characters": put(b"/sandboxes/sb-01", b"a" * 512),
    "unknown attribute and field": put(b'"data":{', b'"new":[1],"data":{"new":{},'),
    "NaN in a field that nobody reads": put(b'"data":{', b'"new":NaN,"data":{'),
}


@pytest.mark.parametrize(("raw", "reason"), BAD.values(), ids=list(BAD))
def test_bad_input_is_refused_with_its_reason(raw: bytes | None, reason: RefusalReason) -> None:
    with pytest.raises(EventRefusedError) as refusal:
        parse_event(raw, NOW)
    assert refusal.value.reason is reason
    assert refusal.value.detail
    assert len(refusal.value.detail) <= 500
    assert str(refusal.value) == f"{reason}: {refusal.value.detail}"
    assert isinstance(refusal.value, PoisonError)


@pytest.mark.parametrize("raw", GOOD.values(), ids=list(GOOD))
def test_neighbours_of_the_limits_are_accepted(raw: bytes) -> None:
    assert parse_event(raw, NOW).id.hex == EVENT_ID.decode().replace("-", "")


def test_table_is_large_and_covers_every_reason_of_the_parser() -> None:
    by_consumer = {R.REFUSED_BY_DATABASE, R.WRONG_TOPIC}
    assert {reason for _, reason in BAD.values()} == set(RefusalReason) - by_consumer
    assert len({raw for raw, _ in BAD.values()}) == len(BAD) >= 25


def test_sizes_of_the_table_are_what_they_say() -> None:
    assert len(GOOD["900,000 bytes"]) == EVENT_BYTES_MAX == 900_000
    assert BAD["900,001 bytes"][0] is not None
    assert len(BAD["900,001 bytes"][0]) == EVENT_BYTES_MAX + 1


def test_values_of_reasons_are_the_contract() -> None:
    # Dead letters in databases hold these.
    assert [reason.value for reason in RefusalReason] == [
        "empty",
        "too_large",
        "too_deep",
        "invalid_json",
        "invalid_envelope",
        "unknown_type",
        "wrong_topic",
        "invalid_data",
        "time_out_of_range",
        "refused_by_database",
    ]


def test_of_two_keys_the_last_one_counts() -> None:
    event = parse_event(put(b'"tool":"lookup"', b'"tool":"first","tool":"second"'), NOW)
    assert isinstance(event, ToolUsedEvent)
    assert event.data.tool == "second"
    event = parse_event(put(b'"order":7', b'"order":7,"order":8'), NOW)
    assert isinstance(event, ToolUsedEvent)
    assert event.data.arguments == {"order": 8}


def test_digits_after_the_sixth_are_cut_off() -> None:
    event = parse_event(at(b'"2026-11-23T02:00:00.123456999Z"'), NOW)
    assert event.time == datetime(2026, 11, 23, 2, 0, 0, 123456, tzinfo=UTC)


def test_offset_is_taken_into_account() -> None:
    event = parse_event(at(b'"2026-11-23T04:00:00+02:00"'), NOW)
    assert event.time == datetime(2026, 11, 23, 2, tzinfo=UTC)


def test_without_a_moment_times_are_measured_from_the_present() -> None:
    def in_(hours: int) -> bytes:
        return at(f'"{(datetime.now(UTC) + timedelta(hours=hours)).isoformat()}"'.encode())

    assert parse_event(in_(23)).type == "arc_eval.tool.used.v1"
    with pytest.raises(EventRefusedError):
        parse_event(in_(25))


def test_long_text_is_cut_wherever_it_stands() -> None:
    long = b'"' + b"a" * (TEXT_BYTES_MAX + 1) + b'"'
    event = parse_event(put(b'"order":7', b'"a":' + long + b',"b":[{"c":' + long + b"}]"), NOW)
    assert isinstance(event, ToolUsedEvent)
    expected = "a… [truncated from 32769 bytes]"
    assert event.data.arguments["a"].endswith(expected)
    assert event.data.arguments["b"][0]["c"].endswith(expected)
    event = parse_event(put(b'"success"', b'"error":' + long + b',"success"'), NOW)
    assert isinstance(event, ToolUsedEvent)
    assert event.data.error is not None
    assert event.data.error.endswith(expected)


def test_text_of_a_configuration_is_not_cut() -> None:
    long = "a" * (TEXT_BYTES_MAX + 1)
    content = {"prompt": long}
    raw = put(b'{"model":"m1","name":"careful","temperature":0.2}', json.dumps(content).encode(), STARTED)
    raw = put(b"64a365dc-ee4d-562f-8029-0ed356774341", str(ids.configuration_version_id(content)).encode(), raw)
    event = parse_event(raw, NOW)
    assert event.model_dump()["data"]["configuration"] == content


def test_many_configurations_do_not_fill_the_memory() -> None:
    from arc_eval_db.schemas import events

    for seed in range(events._VERSION_IDS_MAX + 10):
        content = {"seed": seed}
        raw = put(b'{"model":"m1","name":"careful","temperature":0.2}', json.dumps(content).encode(), STARTED)
        raw = put(b"64a365dc-ee4d-562f-8029-0ed356774341", str(ids.configuration_version_id(content)).encode(), raw)
        parse_event(raw, NOW)
    assert len(events._version_ids) <= events._VERSION_IDS_MAX


DETAILS = {
    "negative duration": "data.duration_ms: Input should be greater than or equal to 0",
    "scenario_id not of scenario": "data: scenario_id is not the id of scenario",
    "no type": "event: type is required",
    "list": "event: Input should be an object",
    "id not a UUID": "id: Input should be a valid UUID",
    "no data": "data: Field required",
    "epoch seconds as text": "time: Input should be a date and time as in RFC 3339",
    "NaN in free-form JSON": "data.arguments: numbers must be finite",
    "negative count of dropped events": "data.dropped: Input should be greater than or equal to 0",
    "unknown version": "type: not known to this release",
    "900,001 bytes": "900001 bytes; at most 900000 are taken",
}


@pytest.mark.parametrize(("name", "detail"), DETAILS.items())
def test_detail_names_the_path(name: str, detail: str) -> None:
    with pytest.raises(EventRefusedError) as refusal:
        parse_event(BAD[name][0], NOW)
    assert refusal.value.detail == detail


def test_detail_shows_the_first_errors_and_counts_the_others() -> None:
    raw = TOOL[: TOOL.index(b'"data"')] + b'"data":{"success":"x","duration_ms":"y"}}'
    with pytest.raises(EventRefusedError, match=r"; and 2 more$"):
        parse_event(raw, NOW)


@pytest.mark.parametrize(
    ("name", "has_id"),
    [
        ("negative duration", True),
        ("NaN", True),
        ("unknown version", True),
        ("2019", True),
        ("UUIDv4 as id", True),
        ("id not a UUID", False),
        ("id null", False),
        ("no id", False),
        ("list", False),
        ("truncated", False),
    ],
)
def test_a_refusal_keeps_the_event_id_where_it_can_be_read(name: str, has_id: bool) -> None:
    raw = BAD[name][0]
    assert raw is not None
    with pytest.raises(EventRefusedError) as refusal:
        parse_event(raw, NOW)
    assert (refusal.value.event_id is not None) == has_id
    if has_id:
        assert str(refusal.value.event_id).encode() in raw


MARKER = "xyzzy-4711"
FULL = {item.event_type: item.document for item in all_examples() if item.case == "full"}
PLACES = [
    (name, *path)
    for name, document in FULL.items()
    for path in ([(key,) for key in document] + [("data", key) for key in document["data"]])
]


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_a_refusal_never_shows_the_value(place: tuple[str, ...]) -> None:
    event_type, *path, last = place
    refused = 0
    planted: list[Any] = [MARKER, [MARKER], {MARKER: MARKER}, {MARKER: -1, MARKER + "\n": MARKER}, MARKER + "\n"]
    for value in planted:
        document = copy.deepcopy(FULL[event_type])
        target = document
        for key in path:
            target = target[key]
        target[last] = value
        result = outcome(json.dumps(document).encode())
        if isinstance(result, EventRefusedError):
            refused += 1
            assert MARKER not in str(result)
            assert MARKER not in repr(result)
            assert MARKER not in "".join(traceback.format_exception(result))
    assert refused >= 1, "a list at least fits nowhere"


def test_a_broken_document_does_not_show_either() -> None:
    for raw in (MARKER, f'"{MARKER}', f'{{"{MARKER}": {MARKER}}}', f'{{"type": "{MARKER}"}}'):
        with pytest.raises(EventRefusedError) as refusal:
            parse_event(raw.encode(), NOW)
        assert MARKER not in str(refusal.value)


@given(st.binary())
@example(b"\xef\xbb\xbf")
@example(b'{"type":"arc_eval.tool.used.v1"}')
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert isinstance(outcome(raw), EventRefusedError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_JSON)
def test_any_json_is_refused(value: Any) -> None:
    assert isinstance(outcome(json.dumps(value).encode()), EventRefusedError)


_TIMES = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)


@given(st.sampled_from(PLACES), _JSON | _TIMES | st.uuids().map(str), st.booleans())
def test_an_event_with_anything_in_one_place_is_an_event_or_refused(
    place: tuple[str, ...], value: Any, escaped: bool
) -> None:
    event_type, *path, last = place
    document = copy.deepcopy(FULL[event_type])
    target = document
    for key in path:
        target = target[key]
    target[last] = value
    result = outcome(json.dumps(document, ensure_ascii=escaped).encode())
    if isinstance(result, EventRefusedError):
        assert result.reason not in (R.EMPTY, R.TOO_LARGE, R.INVALID_JSON)
        return
    assert TIME_MIN <= result.time <= NOW + timedelta(days=1)
    dumped = result.model_dump_json()
    assert "NaN" not in dumped
    assert parse_event(dumped.encode(), NOW) == result, "what was accepted is accepted again"


@given(st.sampled_from(list(FULL.values())), st.data())
def test_an_event_with_damaged_bytes_is_an_event_or_refused(document: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    result = outcome(bytes(raw))
    assert isinstance(result, EventRefusedError) or result.type in {type_name(model) for model in EVENT_MODELS}


@given(st.floats())
def test_no_number_that_is_not_finite_passes(number: float) -> None:
    for raw in (duration(json.dumps(number).encode()), argument(json.dumps(number).encode())):
        result = outcome(raw)
        if not math.isfinite(number):
            assert isinstance(result, EventRefusedError)
            assert result.reason is R.INVALID_DATA
