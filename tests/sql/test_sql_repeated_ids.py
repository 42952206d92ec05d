"""Events that come again: known beforehand, and decided by the database all the same."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from arc_eval_db.database import Session
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import COMPLETED, TOOL_USED
from arc_eval_db.writer import BatchReport, BatchWriter, LoggedEvent, RepeatedIds, RowBatch, event_row
from support.events import event


def batch_of(*contents: dict[str, Any]) -> RowBatch:
    return RowBatch.of(
        event_row(LoggedEvent(parse_event(orjson.dumps(content)), "t", 0, offset))
        for offset, content in enumerate(contents)
    )


def uses(count: int) -> list[dict[str, Any]]:
    return [event(TOOL_USED) for _ in range(count)]


async def write(session: Session, repeated: RepeatedIds, *contents: dict[str, Any]) -> BatchReport:
    async with session.transaction():
        return await BatchWriter().write_batch(session, batch_of(*contents), repeated)


def test_nothing_is_suspected_before_something_came_again() -> None:
    repeated = RepeatedIds()
    same = uses(1)
    repeated.note(batch_of(*same), duplicates=0)
    assert repeated.suspects(batch_of(*same, *same)) == {}


def test_what_was_written_and_what_stands_twice_is_suspected() -> None:
    repeated = RepeatedIds()
    old, new = uses(2), uses(2)
    repeated.note(batch_of(*old), duplicates=0)
    repeated.note(batch_of(*uses(1)), duplicates=1)
    batch = batch_of(new[0], old[1], new[1], new[0], event(COMPLETED))
    assert repeated.suspects(batch) == {"tool_usage": {1, 3}}


def test_only_the_latest_are_remembered() -> None:
    repeated = RepeatedIds(generation_ids=2)
    generations = [uses(2) for _ in range(3)]
    repeated.note(batch_of(*generations[0]), duplicates=1)
    for number in (1, 2):
        repeated.note(batch_of(*generations[number]), duplicates=0)
    assert [bool(repeated.suspects(batch_of(*one))) for one in generations] == [False, False, True]


def test_a_topic_without_repetition_costs_no_memory() -> None:
    repeated = RepeatedIds(without_repetition_max=3)
    same = uses(2)
    repeated.note(batch_of(*same), duplicates=1)
    repeated.note(batch_of(*uses(2)), duplicates=0)
    assert repeated.suspects(batch_of(*same))
    repeated.note(batch_of(*uses(2)), duplicates=0)
    assert not repeated.suspects(batch_of(*same))
    assert not repeated._latest._young
    assert not repeated._latest._old


@pytest.mark.database
async def test_a_suspect_that_is_new_is_written(session: Session) -> None:
    repeated = RepeatedIds()
    lost = uses(2)
    repeated.note(batch_of(*lost), duplicates=1)  # never written, whatever was said of them
    report = await write(session, repeated, *lost, *uses(3))
    assert (report.inserted, report.duplicates) == (5, 0)
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 5


@pytest.mark.database
async def test_suspects_spare_the_others_the_long_way(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    careful: list[int] = []
    carefully = BatchWriter._write_carefully

    async def counted(writer: BatchWriter, session: Session, batch: RowBatch, *rest: Any) -> BatchReport:
        careful.append(len(batch))
        return await carefully(writer, session, batch, *rest)

    monkeypatch.setattr(BatchWriter, "_write_carefully", counted)
    repeated = RepeatedIds()
    first, second, third = uses(3), uses(3), uses(3)
    assert (await write(session, RepeatedIds(), *first)).duplicates == 0
    assert (await write(session, repeated, *second, first[0])).duplicates == 1
    assert careful == [4], "what another process wrote is met by the COPY"
    assert (await write(session, repeated, *third, third[2], second[1])).duplicates == 2
    assert (await write(session, repeated, second[0], third[0])).duplicates == 2
    assert careful == [4], "the others are known beforehand"
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 9
