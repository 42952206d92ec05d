"""A plan against the tables, from the log itself: bounded windows, bounded reports, and no shadow left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.replay import checking as checking_module
from arc_eval_db.replay import list_shadows, replay_into_shadow, verify_log
from arc_eval_db.replay.checking import read_windows
from arc_eval_db.replay.shadow import ShadowTables
from arc_eval_db.schemas.topics import COMPLETED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition
from support.events import event
from support.replays import whole
from support.topics import produce

PARTITION = TopicPartition("t", 0)


class FakeLog:
    """Hands out records in fetches of three."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self._records = [LogRecord("t", 0, offset, 0, None, b"x" * size, ()) for offset, size in sizes]

    async def read(self, ranges: Mapping[TopicPartition, OffsetRange]) -> AsyncIterator[list[LogRecord]]:
        (offsets,) = ranges.values()
        found = [record for record in self._records if offsets.first <= record.offset < offsets.end]
        for begin in range(0, len(found), 3):
            yield found[begin : begin + 3]


async def windows(log: FakeLog, first: int, end: int, **bounds: int) -> list[tuple[int, int, list[int]]]:
    reading = read_windows(log, PARTITION, OffsetRange(first, end), **bounds)  # type: ignore[arg-type]
    return [(window.first, window.end, [one.offset for one in records]) async for window, records in reading]


async def test_windows_end_at_multiples_of_their_size() -> None:
    log = FakeLog(*((offset, 1) for offset in (0, 1, 2, 4, 5, 11, 12)))
    assert await windows(log, 1, 14, size=4) == [
        (1, 4, [1, 2]),
        (4, 8, [4, 5]),
        (8, 12, [11]),
        (12, 14, [12]),
    ]
    assert await windows(log, 6, 10, size=4) == [(6, 8, []), (8, 10, [])]
    assert await windows(log, 3, 3) == []


async def test_windows_are_bounded_in_bytes() -> None:
    """One record that is larger than a window is one of its own."""
    log = FakeLog((0, 40), (1, 60), (2, 1), (3, 500), (4, 1))
    assert await windows(log, 0, 6, size=10, bytes_max=100) == [
        (0, 2, [0, 1]),
        (2, 3, [2]),
        (3, 4, [3]),
        (4, 6, [4]),
    ]


@pytest.fixture
async def consumed(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> KafkaSettings:
    topic = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, topic, [event(COMPLETED) for _ in range(12)])
    report = await Worker(kafka_settings, database, ConsumerSettings(group=group), until_caught_up=True).run()
    assert report.caught_up
    return kafka_settings


@pytest.mark.database
@pytest.mark.kafka
async def test_a_report_is_bounded_and_counts_everything(
    consumed: KafkaSettings, database: DatabaseSettings, session: Session, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_module, "DIFFERING_WINDOWS_MAX", 2)
    monkeypatch.setattr(checking_module.VerifyReport, "__init__", _with_room_for(5))
    plan = await whole(consumed)
    report = await verify_log(consumed, database, plan, group=group, window_offsets=4)
    assert (report.agrees, report.windows_differing, report.records) == (True, 0, 12)
    await session.execute("DELETE FROM outcomes")
    report = await verify_log(consumed, database, plan, group=group, window_offsets=4)
    assert report.counts == {"missing": 12}
    assert (report.windows_differing, len(report.differing)) == (3, 2)
    assert [(len(window.differences), window.unnamed) for window in report.differing] == [(4, 0), (1, 3)]


def _with_room_for(differences: int) -> Any:
    original = checking_module.VerifyReport.__init__

    def init(self: Any) -> None:
        original(self, _room=differences)

    return init


@pytest.mark.database
@pytest.mark.kafka
@pytest.mark.parametrize("how", ["interrupted", "lost"])
async def test_a_shadow_is_dropped_also_where_its_connection_is_gone(
    consumed: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    writing = asyncio.Event()

    async def stand_still(self: ShadowTables, its_session: Session, _: Any) -> None:
        writing.set()
        if how == "lost":
            its_session.terminate()
            raise DatabaseUnavailableError("lost")
        await its_session.execute("SELECT pg_sleep(60)")

    monkeypatch.setattr(ShadowTables, "write", stand_still)
    task = asyncio.create_task(replay_into_shadow(consumed, database, await whole(consumed)))
    await asyncio.wait_for(writing.wait(), 30)
    if how == "interrupted":
        task.cancel()
    with pytest.raises(asyncio.CancelledError if how == "interrupted" else DatabaseUnavailableError):
        await task
    assert await list_shadows(session) == []
