"""`EventEmitter`: takes events from the agent's threads in microseconds and sends them from a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.clock import SYSTEM_CLOCK, Clock
from arc_eval_db.producers.encoding import NotEncodableError, encode
from arc_eval_db.producers.outbox import DropReason, Outbox, OutgoingRecord
from arc_eval_db.producers.sender import Sender
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports import Transport, make_transport
from arc_eval_db.schemas.ids import EventId, ExecutionId, new_event_id
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TopicNames

logger = logging.getLogger("arc_eval_db.producers")

_LIFECYCLE_TYPES = frozenset({STARTED, COMPLETED, FAILURE_RECORDED})
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")

# Sequences are kept also for ended executions, whose late events go on counting; the least recently used go first.
_EXECUTIONS_KEPT_MAX = 10_000

# Of the time that `close` has, this share is for delivery and the rest for ending the thread.
_DELIVERY_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the events so far."""

    sent: int
    pending: int
    """Neither sent nor dropped yet."""
    dropped: dict[str, int]
    """By reason."""

    @property
    def complete(self) -> bool:
        """Whether every event is where it should be."""
        return self.pending == 0 and not self.dropped


class EventEmitter:
    """Numbers, encodes and queues events; a background thread sends them.

    `emit` never blocks and never raises for our reasons. `flush` and `close` keep their time-out whatever the broker
    does. Safe to use from several threads. Emitters that are never closed are closed at interpreter exit.

    >>> from arc_eval_db.producers import EventEmitter, MemoryTransport
    >>> with EventEmitter(transport=MemoryTransport()) as emitter:
    ...     emitter.flush(timeout=1).complete
    True
    """

    def __init__(
        self,
        *,
        transport: Transport | None = None,
        settings: ProducerSettings | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Make an emitter; nothing is connected before the first event.

        Args:
            transport: carries the events; by default the one that the settings name.
            settings: by default read from the environment. Where that fails, one error is logged and nothing is sent:
                a wrong setting must not end an agent's run.
            clock: where event times come from.
        """
        self._settings = settings or _settings_or_default()
        self._transport = transport or _transport_or_none(self._settings)
        self.clock = clock
        self._topics = TopicNames(self._settings.kafka.topic_prefix)
        emitter_settings = self._settings.emitter
        self.close_timeout_s = emitter_settings.close_timeout_s
        self._outbox = Outbox(emitter_settings.queue_records_max, emitter_settings.queue_bytes_max)
        self._lock = threading.Lock()
        self._sequences: dict[ExecutionId, int] = {}
        self._sender: Sender | None = None
        self._closed = False

    @property
    def enabled(self) -> bool:
        """False where nothing is configured: events are then discarded at once."""
        return self._transport is not None

    def emit(self, event_type: str, execution_id: ExecutionId, data: Mapping[str, Any]) -> EventId | None:
        """Queue one event.

        Args:
            event_type: such as "arc_eval.tool.used.v1".
            execution_id: the execution it belongs to; also the Kafka key, so that an execution's events stay in order.
            data: the event's content; must not be changed by the caller during the call. What is too long or not
                JSON is cut or replaced.

        Returns:
            The event's id, or None when it was dropped (and counted) or nothing is configured.

        Raises:
            KeyError: the event type does not exist.
        """
        topic = self._topics.of_type(event_type)
        if self._transport is None or self._closed:
            return None
        event_id = new_event_id()
        now = self.clock.now()
        event = self._event(event_id, event_type, execution_id, data)
        event["time"] = now
        try:
            value = encode(event)
        except NotEncodableError:
            self._outbox.count_dropped(execution_id, DropReason.TOO_LARGE)
            return None
        except Exception:  # a value whose own methods raise
            logger.exception("an event could not be serialized and was dropped")
            self._outbox.count_dropped(execution_id, DropReason.NOT_SERIALIZABLE)
            return None
        record = OutgoingRecord(
            topic=topic,
            key=event["subject"].encode(),
            value=value,
            headers=self._headers(event_type, event["id"]),
            timestamp_ms=int(now.timestamp() * 1000),
            execution_id=execution_id,
            is_lifecycle=event_type in _LIFECYCLE_TYPES,
        )
        return event_id if self._queue(record) else None

    def flush(self, timeout: float) -> Delivery:
        """Wait at most `timeout` seconds until everything emitted so far is delivered or dropped."""
        self._outbox.wait_settled(timeout)
        return self._delivery()

    def close(self, timeout: float | None = None) -> Delivery:
        """Deliver what can be delivered within `timeout` seconds (by default the setting), and stop. Idempotent."""
        with self._lock:
            if self._closed:
                return self._delivery()
            self._closed = True
            sender, self._sender = self._sender, None
        atexit.unregister(self.close)
        if sender is not None:
            self._stop(sender, self.close_timeout_s if timeout is None else timeout)
        return self._delivery()

    async def flush_async(self, timeout: float) -> Delivery:
        """`flush` for coroutines."""
        return await asyncio.to_thread(self.flush, timeout)

    async def close_async(self, timeout: float | None = None) -> Delivery:
        """`close` for coroutines."""
        return await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close_async()

    def _next_sequence(self, execution_id: ExecutionId) -> int:
        with self._lock:
            sequence = self._sequences.pop(execution_id, 0) + 1
            if len(self._sequences) >= _EXECUTIONS_KEPT_MAX:
                del self._sequences[next(iter(self._sequences))]
            self._sequences[execution_id] = sequence
            return sequence

    def _event(
        self, event_id: EventId, event_type: str, execution_id: ExecutionId, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        subject = str(execution_id)
        sequence = self._next_sequence(execution_id)
        if event_type == COMPLETED:
            data = {**data, "last_sequence": sequence, "dropped": self._outbox.dropped_of(execution_id)}
            self._outbox.forget(execution_id)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(event_id),
            "source": self._settings.source,
            "type": event_type,
            "subject": subject,
            "time": None,
            "partitionkey": subject,
            "sequence": f"{sequence:010d}",
        }
        if self._settings.traceparent is not None:
            event["traceparent"] = self._settings.traceparent
        event["data"] = data
        return event

    def _headers(self, event_type: str, event_id: str) -> tuple[tuple[str, bytes], ...]:
        headers = (("ce_type", event_type.encode()), ("ce_id", event_id.encode()), _CONTENT_TYPE)
        if self._settings.traceparent is None:
            return headers
        return (*headers, ("traceparent", self._settings.traceparent.encode()))

    def _queue(self, record: OutgoingRecord) -> bool:
        accepted = self._outbox.append(record)
        sender = self._sender or self._start()
        if sender is not None:
            sender.wake()
        return accepted

    def _start(self) -> Sender | None:
        with self._lock:
            if self._sender is None and not self._closed:
                assert self._transport is not None
                self._sender = Sender(self._outbox, self._transport)
                atexit.register(self.close)
            return self._sender

    def _stop(self, sender: Sender, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if sender.is_alive():
            self._outbox.wait_settled(timeout * _DELIVERY_SHARE)
        if not sender.stop(max(0.05, deadline - time.monotonic())):
            logger.warning("the sending thread did not stop in time; it ends with the process")
        self._outbox.settle_dropped(self._outbox.take(self._settings.emitter.queue_records_max), DropReason.UNDELIVERED)
        if lost := self._outbox.dropped.get(DropReason.UNDELIVERED):
            logger.warning("%d events could not be delivered within %.1f s and are lost", lost, timeout)

    def _delivery(self) -> Delivery:
        return Delivery(sent=self._outbox.sent, pending=self._outbox.pending, dropped=self._outbox.dropped)


_has_warned = threading.Event()


def _read_settings(environment: Mapping[str, str]) -> ProducerSettings:
    return ProducerSettings.from_environment(environment, hostname=socket.gethostname(), pid=os.getpid())


def _settings_or_default() -> ProducerSettings:
    try:
        return _read_settings(os.environ)
    except SettingsError as error:
        logger.error("arc-eval-db sends nothing, because of a wrong setting: %s", error)
        return _read_settings({"ARC_EVAL_TRANSPORT": "none"})


def _transport_or_none(settings: ProducerSettings) -> Transport | None:
    try:
        transport = make_transport(settings)
    except SettingsError as error:
        logger.error("arc-eval-db sends nothing, because of a wrong setting: %s", error)
        return None
    if transport is None and settings.emitter.transport is None and not _has_warned.is_set():
        _has_warned.set()
        logger.warning(
            "arc-eval-db records nothing: set ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS, or ARC_EVAL_TRANSPORT to file or "
            "stdout (or to none, to silence this warning)"
        )
    return transport
