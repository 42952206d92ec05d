"""The sink against what a user would pick instead, at the same work in the same rounds."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from typing import Any

from arc_eval_db.bench.arena import Arena
from arc_eval_db.bench.checks import check_rows
from arc_eval_db.bench.code_under_test import Code, folders_of_this_release
from arc_eval_db.bench.sections import Candidate, Figures, Sizes
from arc_eval_db.bench.sections.throughput import sink_candidate, throughput, workload
from arc_eval_db.bench.workloads import DUPLICATES, OUTCOMES, Workload
from arc_eval_db.schemas.topics import EXECUTIONS

# The unique index stays, and the one on the execution.
_LEFT_OUT_INDEXES = ("outcomes_configuration_version_id_idx", "outcomes_time_idx")

_IMPORT_TIMEOUT_S = 60.0
_NEEDED = {"faststream_batch": ("faststream", "faststream.kafka"), "quix_sink": ("quixstreams", "psycopg2")}

_PACKAGES = ("faststream", "quixstreams", "aiokafka", "asyncpg", "psycopg2-binary", "pydantic", "uvloop")

_REPEAT_STOPS_IT = "at least once; a repeat is an error"
_REPEAT_IS_SKIPPED = "at least once; a repeat is skipped"


def peers(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """All of them that are installed, and the worker; the loop of single events has fewer events to go through."""
    code = Code({"PYTHONPATH": folders_of_this_release()}, "peers", _LEFT_OUT_INDEXES, arena.peers_python)
    outcomes = workload(OUTCOMES, sizes)
    few = workload(OUTCOMES, sizes, events=sizes.plain_events)
    in_batches: Mapping[str, Any] = {"validation": "batch", "collector": True}
    found = [
        _candidate(arena, few, code, "plain loop", "plain", {}, _REPEAT_STOPS_IT),
        _candidate(arena, outcomes, code, "Quix Streams", "quix_sink", {}, _REPEAT_IS_SKIPPED),
        _candidate(
            arena,
            outcomes,
            code,
            "FastStream, COPY",
            "faststream_batch",
            {**in_batches, "validation": "event"},
            _REPEAT_STOPS_IT,
        ),
        _candidate(
            arena,
            outcomes,
            code,
            "FastStream, COPY, one call a batch",
            "faststream_batch",
            in_batches,
            _REPEAT_STOPS_IT,
        ),
        _candidate(
            arena,
            outcomes,
            code,
            "FastStream, COPY, one call a batch, collector off",
            "faststream_batch",
            {**in_batches, "collector": False},
            _REPEAT_STOPS_IT,
        ),
    ]
    missing = {module for module, names in _NEEDED.items() if not _has(arena.peers_python, names)}
    for module in sorted(missing):
        arena.note(f"{module.partition('_')[0]} is left out: it is not installed (pip install 'arc-eval-db[bench]')")
    arena.note(f"peers, and arc-eval-db beside them: {_versions(arena.peers_python)}")
    return [candidate for module, candidate in found if module not in missing] + [
        sink_candidate(arena, outcomes, 1, section="peers", name="arc-eval-db, 1 process", code=code),
        sink_candidate(arena, outcomes, 2, section="peers", name="arc-eval-db, 2 processes", code=code),
        sink_candidate(
            arena,
            workload(DUPLICATES, sizes),
            1,
            section="peers",
            name="arc-eval-db, 1 process, 1 in 1,000 comes twice",
            code=code,
        ),
    ]


def _candidate(
    arena: Arena,
    work: Workload,
    code: Code,
    name: str,
    module: str,
    options: Mapping[str, Any],
    guarantee: str,
) -> tuple[str, Candidate]:
    async def run() -> Figures:
        kafka = await arena.topics(work)
        settings = await arena.database(code.database, without_indexes=code.without_indexes)
        expected = await arena.sums(work, settings)
        given = {
            **options,
            "topic": EXECUTIONS.name(kafka.topic_prefix),
            "group": f"{arena.name}-{secrets.token_hex(4)}",
            "records": work.records,
            "partitions": work.partitions,
        }
        async with arena.empty_database(settings) as session:
            figures, cost = await arena.run(
                f"arc_eval_db.bench.peers.{module}",
                [given],
                arena.variables(kafka, settings, code.environment),
                python=code.python,
            )
            await check_rows(session, expected, ["outcomes"])
        return throughput(figures, cost, work.records)

    return module, Candidate("peers", name, run, work.name, guarantee)


def _versions(python: str) -> str:
    """The packages of an interpreter, of those that matter here."""
    script = (
        "from importlib.metadata import distributions\n"
        "found = {each.name: each.version for each in distributions()}\n"
        f"print(', '.join(f'{{name}} {{found[name]}}' for name in {_PACKAGES!r} if name in found))"
    )
    ended = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, timeout=_IMPORT_TIMEOUT_S, check=True
    )
    return ended.stdout.strip()


def _has(python: str, modules: tuple[str, ...]) -> bool:
    command = [python, "-c", "".join(f"import {module}\n" for module in modules)]
    return subprocess.run(command, capture_output=True, timeout=_IMPORT_TIMEOUT_S, check=False).returncode == 0
