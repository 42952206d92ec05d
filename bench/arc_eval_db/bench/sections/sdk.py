"""The SDK: what it costs the agent's thread, and how much it sends."""

from __future__ import annotations

from typing import Any

from arc_eval_db.bench.arena import Arena
from arc_eval_db.bench.checks import WrongRowsError
from arc_eval_db.bench.code_under_test import Code
from arc_eval_db.bench.kafka import count_records
from arc_eval_db.bench.sections import Candidate, Figures, Sizes
from arc_eval_db.bench.sections.throughput import throughput

_RUNS = "arc_eval_db.bench.runs."


def emit(arena: Arena, sizes: Sizes, code: Code | None = None) -> list[Candidate]:
    """Events one by one, into memory and towards a broker; and what comes before the first."""
    environment = (code or Code()).environment

    def calls(name: str, transport: str, through: str) -> Candidate:
        options = {"calls": sizes.calls, "transport": transport, "through": through}

        async def run() -> Figures:
            kafka = None if transport == "memory" else await arena.empty_topics("emit", sizes.partitions)
            (figures,), _ = await arena.run(_RUNS + "emit", [options], arena.variables(kafka, None, environment))
            return figures

        return Candidate("emit", name, run)

    async def imports() -> Figures:
        (figures,), _ = await arena.run(
            _RUNS + "imports", [{"repeats": sizes.imports}], arena.variables(None, None, environment)
        )
        return figures

    return [
        calls("run.progress, memory", "memory", "progress"),
        calls("run.progress, kafka", "kafka", "progress"),
        calls("EventEmitter.emit, memory", "memory", "emit"),
        calls("EventEmitter.emit, kafka", "kafka", "emit"),
        Candidate("emit", "import arc_eval_db.producers", imports),
    ]


def produce(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """One emitter, as fast as it goes without dropping anything."""

    async def run() -> Figures:
        kafka = await arena.empty_topics("produce", sizes.partitions)
        options: dict[str, Any] = {"events": sizes.produced, "rate": None}
        figures, cost = await arena.run(_RUNS + "produce", [options], arena.variables(kafka, None))
        if (found := await count_records(kafka, sizes.partitions)) != sizes.produced:
            raise WrongRowsError(f"{found} records in the topics, not {sizes.produced}")
        return throughput(figures, cost, sizes.produced)

    return [Candidate("produce", "lifecycle, one emitter", run, "lifecycle", "at least once")]
