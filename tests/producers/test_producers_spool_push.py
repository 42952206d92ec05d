"""What dead processes left is sent, and deleted only when it was acknowledged."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


async def test_directories_below_are_pushed_too(tmp_path: Path, transport: FakeTransport) -> None:
    """One for each sandbox, and in the order of the segments' names."""
    first, second, third = records(3), records(4), records(5)
    dead_segment(tmp_path / "b" / "deeper", first)
    dead_segment(tmp_path / "a", second)
    dead_segment(tmp_path / "b.spool", third)
    assert [len(state.content.records) for state in list_segments(tmp_path)] == [3, 4, 5]
    report = await push(tmp_path, transport)
    assert (report.segments, report.events, report.unreadable) == (3, 12, {})
    assert transport.records == first + second + third
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


async def test_what_cannot_be_read_holds_up_no_other(
    tmp_path: Path, transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, loop, locked = dead_segment(tmp_path, records(2)), tmp_path / "0.spool", tmp_path / "locked"
    loop.symlink_to(loop)
    dead_segment(locked, records(2))
    dead_segment(tmp_path, records(3))
    # Tests may be run by somebody whom no mode stops.
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, locked))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir, locked))
    monkeypatch.setattr(os, "open", refusing(os.open, refused))
    expected = {loop: "Too many levels of symbolic links", refused: "Permission denied", locked: "Permission denied"}
    states = list_segments(tmp_path)
    assert {state.path: state.error for state in states if state.error} == expected
    report = await push(tmp_path, transport)
    assert (report.segments, report.events, report.unreadable) == (1, 3, expected)
    assert refused.exists()


async def test_what_cannot_be_deleted_is_reported(
    tmp_path: Path, transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = dead_segment(tmp_path, records(2))
    dead_segment(tmp_path, records(3))
    monkeypatch.setattr(Path, "unlink", refusing(Path.unlink, kept))
    report = await push(tmp_path, transport)
    assert (report.segments, report.unreadable) == (1, {kept: "Permission denied"})
    assert list(tmp_path.iterdir()) == [kept]


async def test_an_error_of_the_transport_is_not_the_segments(tmp_path: Path, transport: FakeTransport) -> None:
    path = dead_segment(tmp_path, records(2))
    transport.fail("send", ConnectionResetError("gone"))
    with pytest.raises(TransportError, match="gone; nothing was sent"):
        await push(tmp_path, transport)
    assert path.exists()


def refusing(call: Callable[..., Any], refused: Path) -> Callable[..., Any]:
    """The call, which may not be made for one path."""

    def call_or_refuse(path: Any, *arguments: Any, **named: Any) -> Any:
        if Path(path) == refused:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return call(path, *arguments, **named)

    return call_or_refuse


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
