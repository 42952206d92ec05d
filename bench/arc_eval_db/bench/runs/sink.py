"""The worker, from topic to table, until it has caught up."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc_eval_db.bench.kafka import first_fetch
from arc_eval_db.bench.measured import Figures, Meeting, Span, run
from arc_eval_db.bench.runs.worker import worker_as_consumed
from arc_eval_db.consumers.worker import Worker

# How late the last commit may be noticed.
_WATCH_S = 0.005


@dataclass(slots=True)
class Seen:
    """How many committed records the end of the span takes in."""

    records: int = 0


async def consume(options: dict[str, Any]) -> Figures:
    """Options: `group`; `members` of it; `meeting`, a directory of theirs; `partitions` of all topics together;
    `settle_s`, how long each member must have had its share of them before they begin.
    """
    meeting = Meeting(Path(options["meeting"]), options["members"])
    share = options["partitions"] // options["members"]
    span = Span()
    with (
        first_fetch(span.begin, share=share, settle_s=options["settle_s"], meet=meeting.all_ready),
        worker_as_consumed(options["group"], until_caught_up=True) as worker,
    ):
        seen = Seen()
        watching = asyncio.create_task(_watch(worker, span, seen))
        try:
            report = await worker.run()
            if report.records != seen.records:
                span.mark()  # the last batch was committed less than a look ago
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    return {
        **span.figures(),
        "records": report.records,
        "duplicates": report.duplicates,
        "dead_letters": report.dead_letters,
        "batches": report.batches,
        "fenced": report.fenced,
    }


async def _watch(worker: Worker, span: Span, seen: Seen) -> None:
    """Mark the end with every batch that the worker reports as committed."""
    while True:
        if worker.report.records != seen.records:
            seen.records = worker.report.records
            span.mark()
        await asyncio.sleep(_WATCH_S)


if __name__ == "__main__":
    run(consume)
