"""A broker that dies, restarts, falls silent or loses its answers: rows F1, F2, F10 and F15 of the matrix."""

from __future__ import annotations

import asyncio
import time

import pytest

from fault.arena import Arena
from fault.fail_points import FailPoint
from fault.processes import ChildProcess
from fault.stack import ports_of

pytestmark = [pytest.mark.database, pytest.mark.kafka, pytest.mark.stack]

CPU_SHARE_MAX = 0.3
LOG_LINES_PER_S_MAX = 10


async def _while_down(processes: list[ChildProcess], seconds: float) -> None:
    """Our processes neither spin nor fill a disk while the broker is away."""
    before = {process: (process.usage().cpu_s, _lines(process)) for process in processes}
    started = time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - started
    for process, (cpu_s, lines) in before.items():
        assert process.runs, process.last_words()
        assert (process.usage().cpu_s - cpu_s) / elapsed < CPU_SHARE_MAX, process.name
        assert (_lines(process) - lines) / elapsed < LOG_LINES_PER_S_MAX, process.last_words()


def _lines(process: ChildProcess) -> int:
    return process.log_file.read_bytes().count(b"\n")


async def _bounce(arena: Arena, times: int, seconds: float) -> list[float]:
    consumer = await arena.consume()
    producer = await arena.producer_process(events_per_s=100)
    await arena.moves(100)
    recoveries = []
    for _ in range(times):
        arena.stack.kafka.kill9()
        await _while_down([consumer, producer], seconds)
        await arena.stack.kafka.start()
        started = time.monotonic()
        await arena.moves(50, timeout_s=30)
        recoveries.append(time.monotonic() - started)
    await arena.check()
    assert len(arena.consumers) == 1, "nobody had to restart it"
    return recoveries


async def test_killed_broker(arena: Arena) -> None:
    """F1: SIGKILL of the broker, back after a while: both sides go on by themselves."""
    await _bounce(arena, 1, 2)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_broker_killed_again_and_again(arena: Arena) -> None:
    """F1: fifteen bounces."""
    recoveries = await _bounce(arena, 15, 5)
    print(f"recovery after each bounce, s: {[round(each, 1) for each in recoveries]}")


@pytest.mark.long
async def test_broker_restarts_under_a_batch(arena: Arena) -> None:
    """F2: the batch in hand is committed all the same, and nothing is read again."""
    await arena.load(500)
    consumer = await arena.consume(FailPoint("after_fetch", "hold", 2), wait=False, consumer_batch_records_max="100")
    await consumer.reached("after_fetch")
    stored = await arena.stored()
    await arena.stack.kafka.restart()
    consumer.release()
    await arena.moves(1)
    assert await arena.stored() > stored
    evidence = await arena.check()
    report = consumer.log("worker_stopped")[0]
    assert (report["records"], report["duplicates"]) == (len(evidence.log), 0)


@pytest.mark.long
async def test_one_consumer_is_cut_off_from_the_broker(arena: Arena) -> None:
    """F10: its partitions go to the other one; when the network is back it joins again, and its batch is fenced."""
    lonely = await arena.consume()
    producer = arena.producer(events_per_s=200)
    producer.start()
    await arena.moves(200)
    arena.stack.kafka_proxy.stall(only=ports_of(lonely.pid))
    heir = await arena.consume()
    await arena.moves(400, timeout_s=40)
    assert heir.log("partitions_positioned")
    arena.stack.kafka_proxy.resume()
    await arena.moves(200)
    await arena.check()


async def test_a_lost_answer_to_produce(arena: Arena) -> None:
    """F15: the SDK sends again; the log has the events twice, the database once."""
    producer = arena.producer()
    producer.emit(20)
    await producer.flush()
    trap = arena.stack.kafka_proxy.trap("up", _is_produce, "lose_answer")
    producer.emit(200)
    assert (await producer.flush()).complete
    assert trap.caught.is_set()
    consumer = await arena.consume()
    evidence = await arena.check()
    repeated = len(evidence.log) - len(evidence.rows)
    assert repeated > 0, "nothing was sent twice, so this proves nothing"
    assert consumer.log("worker_stopped")[0]["duplicates"] == repeated


def _is_produce(chunk: bytes) -> bool:
    """A request's key follows its size; that of Produce is 0."""
    return len(chunk) > 100 and chunk[4:6] == b"\x00\x00"


@pytest.mark.long
async def test_a_slow_broker(arena: Arena) -> None:
    """Latency and resets on the way to the broker; part of the matrix's toxics."""
    await arena.consume()
    producer = arena.producer(events_per_s=200)
    producer.start()
    arena.stack.kafka_proxy.slow(0.2, jitter_s=0.1)
    await arena.moves(200)
    arena.stack.kafka_proxy.cut()
    await arena.moves(200)
    await arena.heal()
    await arena.check()
