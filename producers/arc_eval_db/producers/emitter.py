"""`EventEmitter`: takes events from the agent's threads in microseconds and sends them from a thread of its own."""

from __future__ import annotations

import atexit
import copy
import itertools
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID
from weakref import WeakSet

from arc_eval_db.producers.bridge import in_daemon_thread
from arc_eval_db.producers.clock import SYSTEM_CLOCK, Clock
from arc_eval_db.producers.configured import settings_or_default, transport_or_none
from arc_eval_db.producers.encoding import NotEncodableError, encode
from arc_eval_db.producers.event_ids import EventIdSource
from arc_eval_db.producers.headers import Header, common_headers, id_header, type_header
from arc_eval_db.producers.outbox import DropReason, Importance, Outbox, OutgoingRecord, importance_of
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports import Transport
from arc_eval_db.schemas.ids import EventId, ExecutionId
from arc_eval_db.schemas.topics import COMPLETED, TOPIC_OF_TYPE

if TYPE_CHECKING:
    from arc_eval_db.producers.sender import Sender

logger = logging.getLogger("arc_eval_db.producers")

# Streams are kept also for ended executions, whose late events go on counting; the least recently used go first.
_STREAMS_KEPT_MAX = 10_000

# Of the time that `close` has, this share is for delivery and the rest for ending the thread.
_DELIVERY_SHARE = 0.85

# The counts in a terminal event may grow by so many bytes between the look at its size and its encoding.
_COUNTS_BYTES_MAX = 256


class _Route(NamedTuple):
    """What is the same for every event of a type."""

    topic: str
    headers: tuple[Header, ...]
    """Those that do not name the event."""
    importance: Importance


class _Stream:
    """What is the same for every event of an execution, and their numbers."""

    __slots__ = ("key", "numbers", "subject")

    def __init__(self, execution_id: ExecutionId) -> None:
        self.subject = str(execution_id)
        self.key = self.subject.encode()
        self.numbers: Iterator[int] = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the events so far."""

    sent: int
    pending: int
    """Neither sent nor dropped yet, and not in the spool."""
    dropped: dict[str, int]
    """By reason."""
    spooled: int = 0
    """In the spool, and not acknowledged: this process sends them while it can, `arc-eval-db spool push` later."""

    @property
    def complete(self) -> bool:
        """Whether every event is where it should be."""
        return self.pending == 0 and self.spooled == 0 and not self.dropped


class EventEmitter:
    """Numbers, encodes and queues events; a background thread sends them.

    `emit` never blocks and never raises for our reasons. `flush` and `close` keep their time-out whatever the broker
    does. Safe to use from several threads and from signal handlers. Emitters that are never closed are closed at
    interpreter exit. In a forked child an emitter starts anew: what waits in the parent is the parent's to send.

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
        common = common_headers(self._settings.traceparent)
        self._routes = {
            event_type: _Route(topic.name(prefix), (type_header(event_type), *common), importance_of(event_type))
            for event_type, topic in TOPIC_OF_TYPE.items()
        }
        self.close_timeout_s = self._settings.emitter.close_timeout_s
        self._streams: OrderedDict[int, _Stream] = OrderedDict()
        self._closed = False
        self._begin()
        if self._transport is not None:
            _emitters.add(self)
            # asyncio is half of what importing the SDK would cost. Here, and not in the first `emit`, it is paid by
            # those who send.
            import arc_eval_db.producers.sender  # noqa: F401, PLC0415

    def _begin(self) -> None:
        """What belongs to one process."""
        settings = self._settings.emitter
        self._outbox = Outbox(settings.queue_records_max, settings.queue_bytes_max)
        self._event_ids = EventIdSource()
        # A signal handler may emit while its thread holds it.
        self._lock = threading.RLock()
        self._sender: Sender | None = None
        self._is_starting = False
        self._start_has_failed = False

    @property
    def enabled(self) -> bool:
        """False where nothing is configured: events are then discarded at once."""
        return self._transport is not None

    def emit(
        self, event_type: str, execution_id: ExecutionId, data: Mapping[str, Any], *, numbered: bool = True
    ) -> EventId | None:
        """Queue one event.

        Args:
            event_type: such as "arc_eval.tool.used.v1".
            execution_id: the execution it belongs to; also the Kafka key, so that an execution's events stay in order.
            data: the event's content; must not be changed by the caller during the call. What is too long or not
                JSON is cut or replaced.
            numbered: False for what is said from outside of the execution: it gets sequence 0 and does not count
                among the events that the execution's own producer numbers.

        Returns:
            The event's id, or None when it was dropped (and counted) or nothing is configured.

        Raises:
            KeyError: the event type does not exist.
        """
        event_id = self.emit_text(event_type, execution_id, data, numbered=numbered)
        return None if event_id is None else EventId(UUID(event_id))

    def emit_text(
        self, event_type: str, execution_id: ExecutionId, data: Mapping[str, Any], *, numbered: bool = True
    ) -> str | None:
        """`emit` that gives the id as text: to make a UUID of it would be a sixth of an event's cost."""
        route = self._routes[event_type]
        if self._transport is None or self._closed:
            return None
        event_id = self._event_ids.next()
        try:
            stream, sequence = self._next_in_stream(execution_id) if numbered else (_Stream(execution_id), 0)
            record = self._record(event_id, event_type, route, stream, sequence, execution_id, data)
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
        # Every step is one that neither a thread nor a signal handler can come in between, so that no lock is needed.
        # Integers are hashed without running Python code; UUIDs are not.
        key = execution_id.int
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams.setdefault(key, _Stream(execution_id))
            while len(self._streams) > _STREAMS_KEPT_MAX:
                self._streams.popitem(last=False)
        else:
            try:
                self._streams.move_to_end(key)
            except KeyError:  # another thread has just made room
                stream = self._streams.setdefault(key, stream)
        return stream, next(stream.numbers)

    def _record(
        self,
        event_id: str,
        event_type: str,
        route: _Route,
        stream: _Stream,
        sequence: int,
        execution_id: ExecutionId,
        data: Mapping[str, Any],
    ) -> OutgoingRecord:
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
            "data": data,
        }
        if self._settings.traceparent is not None:
            event["traceparent"] = self._settings.traceparent
        if event_type == COMPLETED:
            self._add_counts(event, execution_id, sequence)
        return OutgoingRecord(
            route.topic,
            stream.key,
            encode(event),
            (id_header(event_id), *route.headers),
            int(now.timestamp() * 1000),
            execution_id,
            route.importance,
        )

    def _add_counts(self, event: dict[str, Any], execution_id: ExecutionId, last_sequence: int) -> None:
        event["data"] = {**event["data"], "last_sequence": last_sequence}
        self._outbox.make_room(len(encode(event)) + _COUNTS_BYTES_MAX)
        event["data"]["dropped"] = self._outbox.dropped_of(execution_id)
        self._outbox.forget(execution_id)

    def _start(self) -> Sender | None:
        from arc_eval_db.producers.sender import Sender  # noqa: PLC0415 - see __init__

        with self._lock:
            if self._sender is None and not self._closed and not self._is_starting:
                assert self._transport is not None
                settings = self._settings.emitter
                self._is_starting = True
                try:
                    self._sender = Sender(
                        self._outbox,
                        self._transport,
                        spool_dir=settings.spool_dir,
                        spool_bytes_max=settings.spool_bytes_max,
                    )
                except (OSError, RuntimeError) as error:  # out of files or threads, or the interpreter is ending
                    if not self._start_has_failed:
                        logger.error("arc-eval-db cannot send events for now: %s", error)
                    self._start_has_failed = True
                    return None
                finally:
                    self._is_starting = False
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
            self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        directory = self._settings.emitter.spool_dir
        if spooled := self._outbox.spooled:
            logger.warning(
                "%d events are left in the spool %s; arc-eval-db spool push %s sends them",
                spooled,
                directory,
                directory,
            )
        if lost := self._outbox.dropped.get(DropReason.UNDELIVERED):
            advice = "; set ARC_EVAL_SPOOL_DIR, and they are kept on the disk" if directory is None else ""
            logger.warning("%d events could not be delivered and are lost%s", lost, advice)

    def _delivery(self) -> Delivery:
        outbox = self._outbox
        return Delivery(sent=outbox.sent, pending=outbox.pending, dropped=outbox.dropped, spooled=outbox.spooled)

    def begin_in_child(self) -> None:
        """After a fork: the sender's thread is not here, and locks may be held by threads that are not either."""
        if self._sender is not None:
            self._sender.abandon()
        # The parent's objects share sockets and the event loop's registrations with it. Nothing here may tidy them up.
        _of_parents.append((self._outbox, self._sender, self._transport))
        self._transport = copy.copy(self._transport)
        for stream in list(self._streams.values()):
            # The parent goes on numbering. What the child adds is no part of that sequence.
            stream.numbers = itertools.repeat(0)
        self._begin()


_emitters: WeakSet[EventEmitter] = WeakSet()
_of_parents: list[object] = []


def _begin_in_child() -> None:
    for emitter in list(_emitters):
        emitter.begin_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_begin_in_child)
