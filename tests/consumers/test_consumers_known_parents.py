"""Parents that are there already are not written with every batch, and are written whenever they may not be there."""

from __future__ import annotations

from typing import Any

import pytest

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.sink import ExactlyOnceSink
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, PROGRESSED, STARTED, TopicNames
from arc_eval_db.writer import FencedError, KnownParents, OffsetRange, OffsetStore, TopicPartition
from support.databases import connect
from support.events import event, record

P0 = TopicPartition("arc-eval.executions", 0)
HANDLER = ExecutionEventHandler(TopicNames())
EXECUTIONS = "SELECT count(*) FROM executions"


class Events:
    """Writes events of one execution, one a transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.subject = ids.uuid7()
        self.sink = ExactlyOnceSink(OffsetStore("g"))
        self.offset = 0

    async def write(self, kind: str, data: dict[str, Any] | None = None, *, first: int | None = None) -> None:
        batch = HANDLER.handle([record(event(kind, data, subject=self.subject), offset=self.offset)])
        begin = self.offset if first is None else first
        await self.sink.write(self.session, batch, {P0: OffsetRange(begin, max(begin, self.offset + 1))})
        self.offset += 1


@pytest.fixture
async def events(session: Session) -> Events:
    await OffsetStore("g").start_at(session, {P0: 0})
    return Events(session)


@pytest.mark.database
async def test_an_execution_is_written_once_and_when_there_is_more_to_say(session: Session, events: Events) -> None:
    await events.write(PROGRESSED)
    # Somebody's mistake: what is made again after it is what the batch wrote.
    await session.execute("DELETE FROM executions")
    await events.write(PROGRESSED)
    assert await session.fetch_value(EXECUTIONS) == 0
    await events.write(STARTED)
    await events.write(COMPLETED)
    (row,) = await session.fetch("SELECT started_at < ended_at AS is_whole, source FROM executions")
    assert (row["is_whole"], row["source"]) == (True, "/sandboxes/test")
    assert await session.fetch_value("SELECT name FROM scenarios") == "refund-flow"


@pytest.mark.database
async def test_what_was_rolled_back_is_not_known(session: Session, events: Events) -> None:
    with pytest.raises(FencedError):
        await events.write(PROGRESSED, first=events.offset + 7)
    assert await session.fetch_value(EXECUTIONS) == 0
    await events.write(PROGRESSED, first=0)
    assert await session.fetch_value(EXECUTIONS) == 1


@pytest.mark.database
async def test_another_connection_may_be_another_database(
    session: Session, database: DatabaseSettings, events: Events
) -> None:
    await events.write(PROGRESSED)
    await session.execute("DELETE FROM executions")
    async with await connect(database) as other:
        events.session = other
        await events.write(PROGRESSED)
    assert await session.fetch_value(EXECUTIONS) == 1


def test_an_execution_that_names_another_configuration_is_not_known() -> None:
    known = KnownParents()
    known.note([("e", "v1", "s", None)])
    assert ("e", "v1", "s", None) in known
    assert ("e", "v2", "s", None) not in known
    known.forget()
    assert ("e", "v1", "s", None) not in known


def test_the_memory_is_bounded() -> None:
    known = KnownParents(generation_contexts=2)
    contexts = [(str(number), "v", "s", None) for number in range(7)]
    for context in contexts:
        known.note([context])
    assert 2 <= sum(context in known for context in contexts) <= 4
    assert contexts[-1] in known
