"""The addresses, and what is answered at each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, Protocol, TypeAlias

from prometheus_client import CollectorRegistry

from arc_eval_db.consumers.http.access import Access
from arc_eval_db.consumers.http.background import BackgroundMonitor, MonitorAwayError
from arc_eval_db.consumers.http.request import Request
from arc_eval_db.consumers.monitoring import Look, PipelineMonitor, TooManyListenersError
from arc_eval_db.consumers.monitoring.answers import (
    EVENT_STREAM,
    STREAM_BEGIN,
    Answer,
    busy,
    health_answer,
    lag_answer,
    metrics_answer,
    not_found,
    stream_event,
    unseen,
    update_event,
)

# Whoever asks for a look has a thread for so long; the look goes on, and the next one who asks has its result.
_LOOK_WAIT_S = 15.0
_ASK_TIMEOUT_S = 5.0

# Of those who wait for a look, so that probes have threads left.
_WAITING_MAX = 8

_PROGRESS_INTERVAL_S = 1.0


Stream: TypeAlias = Generator[bytes, None, None]
"""The parts of an answer that goes on; to be closed by whoever reads it."""


class Subject(Protocol):
    """What is looked at: a worker, or a supervisor. Asked by any thread, also while its event loop is blocked."""

    def health(self) -> Answer:
        """200 while it moves; 503 with the reason and what to do. Never for servers that are away."""
        ...

    def readiness(self) -> Answer:
        """200 while it is ready for work; 503 with the reason."""
        ...

    def progress(self) -> dict[str, Any]:
        """How it gets on, for the stream."""
        ...


class Routes:
    """Answers requests; any number of threads at once."""

    def __init__(
        self,
        subject: Subject,
        registries: Sequence[CollectorRegistry],
        access: Access,
        monitor: BackgroundMonitor,
        *,
        listeners_max: int,
    ) -> None:
        self._access = access
        self._monitor = monitor
        self._subject = subject
        self._listeners = threading.BoundedSemaphore(listeners_max)
        self._waiting = threading.BoundedSemaphore(_WAITING_MAX)
        self._listeners_max = listeners_max
        self._is_over = threading.Event()
        self._open: dict[str, Callable[[Request], Answer]] = {
            "/healthz": lambda _: subject.health(),
            "/readyz": lambda _: subject.readiness(),
            "/metrics": lambda request: metrics_answer(registries, request.header("accept")),
        }
        self._guarded: dict[str, Callable[[Request], Answer | Stream]] = {
            "/api/lag": lambda _: self._looked("lag", PipelineMonitor.fresh_lag, lag_answer),
            "/api/health": lambda _: self._looked("health", PipelineMonitor.fresh_health, health_answer),
            "/api/stream": self._stream,
        }

    def answer(self, request: Request) -> Answer | Stream:
        """The answer, or the parts of a stream that goes on until its listener is gone or `close` is called."""
        if (misdirected := self._access.misdirected(request)) is not None:
            return misdirected
        if request.path in self._open:
            return self._open[request.path](request)
        if request.path not in self._guarded:
            return not_found((*self._open, *self._guarded))
        return self._access.refused(request) or self._guarded[request.path](request)

    def close(self) -> None:
        """End streams and looks."""
        self._is_over.set()
        self._monitor.close()

    def _looked(
        self,
        what: str,
        look: Callable[[PipelineMonitor], Coroutine[Any, Any, Look[Any]]],
        as_answer: Callable[[Look[Any]], Answer],
    ) -> Answer:
        if not self._waiting.acquire(blocking=False):
            return busy(f"{_WAITING_MAX} wait for a look already", "ask again in some seconds, or follow /api/stream")
        try:
            return as_answer(self._monitor.ask(look, _LOOK_WAIT_S))
        except TimeoutError:
            return unseen(what, f"the look has not ended within {_LOOK_WAIT_S:g} s; Kafka or the database is slow")
        except MonitorAwayError as error:
            return unseen(what, str(error))
        finally:
            self._waiting.release()

    def _stream(self, request: Request) -> Answer | Stream:
        if request.method == "HEAD":
            return Answer(200, EVENT_STREAM, b"")
        if not self._listeners.acquire(blocking=False):
            return busy(
                f"{self._listeners_max} listen already", "close one, or raise ARC_EVAL_CONSUMER_HTTP_LISTENERS_MAX"
            )
        events = self._events()
        next(events)
        return events

    def _events(self) -> Stream:
        try:
            yield b""  # from here on its end gives the place back, however little is read of it
            yield STREAM_BEGIN
            yield from self._followed()
        except (TooManyListenersError, MonitorAwayError, TimeoutError) as error:
            yield stream_event("ended", {"reason": str(error) or "the monitor does not answer"})
        finally:
            self._listeners.release()

    def _followed(self) -> Stream:
        with self._monitor.follow(_ASK_TIMEOUT_S) as wait_for_update:
            said_at = 0.0
            while not self._is_over.is_set():
                if (update := wait_for_update(_PROGRESS_INTERVAL_S)) is not None:
                    yield update_event(update)
                if time.monotonic() - said_at >= _PROGRESS_INTERVAL_S:
                    # Also what tells both sides that the other is there.
                    yield stream_event("progress", self._subject.progress())
                    said_at = time.monotonic()
