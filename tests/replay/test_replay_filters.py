"""Which records are meant."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.replay import (
    EventFilter,
    FilterError,
    event_types,
    execution_id,
    filters,
    header,
    scenario_id,
    version_id,
)
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOOL_USED
from support.events import CONFIGURATION, event, record

SUBJECT = str(ids.uuid7())
VERSION = str(ids.configuration_version_id(CONFIGURATION))
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def of(kind: str = TOOL_USED, data: dict[str, Any] | None = None, **envelope: Any) -> LogRecord:
    return record(event(kind, data, **envelope))


@pytest.mark.parametrize(
    ("given", "yes", "no"),
    [
        ({"executions": (SUBJECT,)}, of(subject=SUBJECT), of()),
        ({"types": (TOOL_USED, STARTED)}, of(), of(COMPLETED)),
        ({"versions": (VERSION,)}, of(), of(data={"configuration_version_id": str(ids.scenario_id("x"))})),
        ({"scenarios": (scenario_id("refund-flow"),)}, of(), of(data={"scenario_id": str(ids.scenario_id("x"))})),
        ({"since": NOON}, of(time="2026-11-25T14:00:00+02:00"), of(time="2026-11-25T13:59:59+02:00")),
        ({"until": NOON}, of(time="2026-11-25T11:59:59Z"), of(time="2026-11-25T12:00:00Z")),
        ({"headers": (("ce_type", TOOL_USED),)}, of(), of(COMPLETED)),
        ({"where": "data.tool == 'lookup_order'"}, of(), of(data={"tool": "refund"})),
        ({"where": "data.duration_ms > `1`"}, of(), of(data={"duration_ms": 0.5})),
        ({"where": "data.duration_ms"}, of(data={"duration_ms": 0}), of(data={"duration_ms": None})),
        ({"where": "contains(data.error, 'time')"}, of(data={"error": "time out"}), of(data={"error": None})),
        ({"types": (TOOL_USED,), "where": "data.success"}, of(), of(data={"success": False})),
        ({"where": "type"}, of(), record(b"[1]")),
        ({"types": (TOOL_USED,)}, of()._replace(headers=()), of(COMPLETED)._replace(headers=())),
        ({"since": NOON}, of(time="2026-11-25T12:00:00Z"), of(time="yesterday")),
        ({"since": NOON}, of(time="2026-11-25T12:00:00Z"), of(time="2026-11-25T12:00:00")),
        ({"executions": (SUBJECT,)}, of(subject=SUBJECT), record(None)),
        ({"executions": (SUBJECT,)}, of(subject=SUBJECT.upper()), record(b"\xff")),
    ],
)
def test_what_matches_and_what_does_not(given: dict[str, Any], yes: LogRecord, no: LogRecord) -> None:
    chosen = EventFilter(**given)
    assert chosen.matches(yes)
    assert not chosen.matches(no)
    assert chosen.select([no, yes, no]) == [yes]
    assert EventFilter.from_json(orjson.loads(orjson.dumps(chosen.to_json()))) == chosen
    assert not chosen.is_everything


def test_no_filter_lets_everything_through() -> None:
    assert EventFilter().is_everything
    assert EventFilter().select([record(b"\xff"), record(None)]) == [record(b"\xff"), record(None)]
    assert EventFilter.from_json(EventFilter().to_json()) == EventFilter()


def test_all_that_is_given_must_hold() -> None:
    chosen = EventFilter(executions=(SUBJECT,), since=NOON, until=NOON + timedelta(hours=1))
    assert chosen.matches(of(subject=SUBJECT, time="2026-11-25T12:30:00Z"))
    assert not chosen.matches(of(subject=SUBJECT, time="2026-11-25T13:00:00Z"))
    assert not chosen.matches(of(time="2026-11-25T12:30:00Z"))


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("completed", {COMPLETED}),
        ("tool.used", {TOOL_USED}),
        ("execution.started.v1", {STARTED}),
        (FAILURE_RECORDED, {FAILURE_RECORDED}),
        ("arc_eval.something.new.v7", {"arc_eval.something.new.v7"}),
    ],
)
def test_types_by_a_part_of_their_name(name: str, types: set[str]) -> None:
    assert event_types(name) == types


def test_what_cannot_be_understood_says_what_can() -> None:
    with pytest.raises(FilterError, match=r"'finished'; there are: execution.started.v1, "):
        event_types("finished")
    with pytest.raises(FilterError, match=r"'x' is not the id of an execution; one looks like 01a2"):
        execution_id("x")
    with pytest.raises(FilterError, match="'x' is not the id of a configuration's version"):
        version_id("x")
    with pytest.raises(FilterError, match="a correct one is: ce_type="):
        header("x")
    with pytest.raises(FilterError, match=r"is no JMESPath expression: .*; a correct one is: data.tool == "):
        EventFilter(where="data.tool = 'x'")
    with pytest.raises(FilterError, match="Unknown function: starts_wth"):
        EventFilter(where="starts_wth(data.tool, 'x')").matches(of())
    assert header("a=b=c") == ("a", "b=c")
    assert scenario_id("refund-flow") == scenario_id(str(ids.scenario_id("refund-flow")))


def test_the_examples_in_docstrings() -> None:
    failures, tests = doctest.testmod(filters)
    assert (failures, tests > 0) == (0, True)
