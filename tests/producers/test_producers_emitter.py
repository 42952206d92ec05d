"""The emitter and its thread, over a transport that misbehaves in every way."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers import EventEmitter, MemoryTransport, emitter, execution, sender
from arc_eval_db.producers.bridge import in_daemon_thread
from arc_eval_db.producers.event_ids import EventIdSource
from arc_eval_db.producers.transports import TransportError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.ids import ExecutionId, new_execution_id
from arc_eval_db.schemas.topics import COMPLETED, PROGRESSED, TOOL_USED
from support.conditions import eventually
from support.fake_transport import FakeTransport, Place

CONTEXT = {
    "configuration_version_id": str(ids.configuration_version_id({})),
    "scenario_id": str(ids.scenario_id("s")),
}


@pytest.fixture
def transport() -> Iterator[FakeTransport]:
    fake = FakeTransport()
    yield fake
    fake.release()


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_BACKOFF_S_MIN", 0.001)
    monkeypatch.setattr(sender, "_BACKOFF_S_MAX", 0.01)


def emit(emitter: EventEmitter, number: int, execution_id: ExecutionId) -> ids.EventId | None:
    return emitter.emit(TOOL_USED, execution_id, {**CONTEXT, "tool": f"t{number}", "success": True})


def emit_many(emitter: EventEmitter, count: int) -> list[ids.EventId | None]:
    execution_id = new_execution_id()
    return [emit(emitter, number, execution_id) for number in range(count)]


def delivered(transport: FakeTransport) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in transport.records]


def warnings(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def test_nothing_is_connected_before_the_first_event(transport: FakeTransport) -> None:
    threads = set(threading.enumerate())
    with EventEmitter(transport=transport):
        assert set(threading.enumerate()) == threads
    assert transport.calls == []


def test_events_are_delivered_in_order(transport: FakeTransport) -> None:
    with EventEmitter(transport=transport) as emitter:
        sent = emit_many(emitter, 2000)
        delivery = emitter.flush(timeout=30)
        assert (delivery.sent, delivery.complete) == (2000, True)
    assert delivered(transport) == [str(event_id) for event_id in sent]
    assert transport.calls[0] == "open"
    assert transport.calls[-1] == "close"


def test_the_thread_is_woken_for_a_batch_and_not_for_each_event(transport: FakeTransport) -> None:
    with EventEmitter(transport=transport) as emitter:
        for _ in range(1000):
            emit_many(emitter, 1)
        emitter.flush(timeout=30)
    assert len(transport.attempts) < 300


@pytest.mark.parametrize("place", ["open", "send"])
def test_what_fails_is_sent_again_in_order(place: Place, transport: FakeTransport) -> None:
    transport.fail(place, *[TransportError("away")] * 5)
    with EventEmitter(transport=transport) as emitter:
        sent = emit_many(emitter, 1200)
        assert emitter.flush(timeout=30).complete
    assert delivered(transport) == [str(event_id) for event_id in sent]
    # Each failure is followed by a fresh connection.
    assert transport.calls.count("open") == 6
    assert transport.calls.count("close") == 6


def test_a_batch_that_failed_is_sent_before_anything_newer(transport: FakeTransport) -> None:
    transport.fail("send", TransportError("away"), TransportError("away"))
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 3)
        emitter.flush(timeout=30)
    first, second, third = transport.attempts[:3]
    assert first == second == third


def test_an_outage_is_logged_once(transport: FakeTransport, caplog: pytest.LogCaptureFixture) -> None:
    transport.fail("send", *[TransportError("the broker is away")] * 20)
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 1)
        emitter.flush(timeout=30)
        transport.fail("send", TransportError("the broker is away"))
        emit_many(emitter, 1)
        emitter.flush(timeout=30)
    logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in logged] == ["the broker is away; trying again until it works"] * 2


def test_an_error_in_closing_does_not_stop_the_sending(transport: FakeTransport) -> None:
    transport.fail("send", TransportError("away"))
    transport.fail("close", OSError("already gone"))
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 3)
        assert emitter.flush(timeout=30).complete


def test_a_close_that_hangs_does_not_stop_the_sending(
    transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_TRANSPORT_CLOSE_S_MAX", 0.01)
    transport.fail("send", TransportError("away"))
    transport.hangs_in.add("close")
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 3)
        assert emitter.flush(timeout=30).complete


def test_refused_records_are_counted_and_not_sent_again(transport: FakeTransport) -> None:
    transport.refuses = lambda record: b'"t1"' in record.value
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 3)
        delivery = emitter.flush(timeout=30)
    assert (delivery.sent, delivery.pending, delivery.dropped) == (2, 0, {"refused_by_broker": 1})
    assert not delivery.complete
    assert len(transport.attempts) == 1


@pytest.mark.parametrize("way", ["hangs_in", "blocks_in"])
@pytest.mark.parametrize("place", ["open", "send", "close"])
def test_flush_and_close_keep_their_time(
    way: str, place: Place, transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(transport, way).add(place)
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 10)
    started = time.monotonic()
    assert emitter.flush(timeout=0.2).complete == (place == "close")
    assert time.monotonic() - started < 1.2
    started = time.monotonic()
    delivery = emitter.close(timeout=0.5)
    assert time.monotonic() - started < 1.5
    assert emitter.close() == delivery
    lost = {} if place == "close" else {"undelivered": 10}
    assert (delivery.pending, delivery.dropped) == (0, lost)
    assert len(warnings(caplog, "could not be delivered and are lost")) == len(lost)


def test_what_a_lost_thread_delivers_after_all_is_not_counted_twice(transport: FakeTransport) -> None:
    transport.blocks_in.add("send")
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 3)
    assert transport.reached.wait(30)
    emit_many(emitter, 2)
    assert emitter.close(timeout=0.1).dropped == {"undelivered": 5}
    thread = next(thread for thread in threading.enumerate() if thread.name == "arc-eval-sender")
    transport.release()
    thread.join(30)
    assert emitter.close() == emitter.flush(timeout=0)
    assert (emitter.flush(timeout=0).sent, emitter.flush(timeout=0).dropped) == (0, {"undelivered": 5})


def test_an_error_nobody_expected_is_tried_again(transport: FakeTransport, caplog: pytest.LogCaptureFixture) -> None:
    transport.fail("send", AttributeError("a client's bug"), TransportError("away"), ValueError("another"))
    with EventEmitter(transport=transport) as emitter:
        emit_many(emitter, 5)
        assert emitter.flush(timeout=30).complete
    assert len(warnings(caplog, "a client's bug")) == 1


@pytest.mark.parametrize("error", [AttributeError("a client's bug"), SettingsError("wrong CA file")])
def test_a_sender_that_gave_up_is_not_waited_for(
    error: Exception, transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.fail("send", *[error] * 10)
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 5)
    assert emitter.flush(timeout=30).dropped == {"undelivered": 5}
    assert emit_many(emitter, 1) == [None]
    started = time.monotonic()
    assert emitter.flush(timeout=30).pending == 0
    assert emitter.close(timeout=30).dropped == {"undelivered": 6}
    assert time.monotonic() - started < 5
    assert len(warnings(caplog, "could not be delivered and are lost")) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_close_twice_and_emit_after_it(transport: FakeTransport) -> None:
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 3)
    first = emitter.close(timeout=30)
    assert (first.sent, first.complete) == (3, True)
    assert emit_many(emitter, 1) == [None]
    assert emitter.close(timeout=30) == first
    assert not any(thread.name == "arc-eval-sender" for thread in threading.enumerate())


def test_an_event_that_comes_while_closing_is_counted(transport: FakeTransport) -> None:
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 1)
    emitter._outbox.close()
    assert emit_many(emitter, 1) == [None]
    delivery = emitter.close(timeout=1)
    assert (delivery.pending, delivery.sent + sum(delivery.dropped.values())) == (0, 2)


def test_an_interrupt_from_the_keyboard_while_closing(
    transport: FakeTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport.hangs_in.add("send")
    emitter = EventEmitter(transport=transport)
    emit_many(emitter, 4)

    def interrupted(timeout: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(emitter._outbox, "wait_settled", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        emitter.close(timeout=20)
    assert time.monotonic() - started < 10
    assert emitter.close().dropped == {"undelivered": 4}
    assert len(warnings(caplog, "4 events could not be delivered")) == 1
    assert not any(thread.name == "arc-eval-sender" for thread in threading.enumerate())


def test_no_thread_can_be_started(
    transport: FakeTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more_threads(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    emitter = EventEmitter(transport=transport)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        emit_many(emitter, 3)
        assert len(warnings(caplog, "can't start new thread")) == 1
    emit_many(emitter, 1)
    assert emitter.close(timeout=30).sent == 4


def test_an_event_whose_data_is_no_object_is_counted(
    transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: Any = object()
    with EventEmitter(transport=transport) as emitter:
        assert emitter.emit(PROGRESSED, new_execution_id(), wrong) is None
        assert emitter.emit(COMPLETED, new_execution_id(), wrong) is None
        assert emitter.flush(timeout=1).dropped == {"not_serializable": 2}


def test_an_event_that_cannot_be_made_to_fit_is_counted_for_its_execution(memory: MemoryTransport) -> None:
    with EventEmitter(transport=memory) as emitter, execution("s", {}, emitter=emitter) as run:
        huge = {f"text{number}": "x" * 32_000 for number in range(40)}
        assert emitter.emit(TOOL_USED, run.execution_id, huge) is None
    last = memory.events()[-1]
    assert last.model_dump()["data"]["dropped"] == {"too_large": 1}


def test_sequences_of_executions_in_use_are_kept(memory: MemoryTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitter, "_STREAMS_KEPT_MAX", 3)
    used = new_execution_id()
    with EventEmitter(transport=memory) as opened:
        for number in range(10):
            emit(opened, number, used)
            emit(opened, number, new_execution_id())
        assert len(opened._streams) <= 3
    ours = [event.sequence for event in memory.events() if event.subject == used]
    assert ours == [f"{number:010d}" for number in range(1, 11)]


def test_event_ids_are_sorted_version_7_and_unlike(memory: MemoryTransport) -> None:
    source = EventIdSource()
    made = [source.next() for _ in range(5000)]
    assert len(set(made)) == len(made)
    assert [item[:18] for item in made] == sorted(item[:18] for item in made)
    parsed = [UUID(item) for item in made]
    assert {(item.version, item.variant) for item in parsed} == {(7, RFC_4122)}
    assert abs((parsed[0].int >> 80) / 1000 - time.time()) < 60


def test_an_agent_that_seeds_random_gets_its_own_numbers_and_not_our_ids() -> None:
    import random

    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)
    first = EventIdSource().next()
    random.seed(7)
    second = EventIdSource().next()
    assert first[19:] != second[19:]
    assert [random.random() for _ in range(3)] == expected


async def test_coroutines_do_not_stop_the_loop_while_they_wait(transport: FakeTransport) -> None:
    transport.hangs_in.add("send")
    opened = EventEmitter(transport=transport)
    emit_many(opened, 3)
    closing = asyncio.create_task(opened.close_async(timeout=0.3))
    ticks = 0
    while not closing.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 3
    assert (await closing).dropped == {"undelivered": 3}


async def test_closing_does_not_queue_behind_the_agents_own_calls(transport: FakeTransport) -> None:
    """`asyncio.to_thread` has a limited number of threads, and an agent's tools may occupy them all."""
    release = threading.Event()
    busy = [asyncio.create_task(asyncio.to_thread(release.wait, 60)) for _ in range(64)]
    try:
        async with asyncio.timeout(20):
            async with EventEmitter(transport=transport) as opened:
                emit_many(opened, 3)
                assert (await opened.flush_async(timeout=10)).complete
    finally:
        release.set()
        await asyncio.gather(*busy)
    assert len(transport.records) == 3


async def test_a_cancelled_wait_leaves_the_closing_to_its_thread(transport: FakeTransport) -> None:
    transport.blocks_in.add("send")
    opened = EventEmitter(transport=transport)
    emit_many(opened, 3)
    closing = asyncio.create_task(opened.close_async(timeout=20))
    await eventually(lambda: opened._closed, "the closing has begun")
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    transport.release()
    await eventually(lambda: len(transport.records) == 3, "the events arrive")
    await eventually(
        lambda: not any(thread.name.startswith("arc-eval") for thread in threading.enumerate()), "the threads end"
    )


async def test_an_error_in_the_bridge_reaches_the_coroutine() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0)


async def test_without_threads_the_bridge_calls_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_threads(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more_threads)
    assert await in_daemon_thread(lambda: 7) == 7
