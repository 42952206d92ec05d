"""From emit to visible in the database, while events come at a steady rate.

Visible is what another connection sees: it asks for the group's stored offsets every few milliseconds, which are in the
same transaction as the rows. So each figure is up to one interval too long, and never too short.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from arc_eval_db.bench.arena import Arena
from arc_eval_db.bench.checks import WrongRowsError
from arc_eval_db.bench.sections import Candidate, Figures, Sizes
from arc_eval_db.bench.spawn import RunFailedError
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TOPICS, TopicNames

PROFILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "default settings": {},
        "low latency": {"ARC_EVAL_CONSUMER_FETCH_WAIT_MS": "0"},
    }
)
"""Settings of the worker under which latency is measured."""

_RUNS = "arc_eval_db.bench.runs."
_POLL_S = 0.005
_WARM_UP_S = 1.0
_READY_TIMEOUT_S = 60.0
_ARRIVAL_TIMEOUT_S = 30.0
_TABLES = {
    "execution_events": "executions",
    "outcomes": "executions",
    "tool_usage": "tool-usage",
    "failures": "failures",
}

Seen = dict[tuple[str, int], list[tuple[int, float]]]
"""For each topic (without prefix) and partition: an offset, and when it was first seen to be stored."""


def latency(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """A worker under each of the profiles."""

    def candidate(name: str, settings: Mapping[str, str]) -> Candidate:
        async def run() -> Figures:
            return await _measure(arena, sizes, settings)

        return Candidate("latency", f"{sizes.rate:,} events/s, {name}", run, "lifecycle")

    return [candidate(name, settings) for name, settings in PROFILES.items()]


async def _measure(arena: Arena, sizes: Sizes, profile: Mapping[str, str]) -> Figures:
    kafka = await arena.empty_topics("latency", sizes.partitions)
    database = await arena.database()
    group = f"{arena.name}-{secrets.token_hex(4)}"
    count = int(sizes.rate * (sizes.latency_s + _WARM_UP_S))
    variables = arena.variables(kafka, database, profile)
    with tempfile.TemporaryDirectory(prefix="arc-eval-bench-") as directory:
        stop = Path(directory) / "stop"
        async with arena.empty_database(database) as session:
            options = {"group": group, "stop": str(stop)}
            consuming = asyncio.create_task(arena.run(_RUNS + "consume", [options], variables))
            try:
                await _until_assigned(session, group, len(TOPICS) * sizes.partitions, consuming)
                seen: Seen = defaultdict(list)
                watching = asyncio.create_task(_watch(session, group, TopicNames(kafka.topic_prefix), count, seen))
                try:
                    (sent,), _ = await arena.run(_RUNS + "produce", [{"events": count, "rate": sizes.rate}], variables)
                    async with asyncio.timeout(_ARRIVAL_TIMEOUT_S):
                        await watching
                finally:
                    watching.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await watching
                stop.touch()
                (worker,), _ = await consuming
            finally:
                consuming.cancel()
                await asyncio.wait({consuming})
            window = sent["began"] + _WARM_UP_S, sent["ended"]
            return _figures(await _latencies(session, seen, count, window[0]), worker, window)


async def _until_assigned(session: Session, group: str, partitions: int, consuming: asyncio.Task[Any]) -> None:
    """A worker that has all of its partitions has stored where they begin."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while (
        await session.fetch_value("SELECT count(*) FROM consumer_offsets WHERE consumer_group = $1", group) < partitions
    ):
        if consuming.done():
            consuming.result()
            raise RunFailedError("the worker ended before it had begun")
        if time.monotonic() > deadline:
            raise RunFailedError(f"the worker had not its partitions within {_READY_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_POLL_S)


async def _watch(session: Session, group: str, names: TopicNames, count: int, seen: Seen) -> None:
    """Note when each offset is seen, until all records have been."""
    last: dict[tuple[str, int], int] = {}
    while sum(last.values()) < count:
        rows = await session.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer_group = $1", group
        )
        now = time.time()
        for row in rows:
            place = row["topic"].removeprefix(f"{names.prefix}."), row["partition"]
            if row["next_offset"] != last.get(place, 0):
                last[place] = row["next_offset"]
                seen[place].append((row["next_offset"], now))
        await asyncio.sleep(_POLL_S)


async def _latencies(session: Session, seen: Seen, count: int, since: float) -> list[float]:
    """Seconds from the time in each event to when its row was seen, sorted; of events from `since` on."""
    found = []
    total = 0
    for table, topic in _TABLES.items():
        rows = await session.fetch(
            f"SELECT extract(epoch FROM time)::double precision AS emitted, log_partition, log_offset FROM {table}"  # noqa: S608 - names from above
        )
        total += len(rows)
        for row in rows:
            if row["emitted"] >= since:
                steps = seen[topic, row["log_partition"]]
                _, moment = steps[bisect.bisect_right(steps, (row["log_offset"], float("inf")))]
                found.append(moment - row["emitted"])
    if total != count:
        raise WrongRowsError(f"{total} rows, not {count}")
    return sorted(found)


def _figures(latencies: Sequence[float], worker: Mapping[str, Any], window: tuple[float, float]) -> Figures:
    inside = [(moment, cpu) for moment, cpu in worker["samples"] if window[0] <= moment <= window[1]]
    (began, cpu_began), (ended, cpu_ended) = inside[0], inside[-1]
    return {
        "p50_ms": 1000 * percentile(latencies, 0.5),
        "p95_ms": 1000 * percentile(latencies, 0.95),
        "p99_ms": 1000 * percentile(latencies, 0.99),
        "worst_ms": 1000 * latencies[-1],
        "cpu_percent": 100 * (cpu_ended - cpu_began) / (ended - began) if ended > began else None,
        "memory_mb": worker["memory_mb"],
        "per_second": len(latencies) / (window[1] - window[0]),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that at least this share of the values do not exceed; `ordered` is sorted and not empty."""
    index = -(-len(ordered) * share // 1)
    return ordered[max(0, int(index) - 1)]
