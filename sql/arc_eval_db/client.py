"""The database for programs: record without Kafka, read back, and know how it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from arc_eval_db.database import DatabaseSettings, PoolClosedError, Session, SessionPool
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.operations import CLIENT_METRICS, ClientMetrics, OnOperation, Operation, Operations, Running
from arc_eval_db.records import (
    DEFAULT_SOURCE,
    ExecutionReference,
    ExecutionStart,
    Failure,
    Outcome,
    Record,
    ToolUse,
    event_of,
)
from arc_eval_db.results import (
    ActiveConfiguration,
    ActiveSimulation,
    HealthReport,
    OutcomeCursor,
    OutcomePage,
    RecordReport,
    RefusedRecord,
    StoredEvent,
    StoredExecution,
    StoredFailure,
    StoredOutcome,
    StoredToolUse,
    json_value,
)
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas.events import Event, FailureRecordedEvent
from arc_eval_db.schemas.ids import failure_pattern_id
from arc_eval_db.schemas.limits import TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.refusals import EventRefusedError
from arc_eval_db.sql import list_files, queries
from arc_eval_db.writer import BatchWriter, LoggedEvent, WriteReport
from arc_eval_db.writer.patterns import failure_signature

__all__ = ["CLIENT_METRICS", "RECORDS_MAX", "ArcEvalDBClient", "ClientMetrics", "Operation"]

RECORDS_MAX = 10_000
"""Records in one call of `record_tool_usage`, and rows in one answer."""

# Clocks differ, and an event may come before the start of its execution: looked for a day around it.
_SLACK = timedelta(days=1)

_NO_ID = UUID(int=0)

T = TypeVar("T")

# Checking a record takes 30 to 90 µs; the other tasks of the event loop get their turn in between.
_CHECKED_AT_ONCE = 100


class ArcEvalDBClient:
    """Records and reads over a pool of connections, for many tasks of one event loop.

    Example:
        async with ArcEvalDBClient() as client:
            execution = await client.record_execution_start(ExecutionStart("refund-flow", {"model": "m1"}))
            await client.record_execution_outcome(Outcome(execution, "succeeded", score=0.9))

    Every call has a deadline. What fails for a passing reason is tried again, which is safe: a record is one row
    however often it is sent, as its id is chosen before the first attempt.

    Every method may raise:
        RetryableError: the database was away, or too busy, until attempts or time were used up. For a record whose
            connection was lost at the wrong moment it is not known whether it was written; record it again with the
            same `event_id`.
        FatalError: the schema, a right or the settings are wrong, or the client is not open.
    """

    def __init__(
        self,
        settings: DatabaseSettings | None = None,
        *,
        application_name: str = "arc-eval-db client",
        source: str = DEFAULT_SOURCE,
        retries: RetryPolicy | None = None,
        metrics: ClientMetrics | None = None,
        on_operation: OnOperation | None = None,
    ) -> None:
        """
        Args:
            settings: by default from the environment, read when the client is opened.
            application_name: what the server's `pg_stat_activity` shows.
            source: a URI reference to the program, for records that name none.
            retries: how often to try, and the deadline of every call: by default five times within 30 s.
            metrics: by default of the client's own.
            on_operation: called after each call, on the event loop; it should not raise (it is logged) nor block.
        """
        self.metrics = ClientMetrics() if metrics is None else metrics
        self._settings = settings
        self._application_name = application_name
        self._source = source
        self._operations = Operations(retries or RetryPolicy(), self.metrics, on_operation)
        self._writer = BatchWriter()
        self._queries = queries("client")

    @property
    def pool(self) -> SessionPool:
        """The open pool, to look at (`DatabaseHealthChecker`).

        Raises:
            PoolClosedError: the client is not open.
        """
        return self._operations.pool

    async def open(self) -> None:
        """Open the pool; nothing happens where it is open already.

        Raises:
            SettingsError: `ARC_EVAL_DATABASE_URL` or another setting is missing or wrong.
        """
        await self._operations.open(self._settings, self._application_name)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Let calls in progress end; when the time is over, drop their connections: they fail with an error."""
        await self._operations.close(timeout_s)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def record_execution_start(self, start: ExecutionStart) -> ExecutionReference:
        """Record that an agent began, and return what everything else about this execution refers to.

        With an `event_id` and no `execution_id` the two are the same, so that a repeated call means the same execution.

        Raises:
            EventRefusedError: a value does not fit; the detail names the field. Nothing was sent.
            RowRefusedError: the database would not store it.
        """
        with self._operations.running("record_execution_start") as running:
            event = self._event_of(start)
            await self._write_one(running, event)
            return ExecutionReference.of(event)

    async def record_execution_outcome(self, outcome: Outcome) -> bool:
        """Record how an execution ended. False where a record with this id was there already.

        Raises:
            EventRefusedError, RowRefusedError: as `record_execution_start`.
        """
        with self._operations.running("record_execution_outcome") as running:
            return await self._write_one(running, self._event_of(outcome))

    async def record_failure_pattern(self, failure: Failure) -> UUID:
        """Record a failure, and return the id of its pattern: failures whose messages differ in details share one.

        Raises:
            EventRefusedError, RowRefusedError: as `record_execution_start`.
        """
        with self._operations.running("record_failure_pattern") as running:
            event = self._event_of(failure)
            await self._write_one(running, event)
            assert isinstance(event, FailureRecordedEvent)
            return failure_pattern_id(event.data.kind, failure_signature(event.data.message))

    async def record_tool_usage(self, uses: Sequence[ToolUse]) -> RecordReport:
        """Record uses of tools, in one transaction. Those that cannot be stored are reported; the others are kept.

        Raises:
            ValueError: more than `RECORDS_MAX`.
        """
        if len(uses) > RECORDS_MAX:
            raise ValueError(f"{len(uses)} records in one call; at most {RECORDS_MAX} are taken")
        with self._operations.running("record_tool_usage") as running:
            events: list[LoggedEvent] = []
            places: list[int] = []
            refused: list[RefusedRecord] = []
            for index, use in enumerate(uses):
                if index % _CHECKED_AT_ONCE == 0:
                    await asyncio.sleep(0)
                try:
                    events.append(LoggedEvent(self._event_of(use)))
                    places.append(index)
                except EventRefusedError as error:
                    refused.append(RefusedRecord(index, error))
            self.metrics.count("arc_eval_client_records_total", len(refused), result="refused")
            report = await self._write(running, events) if events else WriteReport()
            refused += [RefusedRecord(places[one.index], one.error) for one in report.refused]
            refused.sort(key=lambda one: one.index)
            return RecordReport(report.inserted, report.duplicates, tuple(refused))

    async def reference_to(self, execution_id: UUID) -> ExecutionReference | None:
        """What records about a known execution refer to; None where it is unknown."""
        rows = await self._fetch("reference_to", "reference_to", execution_id)
        return ExecutionReference(**rows[0]) if rows else None

    async def get_execution(self, execution_id: UUID) -> StoredExecution | None:
        """An execution and what happened in it, at most `RECORDS_MAX` of each kind; None where it is unknown.

        What says it happened more than a day before its start or after its end is left out.
        """
        with self._operations.running("get_execution") as running:
            return await self._operations.on_session(
                running, lambda session: self._read_execution(session, execution_id)
            )

    async def get_outcomes(
        self,
        configuration_version_id: UUID,
        *,
        since: datetime,
        until: datetime | None = None,
        limit: int = 1000,
        after: OutcomeCursor | None = None,
    ) -> OutcomePage:
        """Outcomes of a configuration version from `since` up to, not including, `until`, in the order of time.

        Args:
            limit: rows in the answer, at most `RECORDS_MAX`.
            after: the `next` of the page before. What arrives later with an earlier time is not met any more.

        Raises:
            ValueError: a time without its offset from UTC, or a limit out of range.
        """
        until = datetime.now(UTC) + TIME_AHEAD_MAX if until is None else until
        if since.tzinfo is None or until.tzinfo is None:
            raise ValueError("since and until need an offset from UTC, such as datetime.now(UTC) has")
        _check_limit(limit)
        begin = after or OutcomeCursor(since, _NO_ID)
        rows = await self._fetch(
            "get_outcomes", "outcomes", configuration_version_id, begin.time, until, begin.event_id, limit
        )
        outcomes = tuple(StoredOutcome.of(row) for row in rows)
        is_last = len(outcomes) < limit
        return OutcomePage(outcomes, None if is_last else OutcomeCursor(outcomes[-1].time, outcomes[-1].event_id))

    async def get_active_configurations(
        self, since: timedelta = timedelta(days=30), *, limit: int = 1000
    ) -> tuple[ActiveConfiguration, ...]:
        """Configuration versions with executions that started within `since` of now, the latest first.

        Raises:
            ValueError: a limit out of range.
        """
        _check_limit(limit)
        rows = await self._fetch("get_active_configurations", "active_configurations", since, limit)
        return tuple(ActiveConfiguration.of(row) for row in rows)

    async def get_active_simulations(self, *, limit: int = 1000) -> tuple[ActiveSimulation, ...]:
        """Simulations in which an execution is running, the one with the latest start or end first.

        Raises:
            ValueError: a limit out of range.
        """
        _check_limit(limit)
        rows = await self._fetch("get_active_simulations", "active_simulations", limit)
        return tuple(ActiveSimulation(**row) for row in rows)

    async def read(self, operation: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """What `work` returns, called with a session of the pool, and again where that failed for a passing reason.

        It should change nothing. `operation` is the call's name in metrics and logs.
        """
        with self._operations.running(operation) as running:
            return await self._operations.on_session(running, work)

    async def health_check(self, timeout_s: float = 5.0) -> HealthReport:
        """How the database looks from here. An unreachable one is reported, not raised; nothing is tried again."""
        pool = self._operations.pool
        problems: list[str] = []
        latency_ms = None
        server: Mapping[str, Any] = {"version": None, "writable": False, "has_schema": False}
        schema: Mapping[str, Any] = {"version": None, "edition": None}
        try:
            async with asyncio.timeout(timeout_s), pool.session() as session:
                started = time.monotonic()
                await session.execute(self._queries["ping"])
                latency_ms = (time.monotonic() - started) * 1000
                (server,) = await session.fetch(self._queries["server"])
                if server["has_schema"]:
                    schema = next(iter(await session.fetch(self._queries["schema_version"])), schema)
                problems += _problems(server, schema)
        except PoolClosedError:
            raise
        except TimeoutError:
            problems.append(f"no answer within {timeout_s:g} s")
        except ArcEvalError as error:
            problems.append(str(error))
        self._operations.show(pool)
        return HealthReport(
            reachable=latency_ms is not None,
            latency_ms=latency_ms,
            server_version=server["version"],
            edition=schema["edition"],
            schema_version=schema["version"],
            schema_version_needed=_schema_version_needed(),
            writable=server["writable"],
            pool=pool.statistics,
            problems=tuple(problems),
        )

    def _event_of(self, record: Record) -> Event:
        envelope = record.envelope
        if envelope.source == DEFAULT_SOURCE:
            envelope = replace(envelope, source=self._source)
        if isinstance(record, ExecutionStart) and record.execution_id is None:
            record = replace(record, execution_id=envelope.event_id)
        return event_of(replace(record, envelope=envelope))

    async def _write_one(self, running: Running, event: Event) -> bool:
        report = await self._write(running, [LoggedEvent(event)])
        for refused in report.refused:
            raise refused.error
        return report.inserted == 1

    async def _write(self, running: Running, events: Sequence[LoggedEvent]) -> WriteReport:
        async def write(session: Session) -> WriteReport:
            async with session.transaction():
                return await self._writer.write(session, events)

        report = await self._operations.on_session(running, write)
        count = self.metrics.count
        count("arc_eval_client_records_total", report.inserted, result="inserted")
        count("arc_eval_client_records_total", report.duplicates, result="duplicate")
        count("arc_eval_client_records_total", len(report.refused), result="refused")
        return report

    async def _fetch(self, operation: str, query: str, *arguments: Any) -> list[Mapping[str, Any]]:
        with self._operations.running(operation) as running:
            return await self._operations.on_session(
                running, lambda session: session.fetch(self._queries[query], *arguments)
            )

    async def _read_execution(self, session: Session, execution_id: UUID) -> StoredExecution | None:
        rows = await session.fetch(self._queries["execution"], execution_id)
        if not rows:
            return None
        execution = rows[0]
        begin = execution["started_at"] or TIME_MIN
        end = execution["ended_at"] or datetime.now(UTC) + TIME_AHEAD_MAX

        async def read(query: str, limit: int) -> list[Mapping[str, Any]]:
            return await session.fetch(self._queries[query], execution_id, begin - _SLACK, end + _SLACK, limit)

        outcomes = await read("execution_outcome", 1)
        # One more than is given back shows whether there are more.
        events = await read("execution_events", RECORDS_MAX + 1)
        tools = await read("execution_tool_usage", RECORDS_MAX + 1)
        failures = await read("execution_failures", RECORDS_MAX + 1)
        return StoredExecution(
            **{**execution, "metadata": json_value(execution["metadata"])},
            outcome=StoredOutcome.of(outcomes[0]) if outcomes else None,
            events=tuple(StoredEvent.of(row) for row in events[:RECORDS_MAX]),
            tool_usage=tuple(StoredToolUse.of(row) for row in tools[:RECORDS_MAX]),
            failures=tuple(StoredFailure.of(row) for row in failures[:RECORDS_MAX]),
            is_truncated=any(len(rows) > RECORDS_MAX for rows in (events, tools, failures)),
        )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= RECORDS_MAX:
        raise ValueError(f"limit: from 1 to {RECORDS_MAX}, not {limit}")


def _schema_version_needed() -> int:
    return max(int(name[:4]) for name in list_files("migrations"))


def _problems(server: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    problems = []
    version, needed = schema["version"] or 0, _schema_version_needed()
    if version < needed:
        problems.append(f"the schema is at {version:04d}, this release needs {needed:04d}; run: arc-eval-db migrate up")
    if not server["writable"]:
        problems.append("the server takes no writes: a standby, or default_transaction_read_only is on")
    return problems
