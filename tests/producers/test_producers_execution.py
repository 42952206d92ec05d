"""`execution()`: every way into the block, through it and out of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from arc_eval_db.producers import Clock, EmitterSettings, EventEmitter, Execution, MemoryTransport, execution
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.schemas import CompletedEvent, ExecutionStatus, StartedEvent, ToolUsedEvent, ids
from arc_eval_db.schemas.ids import new_execution_id
from arc_eval_db.settings import KafkaSettings
from support.fake_transport import FakeTransport

CONFIGURATION = {"name": "careful", "model": "m1"}


class MadeUpTime:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
        self.seconds = 100.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.at, monotonic=lambda: self.seconds)

    def passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


def completed(memory: MemoryTransport) -> CompletedEvent:
    last = memory.events()[-1]
    assert isinstance(last, CompletedEvent)
    return last


def tool_uses(memory: MemoryTransport) -> list[ToolUsedEvent]:
    return [event for event in memory.events() if isinstance(event, ToolUsedEvent)]


def test_a_whole_run(memory: MemoryTransport) -> None:
    time = MadeUpTime()
    with (
        EventEmitter(transport=memory, clock=time.clock()) as emitter,
        execution("refund-flow", CONFIGURATION, "nightly", attempt=2, metadata={"who": "me"}, emitter=emitter) as run,
    ):
        time.passes(1)
        with run.tool("lookup_order", {"order_id": 7}) as call:
            time.passes(0.25)
            assert call.result("twelve bytes") == "twelve bytes"
        run.progress("asked", step=3, details={"n": 1})
        run.failure("policy_violation", "no approval", details={"rule": 4})
        time.passes(0.5)
        run.complete(success=True, score=0.82, cost_usd=0.013, input_tokens=1200, output_tokens=310)
    started, used, progressed, failed, ended = memory.events()
    assert [event.sequence for event in memory.events()] == [f"{number:010d}" for number in range(1, 6)]
    assert {event.subject for event in memory.events()} == {run.execution_id}
    assert isinstance(started, StartedEvent)
    assert started.time == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert (started.data.scenario, started.data.simulation, started.data.attempt) == ("refund-flow", "nightly", 2)
    assert (started.data.configuration, started.data.configuration_name) == (CONFIGURATION, "careful")
    assert started.data.metadata == {"who": "me"}
    assert isinstance(used, ToolUsedEvent)
    assert used.data.model_dump(exclude={"configuration_version_id", "scenario_id", "simulation_id"}) == {
        "tool": "lookup_order",
        "success": True,
        "duration_ms": 250.0,
        "error": None,
        "arguments": {"order_id": 7},
        "result_bytes": 12,
    }
    assert progressed.data.model_dump(include={"message", "step", "details"}) == {
        "message": "asked",
        "step": 3,
        "details": {"n": 1},
    }
    assert failed.data.model_dump(include={"kind", "message"}) == {"kind": "policy_violation", "message": "no approval"}
    assert isinstance(ended, CompletedEvent)
    assert ended.data.status is ExecutionStatus.SUCCEEDED
    assert (ended.data.score, ended.data.cost_usd, ended.data.duration_ms) == (0.82, 0.013, 1750.0)
    assert (ended.data.input_tokens, ended.data.output_tokens) == (1200, 310)
    assert (ended.data.last_sequence, ended.data.dropped) == (5, {})
    for event in memory.events():
        assert event.data.configuration_version_id == ids.configuration_version_id(CONFIGURATION)
        assert event.data.scenario_id == ids.scenario_id("refund-flow")
        assert event.data.simulation_id == ids.simulation_id("nightly")


def test_records_are_keyed_by_execution_and_carry_type_and_id(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with execution("s", {}, emitter=emitter) as run, run.tool("t"):
        pass
    assert [record.topic for record in memory.records] == [
        "arc-eval.executions",
        "arc-eval.tool-usage",
        "arc-eval.executions",
    ]
    for record, event in zip(memory.records, memory.events(), strict=True):
        assert record.key == str(run.execution_id).encode()
        assert dict(record.headers)["ce_type"] == event.type.encode()
        assert dict(record.headers)["ce_id"] == str(event.id).encode()
        assert record.timestamp_ms == int(event.time.timestamp() * 1000)


WAYS_OUT: list[tuple[BaseException, ExecutionStatus]] = [
    (ValueError("bad"), ExecutionStatus.ERRORED),
    (TimeoutError("late"), ExecutionStatus.TIMED_OUT),
    (asyncio.CancelledError(), ExecutionStatus.CANCELLED),
    (KeyboardInterrupt(), ExecutionStatus.CANCELLED),
    (GeneratorExit(), ExecutionStatus.CANCELLED),
    (SystemExit(1), ExecutionStatus.ERRORED),
    (SystemExit("message"), ExecutionStatus.ERRORED),
]


@pytest.mark.parametrize(("error", "status"), WAYS_OUT, ids=repr)
def test_an_exception_is_recorded_and_goes_on(
    error: BaseException, status: ExecutionStatus, memory: MemoryTransport, emitter: EventEmitter
) -> None:
    with pytest.raises(type(error)) as caught, execution("s", {}, emitter=emitter) as run:
        run.complete(success=True, score=1)
        raise error
    assert caught.value is error
    data = completed(memory).data
    assert (data.status, data.error_kind, data.error_message) == (status, type(error).__name__, str(error))
    assert data.score == 1


@pytest.mark.parametrize(("error", "status"), WAYS_OUT, ids=repr)
async def test_the_same_in_coroutines(
    error: BaseException, status: ExecutionStatus, memory: MemoryTransport, emitter: EventEmitter
) -> None:
    # Raised by hand: pytest's own loop takes some of these for the end of the tests.
    run = execution("s", {}, emitter=emitter)
    await run.__aenter__()
    assert not await run.__aexit__(type(error), error, None)  # type: ignore[func-returns-value]  # None: it goes on
    data = completed(memory).data
    assert (data.status, data.error_kind, data.error_message) == (status, type(error).__name__, str(error))


async def test_a_time_out_around_a_coroutine_cancels_the_execution(
    memory: MemoryTransport, emitter: EventEmitter
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async with execution("s", {}, emitter=emitter):
                await asyncio.Event().wait()
    assert completed(memory).data.status is ExecutionStatus.CANCELLED


async def test_a_time_out_inside_is_a_time_out(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with pytest.raises(TimeoutError):
        async with execution("s", {}, emitter=emitter), asyncio.timeout(0.01):
            await asyncio.Event().wait()
    assert completed(memory).data.status is ExecutionStatus.TIMED_OUT


def test_an_exception_without_text_does_not_hide_itself(memory: MemoryTransport, emitter: EventEmitter) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(MuteError), execution("s", {}, emitter=emitter):
        raise MuteError
    assert completed(memory).data.error_kind == "MuteError"


@pytest.mark.parametrize("code", [0, None])
def test_an_ordinary_exit_is_no_error(code: int | None, memory: MemoryTransport, emitter: EventEmitter) -> None:
    with pytest.raises(SystemExit), execution("s", {}, emitter=emitter) as run:
        run.complete(success=False)
        raise SystemExit(code)
    assert completed(memory).data.status is ExecutionStatus.FAILED
    assert completed(memory).data.error_kind is None


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ({}, ExecutionStatus.SUCCEEDED),
        ({"success": True}, ExecutionStatus.SUCCEEDED),
        ({"success": False}, ExecutionStatus.FAILED),
        ({"status": "timed_out"}, ExecutionStatus.TIMED_OUT),
        ({"status": ExecutionStatus.CANCELLED, "success": True}, ExecutionStatus.CANCELLED),
        ({"score": 0.5}, ExecutionStatus.SUCCEEDED),
        ({"status": "no such status", "success": False}, ExecutionStatus.FAILED),
        ({"status": "no such status"}, ExecutionStatus.ERRORED),
        ({"status": ["unhashable"]}, ExecutionStatus.ERRORED),
    ],
)
def test_the_status(
    outcome: dict[str, Any], status: ExecutionStatus, memory: MemoryTransport, emitter: EventEmitter
) -> None:
    with execution("s", {}, emitter=emitter) as run:
        if outcome:
            run.complete(**outcome)
    assert completed(memory).data.status is status


def test_complete_twice_adds_up_and_the_later_wins(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with execution("s", {}, emitter=emitter) as run:
        run.complete(success=True, score=0.1, metadata={"a": 1})
        run.complete(success=False, cost_usd=2)
    data = completed(memory).data
    assert (data.status, data.score, data.cost_usd, data.metadata) == (ExecutionStatus.FAILED, 0.1, 2, {"a": 1})


def test_a_wrong_figure_is_left_out_and_logged(
    memory: MemoryTransport, emitter: EventEmitter, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: Any = "many"
    with execution("s", {}, emitter=emitter) as run:
        run.complete(success=True, score=float("nan"), cost_usd=-1, input_tokens=wrong, output_tokens=3)
    data = completed(memory).data
    assert (data.score, data.cost_usd, data.input_tokens, data.output_tokens) == (None, None, None, 3)
    assert data.status is ExecutionStatus.SUCCEEDED
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.split()[0] for message in errors] == ["score", "cost_usd", "input_tokens"]


@pytest.mark.parametrize(("attempt", "stored"), [(0, 1), (1, 1), (10**9, 1_000_000), (-5, 1)])
def test_the_attempt_is_kept_within_bounds(
    attempt: int, stored: int, memory: MemoryTransport, emitter: EventEmitter
) -> None:
    with execution("s", {}, attempt=attempt, emitter=emitter):
        pass
    started = memory.events()[0]
    assert isinstance(started, StartedEvent)
    assert started.data.attempt == stored


def test_a_known_version_is_named_by_its_id(memory: MemoryTransport, emitter: EventEmitter) -> None:
    version = ids.configuration_version_id(CONFIGURATION)
    with execution("s", version, emitter=emitter):
        pass
    started = memory.events()[0]
    assert isinstance(started, StartedEvent)
    assert (started.data.configuration_version_id, started.data.configuration) == (version, None)


@pytest.mark.parametrize("configuration", [None, "careful", uuid4(), 7])
def test_what_is_no_configuration_is_a_mistake(configuration: Any) -> None:
    with pytest.raises(TypeError, match="configuration"):
        execution("s", configuration)


@pytest.mark.parametrize("execution_id", [uuid4(), str(new_execution_id()), 7], ids=["v4", "text", "number"])
def test_an_id_that_consumers_would_refuse_is_a_mistake(execution_id: Any) -> None:
    with pytest.raises(TypeError, match="UUIDv7"):
        execution("s", {}, execution_id=execution_id)


def test_an_id_can_be_given(memory: MemoryTransport, emitter: EventEmitter) -> None:
    execution_id = new_execution_id()
    with execution("s", {}, execution_id=execution_id, emitter=emitter) as run:
        assert run.execution_id == execution_id
    assert completed(memory).subject == execution_id


def test_a_block_is_entered_once(memory: MemoryTransport, emitter: EventEmitter) -> None:
    run = execution("s", {}, emitter=emitter)
    with run, pytest.raises(RuntimeError, match="once"):
        run.__enter__()
    with pytest.raises(RuntimeError, match="once"):
        run.__enter__()
    assert [event.type.split(".")[-2] for event in memory.events()] == ["started", "completed"]


def test_leaving_twice_completes_once(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with execution("s", {}, emitter=emitter) as run:
        pass
    run.__exit__(None, None, None)
    assert len(memory.events()) == 2


def test_late_events_go_on_counting(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with execution("s", {}, emitter=emitter) as run:
        pass
    run.progress("from a thread that was forgotten")
    emitter.flush(timeout=30)
    assert [event.sequence[-1] for event in memory.events()] == ["1", "2", "3"]


def test_an_execution_of_its_own_closes_its_emitter(memory: MemoryTransport) -> None:
    emitter = EventEmitter(transport=memory)
    run = Execution(
        emitter,
        owns_emitter=True,
        execution_id=new_execution_id(),
        started=execution("s", {}, emitter=emitter)._started,
    )
    with run:
        pass
    run.progress("too late")
    assert len(memory.events()) == 2


def test_executions_share_an_emitter(memory: MemoryTransport, emitter: EventEmitter) -> None:
    with execution("s", {}, emitter=emitter) as one, execution("s", {}, emitter=emitter) as two:
        one.progress()
        two.progress()
        two.progress()
    by_run = {
        run.execution_id: [int(event.sequence) for event in memory.events() if event.subject == run.execution_id]
        for run in (one, two)
    }
    assert by_run == {one.execution_id: [1, 2, 3], two.execution_id: [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda call: None, (True, None, None)),
        (lambda call: call.result({"a": 1}), (True, None, 7)),
        (lambda call: call.error("out of stock"), (False, "out of stock", None)),
        (lambda call: 1 / 0, (False, "ZeroDivisionError: division by zero", None)),
    ],
    ids=["plain", "result", "error", "exception"],
)
async def test_tools(use: Any, expected: tuple[Any, ...], memory: MemoryTransport, emitter: EventEmitter) -> None:
    def record_one(run: Execution) -> None:
        with run.tool("t") as call:
            use(call)

    async def record_one_async(run: Execution) -> None:
        async with run.tool("t") as call:
            use(call)

    async with execution("s", {}, emitter=emitter) as run:
        try:
            record_one(run)
        except ZeroDivisionError:
            assert not expected[0]
        try:
            await record_one_async(run)
        except ZeroDivisionError:
            assert not expected[0]
    for event in tool_uses(memory):
        assert (event.data.success, event.data.error, event.data.result_bytes) == expected
    assert len(tool_uses(memory)) == 2


def test_arguments_are_those_of_the_call(memory: MemoryTransport, emitter: EventEmitter) -> None:
    arguments = {"order_id": 7}
    with execution("s", {}, emitter=emitter) as run, run.tool("t", arguments):
        arguments.clear()
    assert tool_uses(memory)[0].data.arguments == {"order_id": 7}


def test_a_clock_without_a_zone_means_utc(memory: MemoryTransport) -> None:
    naive = Clock(now=lambda: datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - what is tested
    with EventEmitter(transport=memory, clock=naive) as emitter, execution("s", {}, emitter=emitter):
        pass
    assert completed(memory).time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert memory.records[0].timestamp_ms == 1767323045000


def test_a_clock_that_goes_backwards_makes_no_negative_duration(memory: MemoryTransport) -> None:
    ticks: Iterator[int] = count(100, -1)
    clock = Clock(monotonic=lambda: float(next(ticks)))
    emitter = EventEmitter(transport=memory, clock=clock)
    with emitter, execution("s", {}, emitter=emitter) as run, run.tool("t"):
        pass
    assert tool_uses(memory)[0].data.duration_ms == 0
    assert completed(memory).data.duration_ms == 0


def test_threads_that_emit_at_once_lose_nothing(memory: MemoryTransport) -> None:
    threads, each = 8, 500
    start = threading.Barrier(threads)

    def work(run: Execution) -> None:
        start.wait()
        for number in range(each):
            run.tool_used("t", success=True, arguments={"n": number})

    with EventEmitter(transport=memory) as emitter:
        with execution("s", {}, emitter=emitter) as run:
            workers = [threading.Thread(target=work, args=(run,)) for _ in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        delivery = emitter.close(timeout=30)
    total = threads * each + 2
    assert (delivery.sent, delivery.dropped, delivery.pending) == (total, {}, 0)
    events = memory.events()
    assert sorted(int(event.sequence) for event in events) == list(range(1, total + 1))
    assert len({event.id for event in events}) == total
    last = events[-1]
    assert isinstance(last, CompletedEvent)
    assert last.data.last_sequence == total


def test_numbered_is_received_plus_dropped() -> None:
    """The proof that consumers make for each execution, when the queue overflows while the broker is slow."""
    transport = FakeTransport()
    transport.blocks_in.add("send")
    settings = ProducerSettings(EmitterSettings(queue_records_max=10), KafkaSettings(), "/sandboxes/test", None)
    with EventEmitter(transport=transport, settings=settings) as emitter:
        run = execution("s", {}, emitter=emitter)
        run.__enter__()
        assert transport.reached.wait(30)
        for number in range(50):
            run.tool_used("t", success=True, arguments={"n": number})
        run.failure("something", "went wrong")
        threading.Timer(0.05, transport.release).start()
        run.__exit__(None, None, None)
    received = MemoryTransport()
    received.records = transport.records
    last = completed(received).data
    assert last.dropped == {"queue_full": 42}
    assert last.last_sequence == len(transport.records) + sum(last.dropped.values()) == 53
    sequences = [int(event.sequence) for event in received.events()]
    assert sequences == [1, 2, 3, 4, 5, 6, 7, 8, 9, 52, 53]
