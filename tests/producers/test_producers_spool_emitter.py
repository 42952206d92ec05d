"""The emitter with a spool: nothing emitted is lost while the broker is away, and the disk never stops the sending."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers import EventEmitter, collector, sender, spool, spool_segments
from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.settings import EmitterSettings, ProducerSettings
from arc_eval_db.producers.spool import Room
from arc_eval_db.producers.spool_push import list_segments
from arc_eval_db.producers.spool_segments import Segment
from arc_eval_db.producers.transports import TransportError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.ids import ExecutionId, new_execution_id
from arc_eval_db.schemas.topics import FAILURE_RECORDED, TOOL_USED
from support.conditions import eventually
from support.fake_transport import FakeTransport, Place

CONTEXT = {
    "configuration_version_id": str(ids.configuration_version_id({})),
    "scenario_id": str(ids.scenario_id("s")),
}
MIB = 1024 * 1024
AWAY = TransportError("the broker is away")


@pytest.fixture
def transport() -> Iterator[FakeTransport]:
    fake = FakeTransport()
    yield fake
    fake.release()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_BACKOFF_S_MIN", 0.001)
    monkeypatch.setattr(sender, "_BACKOFF_S_MAX", 0.01)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten records a batch, of which two wait in memory; four batches or so a segment."""
    monkeypatch.setattr(sender, "_BATCH_RECORDS_MAX", 10)
    monkeypatch.setattr(collector, "_BATCHES_IN_MEMORY_MAX", 2)
    monkeypatch.setattr(spool, "_SEGMENT_BYTES_MAX", 20_000)


def opened(transport: FakeTransport, directory: Path, **values: Any) -> EventEmitter:
    settings = ProducerSettings.from_environment({}, hostname="h", pid=7)
    return EventEmitter(
        transport=transport, settings=replace(settings, emitter=EmitterSettings(spool_dir=directory, **values))
    )


def emit(emitter: EventEmitter, count: int, event_type: str = TOOL_USED, filling: str = "") -> list[str]:
    """Emit so many events of one execution; the ids of those that were taken."""
    execution_id = new_execution_id()
    return [item for item in (_emit(emitter, execution_id, event_type, filling) for _ in range(count)) if item]


def _emit(emitter: EventEmitter, execution_id: ExecutionId, event_type: str, filling: str) -> str | None:
    data = {"tool": "t", "success": True} if event_type == TOOL_USED else {"kind": "k", "message": "m"}
    details = {"arguments" if event_type == TOOL_USED else "details": {str(n): filling[:30_000] for n in range(4)}}
    return emitter.emit_text(event_type, execution_id, {**CONTEXT, **data, **(details if filling else {})})


def ids_of(records: list[OutgoingRecord]) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in records]


def in_spool(directory: Path) -> list[str]:
    return [item for state in list_segments(directory) for item in ids_of(state.content.records)]


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def test_nothing_is_left_when_everything_was_delivered(transport: FakeTransport, directory: Path) -> None:
    emitter = opened(transport, directory)
    sent = emit(emitter, 3000)
    assert emitter.flush(timeout=30).complete
    delivery = emitter.close(timeout=30)
    assert (delivery.sent, delivery.spooled, delivery.complete) == (3000, 0, True)
    assert ids_of(transport.records) == sent
    assert list(directory.iterdir()) == []


def test_no_file_before_the_first_event(transport: FakeTransport, directory: Path) -> None:
    with opened(transport, directory):
        pass
    assert not directory.exists()


def test_events_are_on_the_disk_before_they_are_sent(transport: FakeTransport, directory: Path) -> None:
    early: list[str] = []

    def look(record: OutgoingRecord) -> bool:
        early.extend(set(ids_of([record])) - set(in_spool(directory)))
        return False

    transport.refuses = look
    with opened(transport, directory) as emitter:
        emit(emitter, 40)
        emitter.flush(timeout=30)
    assert len(transport.records) == 40
    assert early == []


@pytest.mark.parametrize("way", ["hangs_in", "blocks_in"])
@pytest.mark.parametrize("place", ["open", "send"])
def test_what_is_not_delivered_in_time_is_in_the_spool(
    way: str, place: Place, transport: FakeTransport, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(transport, way).add(place)
    emitter = opened(transport, directory)
    emitted = emit(emitter, 10)
    assert transport.reached.wait(30)
    started = time.monotonic()
    delivery = emitter.close(timeout=1)
    assert time.monotonic() - started < 2.5
    assert (delivery.spooled, delivery.pending, delivery.dropped, delivery.complete) == (10, 0, {}, False)
    assert in_spool(directory) == emitted
    assert said(caplog, "spool") == [
        f"10 events are left in the spool {directory}; arc-eval-db spool push {directory} sends them"
    ]
    assert not said(caplog, "lost")


def test_what_is_emitted_last_is_in_the_spool_too(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the queue still holds when the waiting is over is appended before the thread ends."""
    transport.hangs_in.add("open")
    emitter = opened(transport, directory)
    emitted = emit(emitter, 8000)
    monkeypatch.setattr(emitter._outbox, "wait_settled", lambda timeout: False)
    delivery = emitter.close(timeout=60)
    assert (delivery.spooled, delivery.dropped) == (8000, {})
    assert in_spool(directory) == emitted


def test_without_a_spool_the_warning_names_the_variable(
    transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.hangs_in.add("send")
    emitter = EventEmitter(transport=transport)
    emit(emitter, 3)
    emitter.close(timeout=0.1)
    (message,) = said(caplog, "could not be delivered and are lost")
    assert "ARC_EVAL_SPOOL_DIR" in message


@pytest.mark.usefixtures("small_batches")
async def test_memory_stays_bounded_and_what_left_it_is_sent_later(transport: FakeTransport, directory: Path) -> None:
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory, queue_records_max=50)
    emitted: list[str] = []
    for count in range(20, 1001, 20):
        emitted += emit(emitter, 20)
        await eventually(lambda count=count: emitter.flush(0).spooled == count, "the spool has them")
    outbox = emitter._outbox
    assert sum(len(batch.records or ()) for batch in outbox._taken) <= 3 * 10
    assert len(outbox._taken) < 60, "what was evicted together is remembered together"
    assert (outbox.waiting, outbox.dropped, outbox.pending) == (0, {}, 0)
    assert len(list(directory.iterdir())) > 5
    transport.errors["send"].clear()
    delivery = emitter.flush(timeout=60)
    assert (delivery.sent, delivery.spooled, delivery.complete) == (1000, 0, True)
    assert ids_of(transport.records) == emitted
    emitter.close(timeout=30)
    assert list(directory.iterdir()) == []


@pytest.mark.usefixtures("small_batches")
async def test_segments_are_deleted_while_the_process_goes_on(transport: FakeTransport, directory: Path) -> None:
    with opened(transport, directory) as emitter:
        for _ in range(30):
            emit(emitter, 20)
            assert emitter.flush(timeout=30).complete
        await eventually(lambda: len(list(directory.iterdir())) == 1, "one is left: the one that is written to")


@pytest.mark.usefixtures("small_batches")
async def test_what_cannot_be_read_back_stays_for_people(
    transport: FakeTransport, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory)
    emit(emitter, 200)
    await eventually(lambda: emitter.flush(0).spooled == 200, "the spool has them")
    damaged = max(directory.iterdir())
    damaged.write_bytes(b"#" + damaged.read_bytes()[1:])
    transport.errors["send"].clear()
    await eventually(lambda: len(said(caplog, "could not be read back")) == 1, "it is said")
    delivery = emitter.flush(timeout=30)
    assert 0 < delivery.spooled < 200
    assert delivery.sent == 200 - delivery.spooled
    assert emitter.close(timeout=30) == delivery
    assert [path.name for path in directory.iterdir()] == [damaged.name]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("way", ["fails", "hangs"])
async def test_what_the_disk_does_not_give_back_at_once_is_sent_later(
    way: str,
    transport: FakeTransport,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(spool, "_BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(spool, "_READ_TIMEOUT_S", 0.05)
    answered = threading.Event()
    read, asked = Segment.read, 0

    def read_later(self: Segment, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1 and way == "fails":
            raise OSError(errno.EIO, "Input/output error")
        if asked == 1:
            answered.wait(60)
        return read(self, *arguments)

    monkeypatch.setattr(Segment, "read", read_later)
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory)
    emitted = emit(emitter, 200)
    await eventually(lambda: emitter.flush(0).spooled == 200, "the spool has them")
    transport.errors["send"].clear()
    await eventually(lambda: len(said(caplog, "cannot be read back for now")) == 1, "it is said once")
    answered.set()
    delivery = emitter.flush(timeout=30)
    assert (delivery.sent, delivery.spooled, delivery.complete) == (200, 0, True)
    assert sorted(ids_of(transport.records)) == sorted(emitted)
    emitter.close(timeout=30)
    assert list(directory.iterdir()) == []


@pytest.mark.usefixtures("small_batches")
async def test_a_file_that_is_never_given_back_holds_up_no_other(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(spool, "_BACKOFF_S_MAX", 0.02)
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory)
    emitted = emit(emitter, 200)
    await eventually(lambda: emitter.flush(0).spooled == 200, "the spool has them")
    bad = min(directory.iterdir())
    read = Segment.read

    def read_or_fail(self: Segment, *arguments: Any) -> Any:
        if self.path == bad:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, *arguments)

    monkeypatch.setattr(Segment, "read", read_or_fail)
    transport.errors["send"].clear()
    emitted += emit(emitter, 20)
    # Its own file, and the one that the emitter writes to.
    await eventually(lambda: len(list(directory.iterdir())) <= 2, "others are sent")
    left = in_spool(directory)
    delivery = emitter.close(timeout=0.5)
    assert 0 < delivery.spooled < 100
    assert (delivery.sent, delivery.dropped) == (220 - delivery.spooled, {})
    assert set(ids_of(transport.records)) | set(left) == set(emitted)


async def test_the_last_eighth_is_for_lifecycle_events(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "_BATCHES_IN_MEMORY_MAX", 1)
    monkeypatch.setattr(collector, "_LOOK_AGAIN_S", 0.01)
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory, spool_bytes_max=8 * MIB, queue_records_max=20)

    async def fill(event_type: str, room: Room) -> list[str]:
        """One by one, so that it is the spool that is full and not the queue, while it takes this type."""
        emitted: list[str] = []
        while not emitter._sender or emitter._sender._spool._room() is room:
            emitted.extend(emit(emitter, 1, event_type, filling="x" * 30_000))
            await eventually(lambda: emitter.flush(0).spooled == before + len(emitted), "it is in the spool")
        return emitted

    before = 0
    tools = await fill(TOOL_USED, Room.ALL)
    assert size_of(directory) <= 7 * MIB
    assert len(emit(emitter, 400)) < 400, "of these none is written, and few find room in memory"
    before = len(tools)
    failures = await fill(FAILURE_RECORDED, Room.LIFECYCLE)
    assert len(failures) >= 5
    emit(emitter, 10, FAILURE_RECORDED, filling="x" * 30_000)
    delivery = emitter.close(timeout=0.5)
    assert in_spool(directory) == tools + failures
    assert size_of(directory) <= 8 * MIB
    assert delivery.spooled == len(tools) + len(failures)
    assert delivery.dropped["queue_full"] >= 380


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def blocked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that never answers, until the event is set."""
    answered = threading.Event()
    monkeypatch.setattr(spool_segments, "_synchronise", lambda descriptor: answered.wait(60))
    monkeypatch.setattr(spool, "_WRITE_TIMEOUT_S", 0.1)
    return answered


async def test_a_dead_disk_does_not_stop_the_sending(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answered = blocked(monkeypatch)
    try:
        emitter = opened(transport, directory)
        for _ in range(5):
            emit(emitter, 20)
            assert emitter.flush(timeout=30).complete
        assert len(said(caplog, "without the spool")) == 1
        answered.set()
        await eventually(lambda: list(directory.iterdir()) == [], "what was written too late is taken away")
        started = time.monotonic()
        assert emitter.close(timeout=2).sent == 100
        assert time.monotonic() - started < 3
    finally:
        answered.set()


def test_a_dead_disk_and_a_dead_broker_do_not_hold_up_the_end(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = blocked(monkeypatch)
    monkeypatch.setattr(spool, "_WRITE_TIMEOUT_S", 30)
    transport.hangs_in.add("send")
    try:
        emitter = opened(transport, directory)
        emit(emitter, 20)
        started = time.monotonic()
        delivery = emitter.close(timeout=0.5)
        assert time.monotonic() - started < 2
        assert (delivery.spooled, delivery.dropped) == (0, {"undelivered": 20})
    finally:
        answered.set()


async def test_a_disk_that_hangs_at_the_last_append_does_not_keep_the_thread(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = blocked(monkeypatch)
    monkeypatch.setattr(spool, "_WRITE_TIMEOUT_S", 30)
    try:
        emitter = opened(transport, directory)
        emit(emitter, 20)
        await eventually(lambda: any(path.stat().st_size for path in directory.glob("*")), "it is being appended")
        assert emitter._sender is not None
        assert emitter._sender.stop(4)
        assert emitter.close(timeout=0).dropped == {"undelivered": 20}
    finally:
        answered.set()


def failing_appends(monkeypatch: pytest.MonkeyPatch, fails: Callable[[], bool]) -> None:
    append = Segment.append

    def append_or_fail(self: Segment, lines: bytes) -> Any:
        if fails():
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, lines)

    monkeypatch.setattr(Segment, "append", append_or_fail)


async def test_a_full_disk_does_not_stop_the_sending_and_is_tried_again(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool, "_BACKOFF_S_MIN", 0.01)
    full = True
    failing_appends(monkeypatch, lambda: full)
    with opened(transport, directory) as emitter:
        for _ in range(10):
            emit(emitter, 20)
            assert emitter.flush(timeout=30).complete
        assert said(caplog, "without the spool") == [
            f"events go without the spool {directory} for now: No space left on device"
        ]
        full = False
        transport.fail("send", *[AWAY] * 1_000_000)
        emitted = emit(emitter, 20)

        def works_again() -> bool:
            emitted.extend(emit(emitter, 1))  # with it, what only memory has is written too
            return emitter.flush(0.05).spooled == len(emitted)

        await eventually(works_again, "the spool works again")
        transport.errors["send"].clear()
        assert emitter.flush(timeout=30).complete
    assert list(directory.iterdir()) == []


async def test_what_only_memory_had_is_spooled_when_the_disk_works_again(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(spool, "_BACKOFF_S_MAX", 0.02)
    monkeypatch.setattr(sender, "_BATCH_RECORDS_MAX", 10)
    full = True
    failing_appends(monkeypatch, lambda: full)
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory)
    emitted = emit(emitter, 300)
    await eventually(lambda: emitter._outbox.waiting < 290, "a first batch was not written, and a second is taken")
    assert emitter.flush(0).spooled == 0
    full = False
    await eventually(lambda: emitter.flush(0).spooled == 300, "all are in the spool")
    assert emitter.close(timeout=0.2).spooled == 300
    assert sorted(in_spool(directory)) == sorted(emitted)


async def test_a_disk_that_fails_for_long_does_not_fill_the_memory(
    transport: FakeTransport, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_BACKOFF_S_MIN", 0.001)
    monkeypatch.setattr(spool, "_BACKOFF_S_MAX", 0.001)
    monkeypatch.setattr(sender, "_BATCH_RECORDS_MAX", 10)
    monkeypatch.setattr(collector, "_LOOK_AGAIN_S", 0.001)
    attempts = 0

    def fails() -> bool:
        nonlocal attempts
        attempts += 1
        return True

    failing_appends(monkeypatch, fails)
    transport.fail("send", *[AWAY] * 1_000_000)
    emitter = opened(transport, directory, queue_records_max=100)
    emit(emitter, 1000)
    await eventually(lambda: attempts > 60, "it is tried again and again")
    assert sum(len(batch.records or ()) for batch in emitter._outbox._taken) <= 10 * (8 + 1)
    emitter.close(timeout=0.2)


@pytest.mark.parametrize("error", [AttributeError("a client's bug"), SettingsError("wrong CA file")])
def test_when_nothing_can_be_sent_the_spool_takes_it(
    error: Exception, transport: FakeTransport, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport.fail("open", *[error] * 10)
    emitter = opened(transport, directory)
    emitted = emit(emitter, 5)
    started = time.monotonic()
    assert emitter.flush(timeout=30).spooled == 5
    emitted += emit(emitter, 6000)
    assert emitter.close(timeout=30).spooled == 6005
    assert time.monotonic() - started < 15
    assert in_spool(directory) == emitted
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_a_directory_that_cannot_be_made(
    transport: FakeTransport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with opened(transport, tmp_path / "file" / "spool") as emitter:
        emit(emitter, 5)
        assert emitter.flush(timeout=30).complete
    assert len(said(caplog, "without the spool")) == 1


def test_refused_records_leave_the_spool(transport: FakeTransport, directory: Path) -> None:
    transport.refuses = lambda record: True
    emitter = opened(transport, directory)
    emit(emitter, 5)
    delivery = emitter.close(timeout=30)
    assert (delivery.spooled, delivery.dropped) == (0, {"refused_by_broker": 5})
    assert list(directory.iterdir()) == []
