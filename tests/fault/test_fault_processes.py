"""Consumers that die, freeze, leave and come at the worst moments: rows F11 to F14 of the matrix."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from fault.arena import Arena
from fault.fail_points import PLACES, FailPoint, Place
from fault.processes import ConsumerProcess
from support.conditions import eventually

pytestmark = [pytest.mark.database, pytest.mark.kafka, pytest.mark.stack]

BATCH = "50"


@pytest.mark.long
async def test_without_any_fault(arena: Arena) -> None:
    """What the other tests start from."""
    consumer = await arena.consume()
    producer = arena.producer(events_per_s=300)
    producer.start()
    await arena.moves(600)
    evidence = await arena.check()
    assert len(evidence.rows) == len(evidence.log) >= 600
    assert consumer.code == 0


async def _killed_at(arena: Arena, place: Place, at: int) -> None:
    consumer = await arena.consume(
        FailPoint(place, "kill", at), wait=False, consumer_batch_records_max=BATCH, consumer_session_timeout_s="2"
    )
    await consumer.reached(place)
    assert await consumer.ended() == -9


async def test_killed_at_each_place(arena: Arena) -> None:
    """F11: SIGKILL after the fetch, during COPY, before and after the compare-and-set, after the commit."""
    await arena.load(1500)
    for place in PLACES:
        await _killed_at(arena, place, 2)
    await arena.consume(wait=False)
    await arena.check()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", PLACES)
async def test_killed_at_random_passings(arena: Arena, place: Place) -> None:
    """F11: eight deaths at one place, at the first to the fourth passing."""
    chance = random.Random(place)
    await arena.load(4_000)
    for _ in range(8):
        await _killed_at(arena, place, chance.randint(1, 4))
    await arena.consume(wait=False)
    await arena.check()


async def test_sigterm_under_load(arena: Arena) -> None:
    """F12: the batch in hand is finished, the group left, and nothing read again."""
    producer = arena.producer(events_per_s=400)
    producer.start()
    for _ in range(2):
        consumer = await arena.consume()
        await arena.moves(300)
        started = time.monotonic()
        consumer.term()
        assert await consumer.ended(10) == 0
        assert time.monotonic() - started < 10
        # It has left the group: who comes next need not wait for its session to end.
        assert not consumer.log("drain_timed_out")
    await arena.consume()
    evidence = await arena.check()
    reports = [consumer.log("worker_stopped")[0] for consumer in arena.consumers]
    assert sum(report["records"] for report in reports) == len(evidence.log), "some were read twice"
    assert sum(report["duplicates"] for report in reports) == 0


async def _storm(arena: Arena, changes: int, consumers_max: int) -> None:
    producer = arena.producer(events_per_s=200)
    producer.start()
    # One has a batch in hand all the time, stays in the group, and cannot know that others write the same.
    holder = await arena.consume(FailPoint("after_fetch", "hold", 2), consumer_batch_records_max=BATCH)
    await holder.reached("after_fetch")
    arena.database_proxy.slow(0.02)
    chance = random.Random(13)
    members: list[ConsumerProcess] = []
    for _ in range(changes):
        if len(members) < 2 or (len(members) < consumers_max and chance.random() < 0.5):
            members.append(await arena.consume(consumer_batch_records_max=BATCH))
        else:
            members.pop(chance.randrange(len(members))).term()
        await asyncio.sleep(chance.uniform(0, 1))
    assert holder.runs
    await arena.heal()
    await holder.logged("batch_fenced")
    await arena.check(timeout_s=60)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_rebalance_storm(arena: Arena) -> None:
    """F13: consumers come and go, up to six; being fenced is normal, and ends nobody."""
    await _storm(arena, 24, 5)


async def _zombie(arena: Arena, place: Place) -> None:
    await arena.load(1200)
    # At its first fetch it has no transaction open, and at its second one for the batch before.
    times = 1 if place == "after_fetch" else 2
    zombie = await arena.consume(
        FailPoint(place, "stop", times), wait=False, consumer_batch_records_max=BATCH, consumer_session_timeout_s="2"
    )
    await zombie.reached(place)
    await zombie.is_stopped()
    # Whatever locks the frozen one holds, the database ends its transaction in time: a COPY after 55 s.
    await arena.consume(consumer_session_timeout_s="2")
    await arena.drained(timeout_s=90)
    zombie.cont()
    if place == "after_fetch":
        await zombie.logged("batch_fenced")
    elif place != "after_commit":  # where it has nothing in hand
        told = ("batch_fenced", "attempt_failed")
        await eventually(lambda: any(map(zombie.log, told)), "the zombie was told that it is one", timeout_s=20)
    await arena.load(300, seed=2)
    evidence = await arena.check()
    assert sum(report["duplicates"] for each in arena.consumers for report in each.log("worker_stopped")) == 0
    assert len(evidence.rows) == 1500


async def test_zombie(arena: Arena) -> None:
    """F14: SIGSTOP for longer than the session, then SIGCONT: what it had in hand is not written."""
    await _zombie(arena, "between_cas_and_commit")


@pytest.mark.long
@pytest.mark.parametrize("place", ["after_fetch", "during_copy", "before_compare_and_set", "after_commit"])
async def test_zombie_at_other_places(arena: Arena, place: Place) -> None:
    """F14: the other places."""
    await _zombie(arena, place)
