"""What an event costs the agent's thread."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from arc_eval_db.bench.measured import Figures, run
from arc_eval_db.bench.workloads import LIFECYCLE, Workload, happenings
from arc_eval_db.producers import EventEmitter, MemoryTransport, execution
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports.kafka import KafkaTransport
from arc_eval_db.schemas.ids import ExecutionId
from arc_eval_db.schemas.topics import PROGRESSED

# Fewer than the queue takes; what is delivered between two bursts is not counted.
_BURST = 500
_FLUSH_TIMEOUT_S = 30.0


async def emit(options: dict[str, Any]) -> Figures:
    """Options: `calls`; `transport`, "memory" or "kafka"; `through`, "progress" or "emit"."""
    settings = ProducerSettings.from_environment(os.environ, hostname=socket.gethostname(), pid=os.getpid())
    transport = MemoryTransport() if options["transport"] == "memory" else KafkaTransport(settings.kafka)
    contents = [
        (happening.execution.context.data, happening.payload.data)
        for happening, _ in happenings(Workload(LIFECYCLE, 1_000))
        if happening.type == PROGRESSED
    ]
    context, _ = contents[0]
    cpu_s = wall_s = 0.0
    calls = 0
    with EventEmitter(transport=transport, settings=settings) as emitter:
        with execution("refund-flow", {"name": "careful"}, "nightly", emitter=emitter) as started:
            emitter.flush(_FLUSH_TIMEOUT_S)  # the sender's thread is there, and connected
            execution_id = ExecutionId(started.execution_id)
            while calls < options["calls"]:
                some = [contents[number % len(contents)][1] for number in range(calls, calls + _BURST)]
                cpu, wall = time.thread_time(), time.perf_counter()
                if options["through"] == "progress":
                    for data in some:
                        started.progress(data["message"], step=data["step"], details=data["details"])
                else:
                    for data in some:
                        emitter.emit(PROGRESSED, execution_id, {**context, **data})
                cpu_s += time.thread_time() - cpu
                wall_s += time.perf_counter() - wall
                calls += _BURST
                emitter.flush(_FLUSH_TIMEOUT_S)
        delivery = emitter.flush(_FLUSH_TIMEOUT_S)
    assert delivery.complete, delivery
    assert delivery.sent == calls + 2, delivery
    return {"cpu_us": cpu_s / calls * 1e6, "wall_us": wall_s / calls * 1e6}


if __name__ == "__main__":
    run(emit)
