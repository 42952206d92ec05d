"""How the client does one thing: on a session of the pool, tried again, within its time, counted and logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from arc_eval_db.database import DatabaseSettings, PoolClosedError, Session, SessionPool
from arc_eval_db.errors import ArcEvalError, PoisonError, RetryableError
from arc_eval_db.metrics import MetricDefinition, Metrics
from arc_eval_db.retries import RetryPolicy, retry

ClientMetricName = Literal[
    "arc_eval_client_operations_total",
    "arc_eval_client_operation_seconds",
    "arc_eval_client_retries_total",
    "arc_eval_client_records_total",
    "arc_eval_client_pool_connections",
]

CLIENT_METRICS: tuple[MetricDefinition[ClientMetricName], ...] = (
    MetricDefinition(
        "arc_eval_client_operations_total",
        "counter",
        ("operation", "result"),
        "Calls of the client, by method; result: succeeded, refused (the input), failed, cancelled.",
    ),
    MetricDefinition(
        "arc_eval_client_operation_seconds", "histogram", ("operation",), "Time of a call, with all its attempts."
    ),
    MetricDefinition(
        "arc_eval_client_retries_total",
        "counter",
        ("operation", "cause"),
        "Attempts that failed for a passing reason and were followed by another, by error.",
    ),
    MetricDefinition(
        "arc_eval_client_records_total", "counter", ("result",), "Records, by result: inserted, duplicate, refused."
    ),
    MetricDefinition(
        "arc_eval_client_pool_connections",
        "gauge",
        ("state",),
        "Connections of the pool when a call last took or gave back one, by state: idle, in_use.",
    ),
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.client")

# For who tells of errors in another way.
_QUIET: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)

T = TypeVar("T")


class ClientMetrics(Metrics[ClientMetricName]):
    """The metrics of one client, or of several that share the object."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(CLIENT_METRICS, registry)


@dataclass(frozen=True, slots=True)
class Operation:
    """One finished call, for the hook `on_operation`."""

    name: str
    """The method's name."""
    result: Literal["succeeded", "refused", "failed", "cancelled"]
    seconds: float
    attempts: int
    """How often the database was asked; 0 where the input was refused before."""
    error: BaseException | None


OnOperation = Callable[[Operation], None]


@dataclass(slots=True)
class Running:
    """A call in progress."""

    name: str
    attempts: int = 0


class Operations:
    """Runs the calls of one client."""

    def __init__(
        self,
        retries: RetryPolicy,
        metrics: ClientMetrics,
        on_operation: OnOperation | None,
        *,
        is_quiet: bool = False,
    ) -> None:
        """
        Args:
            is_quiet: log nothing.
        """
        self.metrics = metrics
        self._log = _QUIET if is_quiet else log
        self._retries = retries
        self._on_operation = on_operation
        self._pool: SessionPool | None = None
        self._opening = asyncio.Lock()

    @property
    def pool(self) -> SessionPool:
        """The open pool.

        Raises:
            PoolClosedError: there is none.
        """
        if self._pool is None:
            raise PoolClosedError("the client is not open: use `async with`, or await open() first")
        return self._pool

    async def open(self, settings: DatabaseSettings | None, application_name: str) -> None:
        """Open the pool, unless it is open."""
        async with self._opening:
            if self._pool is not None:
                return
            known = settings or DatabaseSettings.load()
            with self.running("open") as running:
                self._pool = await self._retried(
                    running, lambda: SessionPool.open(known, application_name=application_name)
                )

    async def close(self, timeout_s: float) -> None:
        """Close the pool, if it is open."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(timeout_s)

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Running]:
        """The block is one call: its result and time are counted, logged, and told to the hook."""
        running = Running(name)
        started = time.monotonic()
        try:
            yield running
        except BaseException as error:
            self._finish(running, time.monotonic() - started, error)
            raise
        self._finish(running, time.monotonic() - started, None)

    async def on_session(self, running: Running, work: Callable[[Session], Awaitable[T]]) -> T:
        """What `work` returns, called with one session after another until it succeeds or the time is over."""

        async def attempt() -> T:
            pool = self.pool
            try:
                async with pool.session() as session:
                    self.show(pool)
                    return await work(session)
            finally:
                self.show(pool)

        return await self._retried(running, attempt)

    def show(self, pool: SessionPool) -> None:
        """Set the gauges to how the pool is."""
        statistics = pool.statistics
        self.metrics.set("arc_eval_client_pool_connections", statistics.idle, state="idle")
        self.metrics.set("arc_eval_client_pool_connections", statistics.in_use, state="in_use")

    async def _retried(self, running: Running, work: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            running.attempts += 1
            return await work()

        def note(error: RetryableError, number: int, pause_s: float) -> None:
            cause = type(error).__name__
            self.metrics.count("arc_eval_client_retries_total", operation=running.name, cause=cause)
            self._log.warning(
                "client_operation_retried",
                operation=running.name,
                attempt=number,
                cause=cause,
                error=str(error),
                retry_in_s=round(pause_s, 3),
            )

        return await retry(attempt, self._retries, on_retry=note)

    def _finish(self, running: Running, seconds: float, error: BaseException | None) -> None:
        operation = Operation(running.name, _result(error), seconds, running.attempts, error)
        self.metrics.count("arc_eval_client_operations_total", operation=operation.name, result=operation.result)
        self.metrics.observe("arc_eval_client_operation_seconds", seconds, operation=operation.name)
        if operation.result in ("failed", "refused"):
            self._log.warning(
                "client_operation_failed",
                operation=operation.name,
                result=operation.result,
                cause=type(error).__name__,
                # Our own messages never show a value; others may.
                error=str(error) if isinstance(error, ArcEvalError) else None,
                attempts=operation.attempts,
                seconds=round(seconds, 3),
            )
        if self._on_operation is not None:
            try:
                self._on_operation(operation)
            except Exception as raised:  # noqa: BLE001 - a hook must not make a written record look unwritten
                self._log.error("client_hook_failed", operation=operation.name, cause=type(raised).__name__)


def _result(error: BaseException | None) -> Literal["succeeded", "refused", "failed", "cancelled"]:
    if error is None:
        return "succeeded"
    if isinstance(error, PoisonError):
        return "refused"
    return "failed" if isinstance(error, Exception) else "cancelled"
