"""A worker that goes on until it is told to stop; says every tenth of a second what CPU it has used."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from arc_eval_db.bench.measured import Figures, peak_memory_mb, run
from arc_eval_db.bench.runs.worker import worker_as_consumed
from arc_eval_db.consumers.worker import Worker

_SAMPLE_S = 0.1


async def consume(options: dict[str, Any]) -> Figures:
    """Options: `group`, and `stop`, a file that is made when the worker is to end."""
    samples: list[tuple[float, float]] = []
    with worker_as_consumed(options["group"], until_caught_up=False) as worker:
        watching = asyncio.create_task(_watch(worker, Path(options["stop"]), samples))
        try:
            report = await worker.run()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    return {"samples": samples, "memory_mb": peak_memory_mb(), "records": report.records}


async def _watch(worker: Worker, stop: Path, samples: list[tuple[float, float]]) -> None:
    while not stop.exists():  # noqa: ASYNC240 - one look at a local file
        samples.append((time.time(), time.process_time()))
        await asyncio.sleep(_SAMPLE_S)
    worker.stop()


if __name__ == "__main__":
    run(consume)
