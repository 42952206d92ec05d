"""The handler: records in, events and dead letters out, nothing raised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import COMPLETED, TOOL_USED, TopicNames
from arc_eval_db.writer.rows import COLUMNS
from support.events import event, record

HANDLER = ExecutionEventHandler(TopicNames())


def test_good_records_become_events_with_their_place_in_the_log() -> None:
    batch = HANDLER.handle([record(event(TOOL_USED), partition=4, offset=17)])
    assert batch.dead_letters == []
    (row,) = batch.rows.tables["tool_usage"]
    assert row[-2:] == (4, 17)
    assert dict(batch.records) == {"arc-eval.tool-usage": 1}


def test_bad_records_are_set_aside_raw_and_cost_their_neighbours_nothing() -> None:
    records = [
        record(event(TOOL_USED), offset=0),
        record(b"not json", offset=1, partition=2),
        record(event(TOOL_USED), offset=2),
    ]
    batch = HANDLER.handle(records)
    assert [row[-1] for row in batch.rows.tables["tool_usage"]] == [0, 2]
    (letter,) = batch.dead_letters
    assert letter.reason is RefusalReason.INVALID_JSON
    assert (letter.partition.partition, letter.offset) == (2, 1)
    assert (letter.key, letter.value, letter.error_class) == (b"key", b"not json", "EventRefusedError")


def test_a_known_type_on_the_wrong_topic_is_refused() -> None:
    (letter,) = HANDLER.handle([record(event(TOOL_USED), topic="arc-eval.failures")]).dead_letters
    assert letter.reason is RefusalReason.WRONG_TOPIC
    assert letter.event_id is not None
    assert letter.header("ce_type") == TOOL_USED


def test_topics_have_the_prefix_they_are_given() -> None:
    handler = ExecutionEventHandler(TopicNames("staging"))
    assert handler.handle([record(event(TOOL_USED), topic="staging.tool-usage")]).rows
    assert handler.handle([record(event(TOOL_USED))]).dead_letters


def test_a_tombstone_is_refused() -> None:
    (letter,) = HANDLER.handle([record(None)]).dead_letters
    assert (letter.reason, letter.value) == (RefusalReason.EMPTY, None)


def test_nul_in_text_is_replaced_and_counted() -> None:
    batch = HANDLER.handle([record(event(TOOL_USED, {"error": "a\x00b\x00", "success": False}))])
    assert batch.nul_replaced == 2
    (row,) = batch.rows.tables["tool_usage"]
    assert dict(zip(COLUMNS["tool_usage"], row, strict=True))["error"] == "a\ufffdb\ufffd"


def test_ahead_is_measured_from_the_moment_of_handling() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    late = record(event(COMPLETED, time=(now + timedelta(days=1, seconds=1)).isoformat()))
    assert HANDLER.handle([late], now).dead_letters[0].reason is RefusalReason.TIME_OUT_OF_RANGE
    assert HANDLER.handle([late], now + timedelta(seconds=2)).rows


@given(st.lists(st.one_of(st.none(), st.binary(max_size=200)), max_size=5))
def test_any_bytes_at_all(values: list[bytes | None]) -> None:
    batch = HANDLER.handle(
        [LogRecord("arc-eval.executions", 0, n, -1, None, value, ()) for n, value in enumerate(values)]
    )
    assert len(batch.rows) + len(batch.dead_letters) == len(values)


@pytest.mark.parametrize(
    ("timestamp_ms", "year"), [(-1, 1970), (0, 1970), (1_770_000_000_000, 2026), (1_770_000_000_000_000_000, 9999)]
)
def test_record_time(timestamp_ms: int, year: int) -> None:
    assert LogRecord("t", 0, 0, timestamp_ms, None, None, ()).timestamp.year == year
