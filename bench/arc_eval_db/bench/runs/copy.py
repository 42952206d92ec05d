"""COPY alone: rows made beforehand into the tables with all their indexes, one transaction for each of the worker's
batches.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any
from uuid import UUID

from arc_eval_db.bench.expected import EVENT_COLUMNS, Row, event_rows
from arc_eval_db.bench.measured import Figures, Span, freeze_collector, run
from arc_eval_db.bench.workloads import Workload
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseSettings, Session


async def copy(options: dict[str, Any]) -> Figures:
    """Options: `workload`."""
    size = ConsumerSettings.load().batch_records_max
    batches = []
    numbered = enumerate(event_rows(Workload.from_options(options["workload"])))
    while some := list(itertools.islice(numbered, size)):
        tables: dict[str, list[Row]] = defaultdict(list)
        for number, (table, row) in some:
            # asyncpg packs an id faster from text than from a UUID.
            texts = (str(value) if isinstance(value, UUID) else value for value in row)
            tables[table].append((*texts, 0, number))
        batches.append(tables)
    span = Span()
    async with await Session.connect(DatabaseSettings.load(), application_name="arc-eval-db bench") as session:
        freeze_collector()
        span.begin()
        for batch in batches:
            async with session.transaction():
                for table, rows in batch.items():
                    await session.copy(table, (*EVENT_COLUMNS[table], "log_partition", "log_offset"), rows)
        span.mark()
    return {**span.figures(), "records": sum(len(rows) for batch in batches for rows in batch.values())}


if __name__ == "__main__":
    run(copy)
