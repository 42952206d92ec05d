"""What dead processes left is sent, and deleted only when it was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from arc_eval_db.producers import MemoryTransport, execution, spool_push
from arc_eval_db.producers.emitter import EventEmitter
from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.spool_format import to_lines
from arc_eval_db.producers.spool_push import claim, list_segments, push
from arc_eval_db.producers.spool_segments import Segment
from arc_eval_db.producers.transports import TransportError
from support.conditions import eventually
from support.fake_transport import FakeTransport


@pytest.fixture
def transport() -> Iterator[FakeTransport]:
    fake = FakeTransport()
    yield fake
    fake.release()


def records(count: int) -> list[OutgoingRecord]:
    memory = MemoryTransport()
    with EventEmitter(transport=memory) as emitter, execution("s", {}, emitter=emitter) as run:
        for _ in range(count - 2):
            run.tool_used("t", success=True)
    return memory.records


def dead_segment(directory: Path, content: list[OutgoingRecord], tail: bytes = b"") -> Path:
    """As a process that was killed leaves it."""
    segment = Segment(directory)
    segment.append(to_lines(content) + tail)
    segment.close()
    return segment.path


async def test_segments_are_sent_in_order_and_deleted(tmp_path: Path, transport: FakeTransport) -> None:
    first, second = records(1300), records(5)
    dead_segment(tmp_path, first)
    dead_segment(tmp_path, second)
    report = await push(tmp_path, transport)
    assert transport.records == first + second
    assert max(map(len, transport.attempts)) == 500
    assert (report.segments, report.events, report.set_aside) == (2, 1305, [])
    assert list(tmp_path.iterdir()) == []
    again = await push(tmp_path, transport)
    assert (again.segments, again.events) == (0, 0)
    assert transport.calls.count("open") == 1


async def test_a_living_process_keeps_its_segments(tmp_path: Path, transport: FakeTransport) -> None:
    living = Segment(tmp_path)
    living.append(to_lines(records(3)))
    dead_segment(tmp_path, records(4))
    report = await push(tmp_path, transport)
    assert (report.segments, report.events, report.in_use) == (1, 4, 1)
    assert list(tmp_path.iterdir()) == [living.path]
    living.close()
    assert (await push(tmp_path, transport)).events == 3


@pytest.mark.parametrize("place", ["open", "send"])
async def test_nothing_is_deleted_before_it_is_acknowledged(place: str, tmp_path: Path) -> None:
    transport = FakeTransport()
    dead_segment(tmp_path, records(600))
    dead_segment(tmp_path, records(600))
    if place == "open":
        transport.fail("open", TransportError("cannot reach Kafka"))
        said, left = "nothing was sent", 2
    else:

        class Third(FakeTransport):
            async def send(self, batch: object) -> list[int]:
                self.calls.append("send")
                if self.calls.count("send") == 4:
                    raise TransportError("cannot reach Kafka")
                return []

        transport, said, left = Third(), "1 segments were sent", 1
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TransportError, match=f"cannot reach Kafka; {said}, and what was not is still in"):
        await push(tmp_path, transport)
    after = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(after) == left
    assert after.items() <= before.items()
    assert transport.calls[-1] == "close"


async def test_an_interrupted_push_deletes_nothing(tmp_path: Path, transport: FakeTransport) -> None:
    path = dead_segment(tmp_path, records(3))
    transport.hangs_in.add("send")
    pushing = asyncio.create_task(push(tmp_path, transport))
    await eventually(transport.reached.is_set, "it is being sent")
    pushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    assert path.exists()
    assert transport.calls[-1] == "close"
    assert (await push(tmp_path, FakeTransport())).events == 3


async def test_two_at_the_same_time_send_each_segment_once(tmp_path: Path, transport: FakeTransport) -> None:
    content = records(3)
    dead_segment(tmp_path, content)
    transport.hangs_in.add("send")
    pushing = asyncio.create_task(push(tmp_path, transport))
    await eventually(transport.reached.is_set, "the first has the segment")
    other = FakeTransport()
    report = await push(tmp_path, other)
    assert (report.segments, report.in_use, other.records) == (0, 1, [])
    pushing.cancel()


def test_what_another_push_has_taken_away_meanwhile_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted, renamed = dead_segment(tmp_path, records(3)), dead_segment(tmp_path, records(3))

    def lock_after_the_other(descriptor: int) -> bool:
        deleted.unlink(missing_ok=True)
        if renamed.exists():
            renamed.rename(tmp_path / "renamed")
        return True

    monkeypatch.setattr(spool_push, "lock", lock_after_the_other)
    for path in (deleted, renamed, tmp_path / "missing.spool"):
        with claim(path) as segment:
            assert segment is None


async def test_a_file_that_grows_is_left_alone(tmp_path: Path) -> None:
    """Where the file system knows locks and a writer does not keep to them."""
    path = dead_segment(tmp_path, records(3))

    class Growing(FakeTransport):
        async def send(self, batch: object) -> list[int]:
            with path.open("ab") as file:
                file.write(to_lines(records(2)))
            return []

    report = await push(tmp_path, Growing())
    assert (report.segments, report.in_use) == (0, 1)
    assert path.exists()


async def test_a_torn_last_line_is_reported(tmp_path: Path, transport: FakeTransport) -> None:
    content = records(5)
    dead_segment(tmp_path, content[:4], tail=to_lines(content[4:])[:-10])
    report = await push(tmp_path, transport)
    assert (report.events, report.torn_lines, report.damaged_lines) == (4, 1, 0)
    assert transport.records == content[:4]
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_segment_is_sent_as_far_as_it_can_be_read_and_kept(
    tmp_path: Path, transport: FakeTransport
) -> None:
    content = records(5)
    path = dead_segment(tmp_path, content)
    text = bytearray(path.read_bytes())
    text[len(to_lines(content[:2])) + 30] ^= 1
    path.write_bytes(text)
    report = await push(tmp_path, transport)
    assert transport.records == content[:2] + content[3:]
    kept = path.with_name(path.name + ".damaged")
    assert (report.events, report.damaged_lines, report.set_aside) == (4, 1, [kept])
    assert kept.read_bytes() == text
    assert list(tmp_path.iterdir()) == [kept]
    assert (await push(tmp_path, transport)).segments == 0


async def test_refused_events_are_kept_for_people(tmp_path: Path, transport: FakeTransport) -> None:
    path = dead_segment(tmp_path, records(3))
    transport.refuses = lambda record: b"tool" in record.value
    report = await push(tmp_path, transport)
    assert (report.events, report.refused) == (2, 1)
    assert list(tmp_path.iterdir()) == report.set_aside == [path.with_name(path.name + ".damaged")]


def test_listing_does_not_change_anything(tmp_path: Path) -> None:
    living = Segment(tmp_path)
    living.append(to_lines(records(3)))
    dead_segment(tmp_path, records(2), tail=b"torn")
    states = list_segments(tmp_path)
    assert [(state.in_use, len(state.content.records), state.content.has_torn_tail) for state in states] == [
        (True, 3, False),
        (False, 2, True),
    ]
    assert list_segments(tmp_path) == states
    living.close()
