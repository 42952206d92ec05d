"""Sandboxes that are cut off from the broker, or killed: what they emitted is in the spool, and arrives when pushed."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

import orjson
import pytest

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.producers.spool_push import list_segments
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.scripts import Ended, run_script

pytestmark = [pytest.mark.database, pytest.mark.kafka]

# Start-up is Python, our imports and aiokafka's on a machine that runs other tests as well.
START_UP_S = 20.0
CLOSE_TIMEOUT_S = 2.0

# How long before its death an event was emitted that may be missing: some milliseconds, and what a thread may have to
# wait for a core here.
LAST_MOMENTS_S = 2.0

# Most lose no more than what is being gathered (5 ms) and written when the end comes. A second of lingering would show
# here, though not above. Only those that live for long enough can lose so much.
MEDIAN_LAST_MOMENTS_S = 0.25
EVENTS_OF_A_LONG_LIFE = 1000

CUT_OFF = """
import time
from arc_eval_db.producers import execution
with execution("refund-flow", {"model": "m1"}, "nightly") as run:
    for step in range(30):
        with run.tool("lookup_order", {"step": step}) as call:
            call.result(step)
    run.progress("done soon")
    run.failure("policy_violation", "refunded without approval")
    run.complete(success=True, score=0.5)
    print(run.execution_id)
    left = time.monotonic()
print(time.monotonic() - left)
"""
EVENTS = 34

TO_BE_KILLED = """
import itertools, os, sys, time
from arc_eval_db.producers import EventEmitter, execution

ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Emitter(EventEmitter):
    def emit_text(self, *arguments):
        event_id = super().emit_text(*arguments)
        os.write(ledger, f"{event_id} {arguments[1]} {time.monotonic()}\\n".encode())
        return event_id

with execution("refund-flow", {"model": "m1"}, "nightly", emitter=Emitter()) as run:
    for step in itertools.count():
        with run.tool("lookup_order", {"step": step}):
            time.sleep(0.001)  # what the tool does
        if step % 7 == 0:
            run.progress("at it", step=step)
        if step % 50 == 0:
            run.failure("policy_violation", "refunded without approval")
"""

ALL_EVENTS = " UNION ALL ".join(
    f"SELECT event_id, execution_id, sequence FROM {table}"
    for table in ("execution_events", "outcomes", "tool_usage", "failures")
)
COMPLETENESS = "SELECT * FROM execution_completeness WHERE execution_id = $1"


def environment(kafka: KafkaSettings, servers: str | None = None) -> dict[str, str]:
    return {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": servers or str(kafka.bootstrap_servers),
        "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
    }


def push(directory: Path, kafka: KafkaSettings) -> dict[str, object]:
    """`arc-eval-db spool push`, as people run it."""
    ended = subprocess.run(
        [sys.executable, "-m", "arc_eval_db.cli", "spool", "push", str(directory), "--json"],
        env={**os.environ, **environment(kafka)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    report: dict[str, object] = orjson.loads(ended.stdout)
    return report


async def consume(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, session_timeout_s=6)
    report = await Worker(kafka, database, settings, until_caught_up=True).run()
    assert (report.caught_up, report.dead_letters) == (True, 0)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


async def test_a_sandbox_without_a_broker_ends_in_time_and_its_events_arrive_later(
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    silent_port: int,
    tmp_path: Path,
) -> None:
    """A port that accepts and never answers, one that refuses, and a name that does not resolve."""
    servers = {
        "silent": f"127.0.0.1:{silent_port}",
        "refusing": "127.0.0.1:1",
        "nameless": "no-such-broker.invalid:9092",
    }

    def run(name: str) -> Ended:
        spool = {"ARC_EVAL_SPOOL_DIR": str(tmp_path / name)}
        return run_script(CUT_OFF, {**environment(kafka_settings, servers[name]), **spool})

    with ThreadPoolExecutor() as pool:
        ended = dict(zip(servers, pool.map(run, servers), strict=True))
    for name, how in ended.items():
        assert how.code == 0, how.stderr
        execution_id, leaving_s = how.stdout.split()
        assert float(leaving_s) < CLOSE_TIMEOUT_S + 1, name
        assert how.seconds < CLOSE_TIMEOUT_S + START_UP_S, name
        assert f"{EVENTS} events are left in the spool" in how.stderr
        states = list_segments(tmp_path / name)
        assert sum(len(state.content.records) for state in states) == EVENTS
        assert all(state.content.is_whole and not state.in_use for state in states)
        assert {str(record.execution_id) for state in states for record in state.content.records} == {execution_id}
    with ThreadPoolExecutor() as pool:
        for report in pool.map(lambda name: push(tmp_path / name, kafka_settings), servers):
            assert report["events"] == EVENTS
    assert not any(list((tmp_path / name).iterdir()) for name in servers)
    await consume(kafka_settings, database, group)
    for how in ended.values():
        of_execution = UUID(how.stdout.split()[0])
        assert await state_of(session, of_execution) == "completed"
        (row,) = await session.fetch(COMPLETENESS, of_execution)
        assert (row["emitted"], row["stored"], row["outstanding"], row["is_complete"]) == (EVENTS, EVENTS, 0, True)
        assert await session.fetch_value("SELECT success FROM outcomes WHERE execution_id = $1", of_execution) is True


FORKS = """
import os, sys
from arc_eval_db.producers import EventEmitter, execution
emitter = EventEmitter()
with execution("s", {}, emitter=emitter) as run:
    assert emitter.flush(60).complete  # connected, and the event loop of the parent is at work
    child = os.fork()
    if child == 0:
        with execution("in child", {}, emitter=emitter) as own:
            own.tool_used("t", success=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    for _ in range(20):
        run.tool_used("t", success=True)
        assert emitter.flush(60).complete
assert emitter.close(60).complete
"""


async def test_a_forked_child_leaves_its_parents_connection_alone(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, tmp_path: Path
) -> None:
    spool = {"ARC_EVAL_SPOOL_DIR": str(tmp_path / "spool"), "ARC_EVAL_CLOSE_TIMEOUT_S": "60"}
    ended = run_script(FORKS, {**environment(kafka_settings), **spool}, timeout_s=120)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert list((tmp_path / "spool").iterdir()) == []
    await consume(kafka_settings, database, group)
    assert sorted(map(len, (await stored(session)).values())) == [3, 22]
    assert await session.fetch_value("SELECT count(*) FROM execution_completeness WHERE is_complete") == 2


async def state_of(session: Session, execution_id: UUID, abandoned_after: str = "1 hour") -> str | None:
    await session.execute(f"SET arc_eval.abandoned_after = '{abandoned_after}'")
    state = await session.fetch_value("SELECT state FROM execution_state WHERE execution_id = $1", execution_id)
    await session.execute("RESET arc_eval.abandoned_after")
    return None if state is None else str(state)


@dataclass(frozen=True)
class Sandbox:
    """One that runs until it is killed."""

    ledger: Path
    process: subprocess.Popen[bytes]
    events_to_live: int

    def emitted(self) -> list[tuple[UUID, UUID, float]]:
        """Event, execution, and when; the process may have died within a line, or between an event and its line."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
        return [(UUID(event_id), UUID(execution_id), float(at)) for event_id, execution_id, at in lines]

    async def killed(self) -> None:
        """Wait for its moment, and kill it."""
        await eventually(lambda: len(self.emitted()) >= self.events_to_live, "the sandbox emits", timeout_s=60)
        self.process.kill()
        self.process.wait(30)


@contextlib.contextmanager
def sandbox(path: Path, number: int, settings: dict[str, str], events_to_live: int) -> Iterator[Sandbox]:
    ledger = path / f"ledger-{number}"
    with (path / f"stderr-{number}").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", TO_BE_KILLED, str(ledger)], env={**os.environ, **settings}, stderr=errors
        )
        try:
            yield Sandbox(ledger, process, events_to_live)
        finally:
            process.kill()
            process.wait(30)


async def stored(session: Session) -> dict[UUID, dict[int, UUID]]:
    """Event ids by execution and sequence."""
    found: dict[UUID, dict[int, UUID]] = {}
    for row in await session.fetch(ALL_EVENTS):
        of_execution = found.setdefault(row["execution_id"], {})
        assert row["sequence"] not in of_execution, "a number is there twice"
        of_execution[row["sequence"]] = row["event_id"]
    return found


async def test_sandboxes_killed_at_random_moments_lose_no_more_than_these(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, tmp_path: Path
) -> None:
    """Half of them reach the broker. To kill a process does not test `fsync`: the system keeps what was written."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # pytest shows it when the test fails
    chance = random.Random(seed)
    spool = tmp_path / "spool"
    with contextlib.ExitStack() as stack:
        sandboxes = [
            stack.enter_context(
                sandbox(
                    tmp_path,
                    number,
                    {
                        **environment(kafka_settings, None if number % 2 else "127.0.0.1:1"),
                        "ARC_EVAL_SPOOL_DIR": str(spool),
                    },
                    chance.choice((1, 2, chance.randrange(3, 50), chance.randrange(50, 600)))
                    if number < 4
                    else chance.randrange(EVENTS_OF_A_LONG_LIFE, 2 * EVENTS_OF_A_LONG_LIFE),
                )
            )
            for number in range(10)
        ]
        for one in sorted(sandboxes, key=lambda one: one.events_to_live):
            await one.killed()

    ledgers = {one.emitted()[0][1]: one.emitted() for one in sandboxes}
    spooled: dict[UUID, set[UUID]] = {execution_id: set() for execution_id in ledgers}
    for state in list_segments(spool):
        assert not state.in_use
        assert state.content.damaged_lines == 0
        for record in state.content.records:
            spooled[UUID(str(record.execution_id))].add(UUID(dict(record.headers)["ce_id"].decode()))

    await consume(kafka_settings, database, group)
    delivered = await stored(session)
    for execution_id in delivered:
        assert await state_of(session, execution_id) == "running"
        assert await state_of(session, execution_id, "0 seconds") == "abandoned"
    report = push(spool, kafka_settings)
    assert report["events"] == sum(map(len, spooled.values()))
    assert (report["in_use"], list(spool.iterdir())) == (0, [])
    await consume(kafka_settings, database, group)

    arrived = await stored(session)
    losses_s: list[float] = []
    losses_of_long_lives_s: list[float] = []
    for execution_id, ledger in ledgers.items():
        by_sequence = arrived.get(execution_id, {})
        before = set(delivered.get(execution_id, {}).values())
        assert set(by_sequence.values()) == spooled[execution_id] | before
        last = len(by_sequence)
        assert sorted(by_sequence) == list(range(1, last + 1)), "no holes"
        ids = [event_id for event_id, _, _ in ledger]
        assert ids[:last] == [by_sequence[number] for number in range(1, last + 1)][: len(ids)]
        missing_s = [ledger[-1][2] - at for _, _, at in ledger[last:]]
        losses_s.append(max(missing_s, default=0))
        if len(ledger) >= EVENTS_OF_A_LONG_LIFE:
            losses_of_long_lives_s.append(losses_s[-1])
        if by_sequence:
            await check_reads_as_abandoned(session, execution_id, last)
    assert max(losses_s) < LAST_MOMENTS_S, losses_s
    assert median(losses_of_long_lives_s) < MEDIAN_LAST_MOMENTS_S, losses_s
    assert sum(map(bool, arrived.values())) >= 5, "most lived long enough to leave something"
    assert await session.fetch_value("SELECT count(*) FROM outcomes") == 0


async def check_reads_as_abandoned(session: Session, execution_id: UUID, arrived: int) -> None:
    """Never as ended, and at least its end is missed."""
    assert await state_of(session, execution_id) == "running"
    assert await state_of(session, execution_id, "0 seconds") == "abandoned"
    await session.execute("SET arc_eval.abandoned_after = '0 seconds'")
    (row,) = await session.fetch(COMPLETENESS, execution_id)
    await session.execute("RESET arc_eval.abandoned_after")
    assert (row["emitted"], row["stored"], row["outstanding"]) == (arrived + 1, arrived, 1)
    assert not row["is_complete"]
