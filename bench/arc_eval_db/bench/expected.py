"""The rows that a workload must become, made from what happened and not by the writer that is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.bench.workloads import Execution, Happening, Workload, happenings
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED

Row = tuple[Any, ...]

_COMMON = (
    "time",
    "event_id",
    "execution_id",
    "configuration_version_id",
    "scenario_id",
    "simulation_id",
    "sequence",
)

EVENT_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "execution_events": (*_COMMON, "type", "source", "traceparent", "data"),
        "failures": (*_COMMON, "kind", "message", "details", "pattern_id"),
        "outcomes": (
            *_COMMON,
            "status",
            "success",
            "score",
            "duration_ms",
            "cost_usd",
            "input_tokens",
            "output_tokens",
            "error_kind",
            "error_message",
            "metadata",
            "last_sequence",
        ),
        "tool_usage": (*_COMMON, "tool", "success", "duration_ms", "error", "arguments", "result_bytes"),
    }
)
"""The columns of the event tables, apart from the place in the log, in the order of a row."""

EXECUTION_COLUMNS = (
    "id",
    "configuration_version_id",
    "scenario_id",
    "simulation_id",
    "started_at",
    "ended_at",
    "attempt",
    "source",
    "metadata",
)
"""The columns of `executions`, in the order of a row."""

_TABLES = {
    STARTED: "execution_events",
    PROGRESSED: "execution_events",
    COMPLETED: "outcomes",
    TOOL_USED: "tool_usage",
    FAILURE_RECORDED: "failures",
}


def event_rows(workload: Workload) -> Iterator[tuple[str, Row]]:
    """Each event's table and row, once."""
    for happening, is_copy in happenings(workload):
        if not is_copy:
            yield _TABLES[happening.type], _row(happening)


def _row(happening: Happening) -> Row:
    kind, execution, sequence, time, event_id, payload = happening
    context = execution.context
    head = (
        time,
        UUID(event_id),
        execution.id,
        context.version_id,
        context.scenario_id,
        context.simulation_id,
        sequence,
    )
    if kind == COMPLETED:
        return (*head, *payload.values, sequence)
    if kind == FAILURE_RECORDED:
        # Not the pattern that the writer finds in the message: the check leaves this column out.
        return (*head, *payload.values, ids.failure_pattern_id(*payload.values[:2]))
    if kind == TOOL_USED:
        return (*head, *payload.values)
    return (*head, kind, execution.source, None, *payload.values)


def execution_rows(workload: Workload) -> list[Row]:
    """The rows of `executions`."""
    seen: dict[str, tuple[Execution, list[datetime], list[datetime]]] = {}
    for happening, is_copy in happenings(workload):
        if is_copy:
            continue
        _, started, ended = seen.setdefault(happening.execution.text, (happening.execution, [], []))
        if happening.type == STARTED:
            started.append(happening.time)
        elif happening.type == COMPLETED:
            ended[:] = [happening.time]
    rows = []
    for execution, started, ended in seen.values():
        context = execution.context
        rows.append(
            (
                execution.id,
                context.version_id,
                context.scenario_id,
                context.simulation_id,
                started[0] if started else None,
                ended[0] if ended else None,
                1,
                execution.source if started else None,
                orjson.dumps(context.started.data["metadata"]).decode() if started else None,
            )
        )
    return rows
