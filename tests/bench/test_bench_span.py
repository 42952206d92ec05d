"""When the measured part of a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiokafka
import pytest

from arc_eval_db.bench.kafka import first_fetch
from arc_eval_db.bench.measured import Meeting, Span


class Member:
    """A consumer as far as it is looked at."""

    def __init__(self, group: str | None, assigned: int, paused: int = 0) -> None:
        self._group_id = group
        self._assigned = assigned
        self._paused = paused
        self.sought: dict[int, int] = {}

    def assignment(self) -> set[int]:
        return set(range(self._assigned))

    def paused(self) -> set[int]:
        return set(range(self._paused))

    async def position(self, partition: int) -> int:
        return 100 + partition

    def seek(self, partition: int, offset: int) -> None:
        self.sought[partition] = offset


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The consumers that have got as far as asking for records."""
    asked: list[Any] = []

    async def getmany(self: Any, **_: Any) -> dict[str, str]:
        asked.append(self)
        return {"some": "records"}

    monkeypatch.setattr(aiokafka.AIOKafkaConsumer, "getmany", getmany)
    return asked


async def ask(member: Member) -> Any:
    return await aiokafka.AIOKafkaConsumer.getmany(member)


async def test_a_run_begins_when_the_group_is_complete(fetched: list[Any]) -> None:
    begun: list[str] = []
    with first_fetch(lambda: begun.append("now"), share=6):
        outside = Member(None, 0)
        assert await ask(outside) == {"some": "records"}
        for waiting in (Member("group", 0), Member("group", 12), Member("group", 6, paused=6)):
            assert await ask(waiting) == {}
        assert (fetched, begun) == ([outside], [])
        ready = Member("group", 6)
        for _ in range(2):
            assert await ask(ready) == {"some": "records"}
        # A rebalance in the middle is a part of what is measured.
        assert await ask(Member("group", 12)) == {"some": "records"}
    assert begun == ["now"]
    assert len(fetched) == 4
    assert ready.sought == {partition: 100 + partition for partition in range(6)}, "what was fetched ahead is forgotten"


async def test_a_run_does_not_begin_before_the_partitions_have_settled(fetched: list[Any]) -> None:
    begun: list[str] = []
    with first_fetch(lambda: begun.append("now"), share=6, settle_s=3600):
        assert await ask(Member("group", 6)) == {}
    with first_fetch(lambda: begun.append("now"), share=6, settle_s=0.01):
        assert await ask(Member("group", 6)) == {}
        assert await ask(Member("group", 6)) == {"some": "records"}
    assert (begun, len(fetched)) == (["now"], 1)


async def test_processes_begin_together(fetched: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meetings = []
    for pid in (1, 2):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        meetings.append(Meeting(tmp_path, members=2))
    one, other = meetings
    assert not one.all_ready(False)
    assert not one.all_ready(True)
    assert not other.all_ready(False)
    assert other.all_ready(True)
    assert not one.all_ready(False)
    assert not other.all_ready(True)
    assert one.all_ready(True)
    begun: list[str] = []
    with first_fetch(lambda: begun.append("now"), share=6, meet=other.all_ready):
        assert await ask(Member("group", 12)) == {}
        assert not one.all_ready(True)
        assert await ask(Member("group", 6)) == {"some": "records"}
    assert (begun, len(fetched)) == (["now"], 1)


def test_a_span_without_a_beginning_has_no_figures() -> None:
    span = Span()
    with pytest.raises(RuntimeError, match="no beginning"):
        span.figures()
    span.begin()
    span.mark()
    figures = span.figures()
    assert figures["ended"] >= figures["began"]
    assert figures["memory_mb"] > 10
