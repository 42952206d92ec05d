"""From an outcome to the columns that every peer writes."""

from __future__ import annotations

from typing import Any

import orjson

from arc_eval_db.bench.expected import EVENT_COLUMNS
from arc_eval_db.schemas import CompletedEvent

TABLE = "outcomes"
COLUMNS = EVENT_COLUMNS[TABLE]


def row_of(event: CompletedEvent) -> tuple[Any, ...]:
    """The row of an outcome, in the order of `COLUMNS`."""
    data = event.data
    return (
        event.time,
        event.id,
        event.subject,
        data.configuration_version_id,
        data.scenario_id,
        data.simulation_id,
        int(event.sequence),
        data.status.value,
        data.status == "succeeded",
        data.score,
        data.duration_ms,
        data.cost_usd,
        data.input_tokens,
        data.output_tokens,
        data.error_kind,
        data.error_message,
        orjson.dumps(data.metadata).decode() if data.metadata else None,
        data.last_sequence,
    )
