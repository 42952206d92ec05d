"""`EventEmitter`: takes events from the agent's threads in microseconds and sends them from a thread of its own."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from arc_eval_db.producers.bridge import in_daemon_thread
from arc_eval_db.producers.clock import SYSTEM_CLOCK, Clock
from arc_eval_db.producers.configured import settings_or_default, transport_or_none
from arc_eval_db.producers.encoding import NotEncodableError, encode
from arc_eval_db.producers.event_ids import EventIdSource
from arc_eval_db.producers.outbox import DropReason, Outbox, OutgoingRecord
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports import Transport
from arc_eval_db.schemas.ids import EventId, ExecutionId
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOPIC_OF_TYPE

if TYPE_CHECKING:
    from arc_eval_db.producers.sender import Sender

logger = logging.getLogger("arc_eval_db.producers")

_LIFECYCLE_TYPES = frozenset({STARTED, COMPLETED, FAILURE_RECORDED})
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")

# Streams are kept also for ended executions, whose late events go on counting; the least recently used go first.
_STREAMS_KEPT_MAX = 10_000

# Of the time that `close` has, this share is for delivery and the rest for ending the thread.
_DELIVERY_SHARE = 0.85

# The counts in a terminal event may grow by so many bytes between the look at its size and its encoding.
_COUNTS_BYTES_MAX = 256


class _Route(NamedTuple):
    """What is the same for every event of a type."""

    topic: str
    type_header: tuple[str, bytes]
    is_lifecycle: bool


class _Stream:
    """What is the same for every event of an execution, and how many there were."""

    __slots__ = ("key", "sequence", "subject")

    def __init__(self, execution_id: ExecutionId) -> None:
        self.subject = str(execution_id)
        self.key = self.subject.encode()
        self.sequence = 0


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
        self._settings = settings or settings_or_default()
        self._transport = transport or transport_or_none(self._settings)
        self.clock = clock
        prefix = self._settings.kafka.topic_prefix
        self._routes = {
            event_type: _Route(topic.name(prefix), ("ce_type", event_type.encode()), event_type in _LIFECYCLE_TYPES)
            for event_type, topic in TOPIC_OF_TYPE.items()
        }
        traceparent = self._settings.traceparent
        self._trace = {} if traceparent is None else {"traceparent": traceparent}
        self._common_headers = (_CONTENT_TYPE, *((name, value.encode()) for name, value in self._trace.items()))
        emitter_settings = self._settings.emitter
        self.close_timeout_s = emitter_settings.close_timeout_s
        self._outbox = Outbox(emitter_settings.queue_records_max, emitter_settings.queue_bytes_max)
        self._event_ids = EventIdSource()
        self._lock = threading.Lock()
        self._streams: dict[ExecutionId, _Stream] = {}
        self._sender: Sender | None = None
        self._start_has_failed = False
        self._closed = False
        if self._transport is not None:
            # asyncio is half of what importing the SDK would cost. Here, and not in the first `emit`, it is paid by
            # those who send.
            import arc_eval_db.producers.sender  # noqa: F401, PLC0415

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
        event_id = self.emit_text(event_type, execution_id, data)
        return None if event_id is None else EventId(UUID(event_id))

    def emit_text(self, event_type: str, execution_id: ExecutionId, data: Mapping[str, Any]) -> str | None:
        """`emit` that gives the id as text: to make a UUID of it would be a sixth of an event's cost."""
        route = self._routes[event_type]
        if self._transport is None or self._closed:
            return None
        event_id = self._event_ids.next()
        try:
            record = self._record(event_id, event_type, route, execution_id, data)
        except NotEncodableError:
            self._outbox.count_dropped(execution_id, DropReason.TOO_LARGE)
            return None
        except Exception:  # a value whose own methods raise
            logger.exception("an event could not be serialized and was dropped")
            self._outbox.count_dropped(execution_id, DropReason.NOT_SERIALIZABLE)
            return None
        accepted = self._outbox.append(record)
        sender = self._sender or self._start()
        if sender is not None:
            sender.wake()
        return event_id if accepted else None

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
        self._stop(sender, self.close_timeout_s if timeout is None else timeout)
        return self._delivery()

    async def flush_async(self, timeout: float) -> Delivery:
        """`flush` for coroutines."""
        return await in_daemon_thread(lambda: self.flush(timeout))

    async def close_async(self, timeout: float | None = None) -> Delivery:
        """`close` for coroutines."""
        return await in_daemon_thread(lambda: self.close(timeout))

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

    def _next_in_stream(self, execution_id: ExecutionId) -> tuple[_Stream, int]:
        with self._lock:
            stream = self._streams.pop(execution_id, None)
            if stream is None:
                stream = _Stream(execution_id)
                if len(self._streams) >= _STREAMS_KEPT_MAX:
                    del self._streams[next(iter(self._streams))]
            self._streams[execution_id] = stream
            stream.sequence += 1
            return stream, stream.sequence

    def _record(
        self, event_id: str, event_type: str, route: _Route, execution_id: ExecutionId, data: Mapping[str, Any]
    ) -> OutgoingRecord:
        stream, sequence = self._next_in_stream(execution_id)
        now = self.clock.now()
        if now.tzinfo is None:
            now = now.replace(tzinfo=UTC)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": event_id,
            "source": self._settings.source,
            "type": event_type,
            "subject": stream.subject,
            "time": now,
            "partitionkey": stream.subject,
            "sequence": f"{sequence:010d}",
            **self._trace,
            "data": data,
        }
        if event_type == COMPLETED:
            self._add_counts(event, execution_id, sequence)
        return OutgoingRecord(
            route.topic,
            stream.key,
            encode(event),
            (route.type_header, ("ce_id", event_id.encode()), *self._common_headers),
            int(now.timestamp() * 1000),
            execution_id,
            route.is_lifecycle,
        )

    def _add_counts(self, event: dict[str, Any], execution_id: ExecutionId, last_sequence: int) -> None:
        event["data"] = {**event["data"], "last_sequence": last_sequence}
        self._outbox.make_room(len(encode(event)) + _COUNTS_BYTES_MAX)
        event["data"]["dropped"] = self._outbox.dropped_of(execution_id)
        self._outbox.forget(execution_id)

    def _start(self) -> Sender | None:
        from arc_eval_db.producers.sender import Sender  # noqa: PLC0415 - see __init__

        with self._lock:
            if self._sender is None and not self._closed:
                assert self._transport is not None
                try:
                    self._sender = Sender(self._outbox, self._transport)
                except (OSError, RuntimeError) as error:  # out of files or threads, or the interpreter is ending
                    if not self._start_has_failed:
                        logger.error("arc-eval-db cannot send events for now: %s", error)
                    self._start_has_failed = True
                    return None
                atexit.register(self.close)
            return self._sender

    def _stop(self, sender: Sender | None, timeout: float) -> None:
        try:
            if sender is not None:
                self._outbox.wait_settled(timeout * _DELIVERY_SHARE)
        finally:
            # Also when the wait was interrupted from the keyboard: what is left is counted, and the thread ends.
            if sender is not None and not sender.stop(max(0.05, timeout * (1 - _DELIVERY_SHARE))):
                logger.warning("the sending thread did not stop in time; it ends with the process")
            self._outbox.close()
            if lost := self._outbox.dropped.get(DropReason.UNDELIVERED):
                logger.warning("%d events could not be delivered and are lost", lost)

    def _delivery(self) -> Delivery:
        return Delivery(sent=self._outbox.sent, pending=self._outbox.pending, dropped=self._outbox.dropped)
