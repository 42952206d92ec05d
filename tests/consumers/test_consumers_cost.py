"""What the sink costs, in counts and not in time: they are the same on every machine, however busy it is."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import PartitionRecords
from arc_eval_db.consumers.sink import ExactlyOnceSink
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.writer import OffsetRange, OffsetStore
from support.events import event, record
from support.steps import steps

HANDLER = ExecutionEventHandler(TopicNames())
NOW = datetime.now(UTC)


def records(event_type: str, count: int) -> PartitionRecords:
    """The records of one partition."""
    first = record(event(event_type), offset=0)
    return PartitionRecords(
        first.topic_partition, [first, *(record(event(event_type), offset=offset) for offset in range(1, count))]
    )


def handled(*sources: PartitionRecords) -> HandledBatch:
    batch = HandledBatch()
    for source in sources:
        HANDLER.add(batch, source, now=NOW)
    return batch


@pytest.mark.parametrize(
    ("event_type", "steps_max"),
    [(STARTED, 75), (PROGRESSED, 60), (TOOL_USED, 55), (FAILURE_RECORDED, 50), (COMPLETED, 55)],
)
def test_an_event_takes_few_steps(event_type: str, steps_max: int) -> None:
    """From bytes to a row; a change that needs more says in docs/performance.md what the sink costs with it."""
    few, many = records(event_type, 100), records(event_type, 600)
    handled(few)  # what is computed once
    more = steps(lambda: handled(many)) - steps(lambda: handled(few))
    assert more / 500 <= steps_max
    assert not handled(many).dead_letters


def test_a_row_that_waits_is_nothing_for_the_garbage_collector() -> None:
    """A batch is 10,000 of them, and the next is made meanwhile."""
    source = records(COMPLETED, 1_000)
    handled(source)
    gc.collect()
    before = len(gc.get_objects())
    batch = handled(source)
    gc.collect()
    assert len(gc.get_objects()) - before <= 100
    assert len(batch.rows) == 1_000


@pytest.mark.database
async def test_a_batch_takes_as_many_statements_however_large_it_is(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("execute", "fetch", "copy"):
        original = getattr(Session, name)

        def counted(self: Session, *arguments: object, name: str = name, original: object = original) -> object:
            calls.append(name)
            return original(self, *arguments)  # type: ignore[operator]  # a method

        monkeypatch.setattr(Session, name, counted)
    offsets = OffsetStore("g")
    counts = []
    for events in (1, 1_000):
        sources = [records(kind, events) for kind in (STARTED, TOOL_USED, COMPLETED)]
        partitions = {source.partition: OffsetRange(0, events) for source in sources}
        await session.execute("TRUNCATE consumer_offsets")
        await offsets.start_at(session, dict.fromkeys(partitions, 0))
        calls.clear()
        report = await ExactlyOnceSink(offsets).write(session, handled(*sources), partitions)
        assert report.inserted == 3 * events
        counts.append((calls.count("copy"), len(calls)))
    assert counts[0] == counts[1]
    assert counts[1] <= (3, 10)
