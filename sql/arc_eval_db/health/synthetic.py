"""Made-up outcomes, as wide as real ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from arc_eval_db.schemas.ids import scenario_id, simulation_id, uuid7
from arc_eval_db.writer.rows import COLUMNS

_COLUMNS = COLUMNS["outcomes"]

INSERT_OUTCOME = (
    f"INSERT INTO outcomes ({', '.join(_COLUMNS)})"  # noqa: S608 - names of our own
    f" VALUES ({', '.join(f'${number}' for number in range(1, len(_COLUMNS) + 1))})"
)

_SCENARIO, _SIMULATION = scenario_id("arc-eval-db health"), simulation_id("arc-eval-db health")
_VALUES = {
    # Ids of names that nobody else has.
    "configuration_version_id": scenario_id("arc-eval-db health configuration"),
    "scenario_id": _SCENARIO,
    "simulation_id": _SIMULATION,
    "sequence": 2,
    "status": "succeeded",
    "success": True,
    "score": 0.5,
    "duration_ms": 1234.5,
    "cost_usd": 0.0125,
    "input_tokens": 1200,
    "output_tokens": 310,
    "metadata": '{"synthetic": true}',
    "last_sequence": 2,
}


def outcomes(count: int) -> Sequence[tuple[Any, ...]]:
    """Rows of `outcomes`, each of an execution of its own, at this moment."""
    now = datetime.now(UTC)
    return [
        tuple({**_VALUES, "time": now, "event_id": uuid7(), "execution_id": uuid7()}.get(name) for name in _COLUMNS)
        for _ in range(count)
    ]
