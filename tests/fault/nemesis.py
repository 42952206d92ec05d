"""A seeded schedule of faults: the same seed, the same faults at the same seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fault.arena import APPLICATION_NAME, Arena
from fault.processes import ConsumerProcess
from fault.stack import FaultServer, kill_backend
from support.databases import connect

Kind = Literal[
    "kafka_kill9",
    "kafka_restart",
    "kafka_freeze",
    "kafka_cut",
    "kafka_stall",
    "kafka_slow",
    "kafka_answer_lost",
    "postgres_kill9",
    "postgres_restart",
    "postgres_freeze",
    "backend_kill9",
    "database_cut",
    "database_stall",
    "database_stall_one_way",
    "database_slow",
    "database_limit",
    "database_refuse",
    "commit_reset",
    "commit_answer_lost",
    "table_locked",
    "consumer_kill9",
    "consumer_freeze",
    "consumer_term",
    "producer_kill9",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ON_SERVER = frozenset(
    f"{server}_{what}" for server in ("kafka", "postgres") for what in ("kill9", "restart", "freeze")
)
_NEEDS_OWN_SERVER = frozenset({"postgres_kill9", "postgres_restart", "postgres_freeze", "backend_kill9"})

_LANES: tuple[tuple[Kind, ...], ...] = (
    ("kafka_kill9", "kafka_restart", "kafka_freeze"),
    ("kafka_cut", "kafka_stall", "kafka_slow", "kafka_answer_lost"),
    ("postgres_kill9", "postgres_restart", "postgres_freeze", "backend_kill9", "table_locked"),
    (
        "database_cut",
        "database_stall",
        "database_stall_one_way",
        "database_slow",
        "database_limit",
        "database_refuse",
        "commit_reset",
        "commit_answer_lost",
    ),
    ("consumer_kill9", "consumer_freeze", "consumer_term", "producer_kill9"),
)
"""Faults of one lane come one after the other, as they befall the same thing; those of different lanes overlap."""

_PAUSE_S = {0: (6.0, 20.0), 1: (2.0, 10.0), 2: (4.0, 14.0), 3: (2.0, 8.0), 4: (2.0, 7.0)}
_DURATION_S = (0.5, 4.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    at_s: float
    kind: Kind
    duration_s: float
    """Until it is undone, where there is something to undo."""
    choice: int
    """Whatever the fault has to choose: which process, how many bytes."""

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.kind} for {self.duration_s} s ({self.choice})"


def schedule(seed: int, seconds: float, *, own_server: bool = True) -> list[Fault]:
    """The faults of a seed, by time. Pure.

    Args:
        own_server: False: leave the database server itself alone.
    """
    chance = random.Random(seed)
    faults = []
    for number, lane in enumerate(_LANES):
        at_s = chance.uniform(0.5, _PAUSE_S[number][1])
        while at_s < seconds:
            kind = chance.choice(lane)
            duration_s = round(min(chance.uniform(*_DURATION_S), seconds - at_s), 1)
            choice = chance.randrange(1_000_000)
            if own_server or kind not in _NEEDS_OWN_SERVER:
                faults.append(Fault(round(at_s, 1), kind, duration_s, choice))
            at_s += duration_s + chance.uniform(*_PAUSE_S[number])
    return sorted(faults, key=lambda fault: fault.at_s)


class Nemesis:
    """Makes the faults of a schedule happen to an arena. Consumers that die are started again, as a supervisor does."""

    def __init__(self, arena: Arena, faults: list[Fault]) -> None:
        self._arena = arena
        self._faults = faults
        self._members: list[ConsumerProcess] = []
        self.happened: list[str] = []
        """What was done, in order."""

    async def run(self, seconds: float, *, consumers: int = 2) -> None:
        """Until the time is over; what is then still broken is the caller's to heal."""
        self._members = [await self._arena.consume(wait=False) for _ in range(consumers)]
        lanes = [[fault for fault in self._faults if fault.kind in lane] for lane in _LANES]
        async with asyncio.timeout(4 * seconds + 60), asyncio.TaskGroup() as group:
            started = asyncio.get_running_loop().time()
            for lane in lanes:
                group.create_task(self._lane(lane, started))

    async def _lane(self, faults: list[Fault], started: float) -> None:
        for fault in faults:
            await asyncio.sleep(started + fault.at_s - asyncio.get_running_loop().time())
            self.happened.append(fault.kind)
            act: Callable[[Fault], Coroutine[Any, Any, None]] = getattr(self, f"_{fault.kind}", self._on_proxy)
            await (self._on_server if fault.kind in _ON_SERVER else act)(fault)

    async def _on_server(self, fault: Fault) -> None:
        name, _, what = fault.kind.partition("_")
        server: FaultServer = getattr(self._arena.stack, name)
        match what:
            case "kill9":
                server.kill9()
                await asyncio.sleep(fault.duration_s)
                await server.start()
            case "freeze":
                server.stop()
                await asyncio.sleep(fault.duration_s)
                server.cont()
            case _:
                await server.restart()

    async def _backend_kill9(self, fault: Fault) -> None:
        async with await connect(self._arena.database) as session:
            rows = await session.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
                APPLICATION_NAME,
            )
        if rows:
            kill_backend(rows[fault.choice % len(rows)]["pid"])

    async def _table_locked(self, fault: Fault) -> None:
        async with await connect(self._arena.database) as session:
            await session.execute("SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '20s'; BEGIN")
            await session.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(fault.duration_s)

    async def _consumer_kill9(self, fault: Fault) -> None:
        await self._replace(fault, "kill9")

    async def _consumer_term(self, fault: Fault) -> None:
        await self._replace(fault, "term")

    async def _replace(self, fault: Fault, way: str) -> None:
        leaving = self._members.pop(fault.choice % len(self._members))
        getattr(leaving, way)()
        self._members.append(await self._arena.consume(wait=False))
        await leaving.ended(20)

    async def _consumer_freeze(self, fault: Fault) -> None:
        frozen = self._members[fault.choice % len(self._members)]
        frozen.stop()
        # Longer than a session, so that its partitions are given away.
        await asyncio.sleep(fault.duration_s + 3)
        frozen.cont()

    async def _producer_kill9(self, fault: Fault) -> None:
        for process in self._arena.producer_processes:
            process.kill9()
        await self._arena.producer_process(seed=fault.choice)

    async def _on_proxy(self, fault: Fault) -> None:
        stack_proxy, proxy = self._arena.stack.kafka_proxy, self._arena.database_proxy
        over = stack_proxy if fault.kind.startswith("kafka") else proxy
        match fault.kind:
            case "kafka_cut" | "database_cut":
                over.cut()
            case "kafka_stall" | "database_stall":
                over.stall()
            case "database_stall_one_way":
                over.stall("down" if fault.choice % 2 else "up")
            case "kafka_slow" | "database_slow":
                over.slow(0.01 + fault.choice % 100 / 1000, jitter_s=0.05)
            case "kafka_answer_lost":
                over.trap("up", lambda chunk: chunk[4:6] == b"\x00\x00" and len(chunk) > 100, "lose_answer")
            case "database_limit":
                over.limit("up", fault.choice % 60_000)
            case "database_refuse":
                over.refuse()
                over.cut()
            case "commit_reset":
                over.trap("up", lambda chunk: b"COMMIT" in chunk, "reset")
            case "commit_answer_lost":
                over.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
            case _:
                raise AssertionError(f"no such fault: {fault.kind}")
        await asyncio.sleep(fault.duration_s)
        await over.heal()
