"""Producers with ledgers: executions through the SDK, at a steady rate, made from a seed."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arc_eval_db.producers import Delivery, EmitterSettings, EventEmitter, ProducerSettings
from arc_eval_db.producers.transports.kafka import KafkaTransport
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.ids import ExecutionId
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.settings import KafkaSettings
from fault.ledger import Ledger, LedgerTransport
from support.events import event

_TICK_S = 0.05
_QUEUE_RECORDS_MAX = 200_000


def made_events(
    seed: int, *, marker: str = "", padding_bytes: int = 0
) -> Iterator[tuple[str, ExecutionId, dict[str, Any]]]:
    """Events without end: type, execution and data, all from the seed but the ids of executions.

    Args:
        marker: stands in each payload, where a person's secret might.
        padding_bytes: more of each tool use.
    """
    chance = random.Random(seed)
    for number in itertools.count(1):
        execution = ExecutionId(ids.uuid7())
        yield STARTED, execution, event(STARTED, {"attempt": 1 + number % 3})["data"]
        for step in range(chance.randint(1, 6)):
            arguments = {
                "step": step,
                "token": marker,
                "x": chance.random(),
                "pad": chance.randbytes(padding_bytes // 2).hex(),
            }
            data = {"tool": chance.choice(("search", "edit", "run")), "success": chance.random() < 0.8}
            yield TOOL_USED, execution, event(TOOL_USED, {**data, "arguments": arguments})["data"]
        if chance.random() < 0.3:
            yield PROGRESSED, execution, event(PROGRESSED, {"message": f"still at it {marker}", "step": number})["data"]
        if chance.random() < 0.3:
            message = f"order {chance.randrange(10)} was refused {marker}"
            yield FAILURE_RECORDED, execution, event(FAILURE_RECORDED, {"message": message})["data"]
        outcome = {"status": chance.choice(("succeeded", "failed")), "score": chance.random()}
        yield COMPLETED, execution, event(COMPLETED, outcome)["data"]


class LoadProducer:
    """Emits until stopped. The emitter's thread is its own; only the pace is kept in the caller's event loop."""

    def __init__(
        self,
        kafka: KafkaSettings,
        ledger_file: Path,
        *,
        seed: int = 1,
        events_per_s: float = 200,
        marker: str = "",
        padding_bytes: int = 0,
    ) -> None:
        self.ledger_file = ledger_file
        self.emitted = 0
        self._ledger = Ledger(ledger_file)
        self._rate = events_per_s
        self._events = made_events(seed, marker=marker, padding_bytes=padding_bytes)
        emitter = EmitterSettings(transport="kafka", queue_records_max=_QUEUE_RECORDS_MAX)
        settings = ProducerSettings(emitter, kafka, f"/sandboxes/{ledger_file.stem}", None)
        self._emitter = EventEmitter(transport=LedgerTransport(KafkaTransport(kafka), self._ledger), settings=settings)
        self._pacing: asyncio.Task[None] | None = None

    def emit(self, count: int) -> None:
        """Emit so many events now."""
        for event_type, execution, data in itertools.islice(self._events, count):
            self._emitter.emit(event_type, execution, data)
        self.emitted += count

    def start(self) -> None:
        """Emit at the rate, until stopped."""
        self._pacing = asyncio.create_task(self._pace())

    async def flush(self, timeout_s: float = 30.0) -> Delivery:
        """Wait until everything emitted so far is delivered."""
        return await self._emitter.flush_async(timeout_s)

    async def stop(self, timeout_s: float = 30.0) -> Delivery:
        """Emit no more, and deliver what is left."""
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.wait({self._pacing})
        delivery = await self._emitter.close_async(timeout_s)
        self._ledger.close()
        return delivery

    async def _pace(self) -> None:
        started, before = time.monotonic(), self.emitted
        while True:
            due = int((time.monotonic() - started) * self._rate) - (self.emitted - before)
            self.emit(due)
            await asyncio.sleep(_TICK_S)
