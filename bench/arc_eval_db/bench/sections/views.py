"""The views over the rows of one lifecycle workload: small, and the same everywhere. What they take over ten million
executions is another benchmark (docs/performance.md).
"""

from __future__ import annotations

import statistics
import time

from arc_eval_db.bench.arena import Arena, connect
from arc_eval_db.bench.sections import Candidate, Figures, Sizes
from arc_eval_db.bench.sections.throughput import run_sink, workload
from arc_eval_db.bench.workloads import LIFECYCLE

VIEWS = (
    "active_simulations",
    "execution_state",
    "execution_completeness",
    "performance_hourly",
    "performance_daily",
    "performance_trends",
    "cost_breakdown",
    "error_rates",
    "tool_reliability",
)

_REPEATS = 5
_ROWS_MAX = 1_000


def views(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """Each view by itself; the client's time for its first thousand rows."""
    work = workload(LIFECYCLE, sizes)
    filled = False

    def candidate(view: str) -> Candidate:
        async def run() -> Figures:
            nonlocal filled
            if not filled:
                await _fill()
                filled = True
            settings = await arena.database("views")
            async with await connect(settings) as session:
                times, rows = [], []
                for _ in range(_REPEATS):
                    began = time.perf_counter()
                    rows = await session.fetch(f"SELECT * FROM {view} LIMIT {_ROWS_MAX}")  # noqa: S608 - names from above
                    times.append(time.perf_counter() - began)
            return {"milliseconds": 1000 * statistics.median(times), "rows": len(rows)}

        return Candidate("views", view, run, LIFECYCLE)

    async def _fill() -> None:
        kafka, settings = await arena.topics(work), await arena.database("views")
        async with arena.empty_database(settings) as session:
            await run_sink(arena, work, 1, arena.variables(kafka, settings))
            await session.execute("VACUUM ANALYZE")

    return [candidate(view) for view in VIEWS]
