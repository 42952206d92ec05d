"""The canary's execution: what is emitted, as a sandbox emits it, and when Kafka took it."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from arc_eval_db.consumers.canary.names import CANARY_CONFIGURATION, CANARY_NAME
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings, Transport, execution
from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports import make_transport
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, PROGRESSED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TABLE_OF_TYPE

EVENT_TYPES = (STARTED, PROGRESSED, TOOL_USED, COMPLETED)
"""In the order in which they are emitted: the first has sequence 1."""

_RESULT_BYTES = 7

# What waits on a broker that does not answer is given up; the sender's thread has ended long before.
_CLOSE_TIMEOUT_S = 1.0


@dataclass(slots=True)
class EmittedEvent:
    """What is known of one event on this side of Kafka; times are of the monotonic clock."""

    type: str
    relation: str
    sequence: int
    topic: str
    emitted_at: float = 0.0
    event_id: UUID | None = None
    acknowledged_at: float | None = None
    said: dict[str, Any] = field(default_factory=dict)
    """What its row must say, by the names in `sql/queries/canary.sql`."""


class _Observed:
    """A transport that notes which event was sent and acknowledged when. Called on the sender's thread."""

    def __init__(self, transport: Transport, events: dict[str, EmittedEvent]) -> None:
        self._transport = transport
        self._events = events
        self.trouble = ""
        """What went wrong last, in words."""

    async def open(self) -> None:
        try:
            await self._transport.open()
        except ArcEvalError as error:
            self.trouble = str(error)
            raise

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        events = [self._event(record) for record in records]
        try:
            refused = await self._transport.send(records)
        except ArcEvalError as error:
            self.trouble = str(error)
            raise
        now = time.monotonic()
        for position, event in enumerate(events):
            if position in refused:
                self.trouble = f"Kafka refuses the event {event.type}"
            else:
                event.acknowledged_at = now
        return refused

    async def close(self) -> None:
        await self._transport.close()

    def _event(self, record: OutgoingRecord) -> EmittedEvent:
        headers = dict(record.headers)
        event = self._events[headers["ce_type"].decode()]
        event.event_id = UUID(headers["ce_id"].decode())
        return event


class Emission:
    """One execution on its way to Kafka, by an emitter of its own, as each sandbox has one."""

    def __init__(self, kafka: KafkaSettings, timeout_s: float) -> None:
        """
        Args:
            timeout_s: how long Kafka may take.

        Raises:
            SettingsError: no Kafka is set.
        """
        kafka.client_options()  # the emitter would only log what is missing
        settings = ProducerSettings(
            EmitterSettings(transport="kafka", close_timeout_s=max(0.05, timeout_s)),
            kafka,
            source=f"/canary/{socket.gethostname()}",
            traceparent=None,
        )
        self.execution_id = ids.new_execution_id()
        topics = TopicNames(kafka.topic_prefix)
        self._events = {
            type_: EmittedEvent(type_, TABLE_OF_TYPE[type_], sequence, topics.of_type(type_))
            for sequence, type_ in enumerate(EVENT_TYPES, start=1)
        }
        transport = make_transport(settings)
        assert transport is not None, "kafka is asked for"
        self._transport = _Observed(transport, self._events)
        self._emitter = EventEmitter(transport=self._transport, settings=settings)
        # Rows of another execution, or of another run's content, would not say this.
        self._token = secrets.token_hex(8)

    @property
    def events(self) -> Sequence[EmittedEvent]:
        """In the order of their sequence."""
        return tuple(self._events.values())

    @property
    def trouble(self) -> str:
        """What Kafka said last, where it did not take the events."""
        return self._transport.trouble

    @property
    def execution_says(self) -> dict[str, Any]:
        """What the row of the execution itself must say."""
        return {"started": True, "ended": True, "attempt": 1, "metadata": {"canary": self._token}}

    async def run(self) -> None:
        """Emit everything, and wait until Kafka has it or the time is over."""
        mark = {"canary": self._token}
        run = execution(
            CANARY_NAME,
            dict(CANARY_CONFIGURATION),
            metadata=mark,
            execution_id=self.execution_id,
            emitter=self._emitter,
        )
        said: dict[str, dict[str, Any]] = {
            STARTED: {"type": STARTED, "scenario": CANARY_NAME, "configuration_name": CANARY_NAME, "metadata": mark},
            PROGRESSED: {"type": PROGRESSED, "message": self._token, "step": 1},
            TOOL_USED: {"tool": CANARY_NAME, "success": True, "arguments": mark, "result_bytes": _RESULT_BYTES},
            COMPLETED: {
                "status": "succeeded",
                "success": True,
                "metadata": mark,
                "last_sequence": len(EVENT_TYPES),
                "dropped": None,
            },
        }
        for type_, event in self._events.items():
            event.said, event.emitted_at = said[type_], time.monotonic()
        async with run:
            run.progress(self._token, step=1)
            run.tool_used(CANARY_NAME, success=True, arguments=mark, result_bytes=_RESULT_BYTES)
            # No score, cost and tokens: sums and means over all configurations stay right.
            run.complete(success=True, metadata=mark)

    async def close(self) -> None:
        """Let go of Kafka; what it has not taken is given up."""
        await self._emitter.close_async(_CLOSE_TIMEOUT_S)
