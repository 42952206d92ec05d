"""448 recorded runs of a real agent, sent through the SDK. They lie outside of the repository."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from arc_eval_db.producers import Clock, EventEmitter, execution
from arc_eval_db.schemas.status import ExecutionStatus
from support.servers import missing

EXECUTIONS = 448
SUCCESSES = 24
TOOL_USES = 9_514
TOOL_ERRORS = 3_282
EVENTS = 2 * EXECUTIONS + TOOL_USES

_FILE = Path(os.environ.get("ARC_EVAL_RECORDED_RUNS", "../shared/data/agent_runs.jsonl.gz"))


def recorded_runs() -> list[dict[str, Any]]:
    """The runs; skips where the file is not there."""
    if not _FILE.is_file():
        missing(
            "recorded-runs", f"the recorded runs are not here ({_FILE}; ARC_EVAL_RECORDED_RUNS names another place)"
        )
    with gzip.open(_FILE) as lines:
        return [orjson.loads(line) for line in lines]


class MadeUpClock:
    """The recordings have no times: each run begins a minute after the one before, an action takes two seconds."""

    def __init__(self) -> None:
        self._begin = datetime.now(UTC) - timedelta(hours=12)
        self._seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds

    def clock(self) -> Clock:
        """For the emitter."""
        return Clock(now=lambda: self._begin + timedelta(seconds=self._seconds), monotonic=lambda: self._seconds)


def replay_through_sdk(runs: list[dict[str, Any]], emitter: EventEmitter, clock: MadeUpClock, simulation: str) -> None:
    """Record each run as an execution."""
    for run in runs:
        _replay(run, emitter, clock, simulation)
        clock.advance(60)


def _replay(run: dict[str, Any], emitter: EventEmitter, clock: MadeUpClock, simulation: str) -> None:
    configuration = {"name": run["model"], "agent": run["agent"], "model": run["model"]}
    recording = execution(
        scenario=run["task"],
        configuration=configuration,
        simulation=simulation,
        attempt=run["trial"] + 1,
        emitter=emitter,
    )
    with recording as recorded:
        for step in run["steps"]:
            with recorded.tool(step["tool"], {"bytes": step["args_bytes"]}) as call:
                clock.advance(2)
                call.result("x" * step["result_bytes"])
                if step["error"] is not None:
                    call.error(step["error"])
        recorded.complete(
            status=_status(run),
            score=float(run["resolved"]),
            cost_usd=run["cost_usd"],
            input_tokens=run["tokens_sent"],
            output_tokens=run["tokens_received"],
            error_kind=run["exit_status"],
        )


def _status(run: dict[str, Any]) -> ExecutionStatus:
    if run["resolved"]:
        return ExecutionStatus.SUCCEEDED
    return ExecutionStatus.FAILED if run["exit_status"] is not None else ExecutionStatus.ERRORED


def facts(runs: list[dict[str, Any]]) -> Iterator[tuple[str, str, int, int, bool]]:
    """What the rows must say of each run: scenario, model, actions, errors, success."""
    for run in runs:
        errors = sum(step["error"] is not None for step in run["steps"])
        yield run["task"], run["model"], len(run["steps"]), errors, run["resolved"]
