"""The SDK's whole path to the broker, as fast as it goes without dropping, or at a steady rate."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from arc_eval_db.bench.measured import Figures, Span, run
from arc_eval_db.bench.workloads import LIFECYCLE, Workload, happenings
from arc_eval_db.producers import EventEmitter
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.schemas.ids import ExecutionId

_PENDING_MAX = 4_000
_LOOK_EVERY = 500
_PAUSE_S = 0.001
_FLUSH_TIMEOUT_S = 60.0


async def produce(options: dict[str, Any]) -> Figures:
    """Options: `events`, of the lifecycle workload; `rate`, events a second, or null for as fast as it goes."""
    settings = ProducerSettings.from_environment(os.environ, hostname=socket.gethostname(), pid=os.getpid())
    events = [
        (
            happening.type,
            ExecutionId(happening.execution.id),
            {**happening.execution.context.data, **happening.payload.data},
        )
        for happening, _ in happenings(Workload(LIFECYCLE, options["events"]))
    ]
    span = Span()
    with EventEmitter(settings=settings) as emitter:
        span.begin()
        _emit(emitter, events, options["rate"])
        delivery = emitter.flush(_FLUSH_TIMEOUT_S)
        span.mark()
    assert delivery.complete, delivery
    assert delivery.sent == len(events), delivery
    return {**span.figures(), "records": len(events)}


def _emit(emitter: EventEmitter, events: list[tuple[str, ExecutionId, dict[str, Any]]], rate: float | None) -> None:
    began = time.perf_counter()
    for number, event in enumerate(events):
        if rate is not None:
            # Events that are late are caught up with: the pace is that of the clock.
            while (early_s := number / rate - (time.perf_counter() - began)) > 0:
                time.sleep(min(early_s, _PAUSE_S))
        elif number % _LOOK_EVERY == 0:
            while emitter.flush(0.0).pending > _PENDING_MAX:
                time.sleep(_PAUSE_S)
        emitter.emit(*event)


if __name__ == "__main__":
    run(produce)
