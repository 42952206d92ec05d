"""Ranges as people type them."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.replay import RangeSpec, RangeSyntaxError, parse_range, plan, ranges
from arc_eval_db.replay.plan import PlanError, parse_source
from arc_eval_db.replay.ranges import EXAMPLES, Anchor, OffsetPoint, TimePoint

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("start", "start:end"),
        ("end", "end:end"),
        (":end", "start:end"),
        (":", "start:end"),
        ("+10", "+10:end"),
        ("-10", "-10:end"),
        ("-10:-2", "-10:-2"),
        ("4000", "4000:end"),
        ("4000:5000", "4000:5000"),
        (":5000", "start:5000"),
        ("+1:+3", "+1:+3"),
        (" 7 ", "7:end"),
        ("@-48h:-24h", "@2026-11-23T12:00:00.000Z:2026-11-24T12:00:00.000Z"),
        ("@2026-11-01:1h", "@2026-11-01T00:00:00.000Z:2026-11-01T01:00:00.000Z"),
        ("@2026-11-01T10:00:1h30m", "@2026-11-01T10:00:00.000Z:2026-11-01T11:30:00.000Z"),
        ("@2026-11-01T10:00:00", "@2026-11-01T10:00:00.000Z:end"),
        ("@2026-11-01T10:00:00+02:00", "@2026-11-01T08:00:00.000Z:end"),
        ("@2026-11-01T10:00+02:00:2026-11-01T09:00Z", "@2026-11-01T08:00:00.000Z:2026-11-01T09:00:00.000Z"),
        ("@:-1h", "@start:2026-11-25T11:00:00.000Z"),
        ("@-1m:end", "@2026-11-25T11:59:00.000Z:end"),
        ("@1795392000", "@2026-11-23T00:00:00.000Z:end"),
        ("@1795392000123:10s", "@2026-11-23T00:00:00.123Z:2026-11-23T00:00:10.123Z"),
        ("@-1w", "@2026-11-18T12:00:00.000Z:end"),
        ("@start:2026-11-01", "@start:2026-11-01T00:00:00.000Z"),
    ],
)
def test_what_is_understood(text: str, meant: str) -> None:
    assert str(parse_range(text, NOW)) == meant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("@", "no time behind the @"),
        ("1h", "a time needs @"),
        ("2026-11-01", "a time needs @"),
        ("-48h:-24h", "a time needs @"),
        ("x", "neither an offset"),
        ("5:x", "'x' is neither an offset"),
        ("--5", "neither an offset"),
        ("٣", "neither an offset"),
        ("1_0", "neither an offset"),
        (str(2**63), "larger than any offset"),
        ("5:3", "ends before it begins"),
        ("-2:-5", "ends before it begins"),
        ("+3:+1", "ends before it begins"),
        ("@-24h:-48h", "ends before it begins"),
        ("@x", "a moment is"),
        ("@12", "a moment is"),
        ("@1h", "a moment is"),
        ("@2026-13-01", "a moment is"),
        ("@1969-12-31", "a moment is"),
        ("@:1h", "a moment is"),
        ("@start:1h", "a moment is"),
        ("@0001-01-01T00:00+14:00", "a moment is"),
    ],
)
def test_what_is_not(text: str, problem: str) -> None:
    with pytest.raises(RangeSyntaxError) as caught:
        parse_range(text, NOW)
    assert problem in caught.value.problem
    assert repr(text) in str(caught.value)
    assert EXAMPLES in str(caught.value), "each message gives correct ones"


def test_the_examples_are_correct() -> None:
    for text in EXAMPLES.split(", "):
        parse_range(text, NOW)


OFFSETS = st.builds(OffsetPoint, st.sampled_from(Anchor), st.integers(0, 2**63 - 1))
TIMES = st.builds(
    lambda milliseconds: TimePoint(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)),
    st.integers(0, 4_102_444_800_000),
)
EDGES = st.sampled_from((OffsetPoint(Anchor.START), OffsetPoint(Anchor.END)))


@given(st.one_of(st.tuples(OFFSETS, OFFSETS), st.tuples(TIMES | EDGES, TIMES | EDGES)))
def test_what_is_printed_is_understood_again(points: tuple[OffsetPoint | TimePoint, OffsetPoint | TimePoint]) -> None:
    spec = RangeSpec(*points)
    try:
        again = parse_range(str(spec), NOW)
    except RangeSyntaxError as error:
        assert "ends before it begins" in error.problem  # noqa: PT017 - which ranges those are is tested above
    else:
        assert again == spec


@given(st.text(max_size=40) | st.text("0123456789:@+-TZhms.end", max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        spec = parse_range(text, NOW)
    except RangeSyntaxError:
        return
    assert parse_range(str(spec), NOW) == spec


@given(st.integers(10**8, 4 * 10**9), st.integers(-14 * 60, 14 * 60), st.integers(1, 10**5))
def test_times_of_every_zone_and_durations(moment: int, minutes: int, seconds: int) -> None:
    begin = datetime.fromtimestamp(moment, timezone(timedelta(minutes=minutes)))
    spec = parse_range(f"@{begin.isoformat()}:{seconds}s", NOW)
    assert spec == RangeSpec(
        TimePoint(begin.astimezone(UTC)), TimePoint(begin.astimezone(UTC) + timedelta(seconds=seconds))
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("arc-eval.failures", "arc-eval.failures=-5:end"),
        ("arc-eval.failures/3", "arc-eval.failures/3=-5:end"),
        ("arc-eval.failures/3=1:2", "arc-eval.failures/3=1:2"),
        ("a_b=@-1h", "a_b=@2026-11-25T11:00:00.000Z:end"),
    ],
)
def test_sources(text: str, meant: str) -> None:
    assert str(parse_source(text, parse_range("-5", NOW), NOW)) == meant


@pytest.mark.parametrize("text", ["", "a/b", "a/-1", "a b", "a/3/4", "/3", "a" * 250, "=1:2"])
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(PlanError, match=r"correct ones are: arc-eval.executions"):
        parse_source(text, RangeSpec(), NOW)


def test_the_examples_in_docstrings() -> None:
    for module in (ranges, plan):
        failures, tests = doctest.testmod(module)
        assert (failures, tests > 0) == (0, True)
