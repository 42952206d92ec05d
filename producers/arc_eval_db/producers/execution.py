"""`execution()`: what sandbox code uses. One `with` block is one execution."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from arc_eval_db.producers.clock import SYSTEM_CLOCK, Clock
from arc_eval_db.producers.emitter import EventEmitter
from arc_eval_db.producers.values import (
    amount_of,
    count_of,
    name_of,
    number_of,
    object_of,
    size_of,
    text_of,
    to_json,
    truth_of,
)
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED

logger = logging.getLogger("arc_eval_db.producers")

T = TypeVar("T")

_ATTEMPT_MAX = 1_000_000
_STATUSES = frozenset(status.value for status in ExecutionStatus)


def execution(
    scenario: str,
    configuration: Mapping[str, Any] | UUID,
    simulation: str | None = None,
    *,
    configuration_name: str | None = None,
    attempt: int = 1,
    metadata: Mapping[str, Any] | None = None,
    execution_id: ids.ExecutionId | None = None,
    emitter: EventEmitter | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Execution:
    """Record one execution of an agent; use it with `with` or `async with`.

    Args:
        scenario: what the agent works on.
        configuration: the agent's configuration, hashed and versioned for you, or the id of a known version.
        simulation: name of the batch of executions this one belongs to, such as "nightly-2026-11-23".
        configuration_name: groups versions of one configuration; by default `configuration["name"]`, if that is text.
        attempt: 1 for the first try of the same work, and so on.
        metadata: anything else worth a query later.
        execution_id: a UUIDv7; by default a new one.
        emitter: share one between executions of a process; by default each execution has its own.
        clock: where times come from, for runs recorded elsewhere; ignored when `emitter` is given.

    Raises:
        TypeError: `configuration` is neither a mapping nor a version's id, or `execution_id` is not a UUIDv7.

    >>> from arc_eval_db.producers import EventEmitter, MemoryTransport
    >>> memory = MemoryTransport()
    >>> with EventEmitter(transport=memory) as emitter:
    ...     with execution("refund-flow", {"model": "m1"}, emitter=emitter) as run:
    ...         with run.tool("lookup_order", {"order_id": 7}) as call:
    ...             order = call.result({"total": 12})
    ...         run.complete(success=True, score=0.82)
    >>> [event.type.split(".")[-2] for event in memory.events()]
    ['started', 'used', 'completed']
    """
    if execution_id is not None and not (isinstance(execution_id, UUID) and execution_id.version == 7):
        raise TypeError("execution_id must be a UUIDv7, such as arc_eval_db.schemas.ids.new_execution_id() makes")
    return Execution(
        emitter or EventEmitter(clock=clock),
        owns_emitter=emitter is None,
        execution_id=execution_id or ids.new_execution_id(),
        started=started_data(scenario, configuration, simulation, configuration_name, attempt, metadata),
    )


class Execution:
    """One execution in progress. Made by `execution()`; its methods may be called from any thread."""

    def __init__(
        self, emitter: EventEmitter, *, owns_emitter: bool, execution_id: ids.ExecutionId, started: dict[str, Any]
    ) -> None:
        self.execution_id = execution_id
        self._emitter = emitter
        self._owns_emitter = owns_emitter
        self._started = started
        self._context = {key: started[key] for key in ("configuration_version_id", "scenario_id", "simulation_id")}
        self._outcome: dict[str, Any] = {}
        self._started_at = 0.0
        self._state = "new"
        self._pid = 0

    def tool(self, name: str, arguments: Mapping[str, Any] | None = None) -> ToolCall:
        """Record the use of a tool; use it with `with` or `async with` around the call."""
        return ToolCall(self, name, arguments)

    def tool_used(
        self,
        name: str,
        *,
        success: bool,
        arguments: Mapping[str, Any] | None = None,
        duration_ms: float | None = None,
        error: str | None = None,
        result_bytes: int | None = None,
    ) -> None:
        """Record the use of a tool that is already over, as frameworks report it."""
        self._emit(
            TOOL_USED,
            {
                "tool": name_of(name),
                "success": truth_of(success, default=False),
                "duration_ms": amount_of(duration_ms, "duration_ms"),
                "error": None if error is None else text_of(error),
                "arguments": object_of(arguments),
                "result_bytes": count_of(result_bytes, "result_bytes"),
            },
        )

    def progress(
        self, message: str | None = None, *, step: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        """Say that the run is alive and what it does."""
        self._emit(
            PROGRESSED,
            {
                "message": None if message is None else text_of(message),
                "step": count_of(step, "step"),
                "details": object_of(details),
            },
        )

    def failure(self, kind: str, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        """Record that something went wrong; the run may go on. `kind` is short and stable, `message` is for people."""
        self._emit(
            FAILURE_RECORDED,
            {"kind": name_of(kind), "message": text_of(message), "details": object_of(details)},
        )

    def complete(
        self,
        success: bool | None = None,
        *,
        status: ExecutionStatus | str | None = None,
        score: float | None = None,
        cost_usd: float | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        error_kind: str | None = None,
        error_message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Set how the execution ends. It is sent when the block is left, as the execution's last event.

        Args:
            success: the goal was reached; `status` says more precisely how it ended, and wins over `success`.
            score: any finite number; higher is better.
            cost_usd: US dollars.
        """
        given = {
            "status": _status(status, success),
            "score": number_of(score, "score"),
            "cost_usd": amount_of(cost_usd, "cost_usd"),
            "input_tokens": count_of(input_tokens, "input_tokens"),
            "output_tokens": count_of(output_tokens, "output_tokens"),
            "error_kind": None if error_kind is None else name_of(error_kind),
            "error_message": None if error_message is None else text_of(error_message),
            "metadata": None if metadata is None else object_of(metadata),
        }
        self._outcome |= {key: value for key, value in given.items() if value is not None}

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("an execution can be entered once; call execution() again for another")
        self._state = "running"
        self._pid = os.getpid()
        self._started_at = self.monotonic()
        self._emitter.emit_text(STARTED, self.execution_id, self._started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish(error)
        if self._owns_emitter:
            self._emitter.close()
        else:
            self._emitter.flush(self._emitter.close_timeout_s)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish(error)
        if self._owns_emitter:
            await self._emitter.close_async()
        else:
            await self._emitter.flush_async(self._emitter.close_timeout_s)

    def monotonic(self) -> float:
        """Seconds of the emitter's steady clock."""
        return self._emitter.clock.monotonic()

    def _emit(self, event_type: str, data: dict[str, Any]) -> None:
        data.update(self._context)
        self._emitter.emit_text(event_type, self.execution_id, data)

    def _finish(self, error: BaseException | None) -> None:
        if self._state != "running" or self._pid != os.getpid():
            return  # in a forked child: how the execution ends is for the process to say that began it
        self._state = "ended"
        outcome = {"status": ExecutionStatus.SUCCEEDED.value, **self._outcome}
        if error is not None and (status := _status_of(error)) is not None:
            outcome |= {
                "status": status.value,
                "error_kind": name_of(type(error).__name__),
                "error_message": text_of(error),
            }
        outcome["duration_ms"] = max(0.0, (self.monotonic() - self._started_at) * 1000)
        self._emit(COMPLETED, outcome)


class ToolCall:
    """One use of a tool. Unsuccessful when `error` was called or the block is left by an exception, which goes on."""

    def __init__(self, run: Execution, name: str, arguments: Mapping[str, Any] | None) -> None:
        self._run = run
        self._name = name
        # A copy: what the tool does to its own arguments is not what it was called with.
        self._arguments = object_of(arguments)
        self._error: str | None = None
        self._result_bytes: int | None = None
        self._started_at = 0.0

    def result(self, value: T) -> T:
        """Record the size of the tool's result (never the result itself), and give it back."""
        self._result_bytes = size_of(value)
        return value

    def error(self, message: str) -> None:
        """Make this use unsuccessful."""
        self._error = text_of(message)

    def __enter__(self) -> Self:
        self._started_at = self._run.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self._error is None:
            self._error = f"{type(error).__name__}: {text_of(error)}"
        self._run.tool_used(
            self._name,
            success=self._error is None,
            arguments=self._arguments,
            duration_ms=max(0.0, (self._run.monotonic() - self._started_at) * 1000),
            error=self._error,
            result_bytes=self._result_bytes,
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def started_data(
    scenario: str,
    configuration: Mapping[str, Any] | UUID,
    simulation: str | None,
    configuration_name: str | None = None,
    attempt: int = 1,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of a started event; the arguments, and what is raised, are those of `execution`."""
    content: dict[str, Any] | None = None
    if isinstance(configuration, UUID) and configuration.version == 5:
        version_id: UUID = configuration
    elif not isinstance(configuration, Mapping):
        raise TypeError("configuration must be a dict, or the id of a known configuration version")
    else:
        content = to_json(object_of(configuration), exact=True)
        assert isinstance(content, dict), "a dict becomes an object"
        version_id = ids.configuration_version_id(content)
        if configuration_name is None and isinstance(content.get("name"), str):
            configuration_name = content["name"]
    scenario = name_of(scenario)
    simulation = None if simulation is None else name_of(simulation)
    return {
        "configuration_version_id": str(version_id),
        "scenario_id": str(ids.scenario_id(scenario)),
        "simulation_id": None if simulation is None else str(ids.simulation_id(simulation)),
        "scenario": scenario,
        "simulation": simulation,
        "configuration_name": None if configuration_name is None else name_of(configuration_name),
        "configuration": content,
        "attempt": count_of(attempt, "attempt", _ATTEMPT_MAX) or 1,
        "metadata": object_of(metadata),
    }


def _status(status: ExecutionStatus | str | None, success: bool | None) -> str | None:
    if status is not None:
        name = text_of(status)
        if name in _STATUSES:
            return name
        logger.error("status must be one of %s", ", ".join(ExecutionStatus))
        if success is None:
            # What cannot be read must not read as a success.
            return ExecutionStatus.ERRORED.value
    if success is None:
        return None
    return (ExecutionStatus.SUCCEEDED if truth_of(success, default=False) else ExecutionStatus.FAILED).value


def _status_of(error: BaseException) -> ExecutionStatus | None:
    """What an exception that leaves the block means; None where it is an ordinary end."""
    import asyncio  # noqa: PLC0415 - whoever sends events has it already; others need not pay for it

    if isinstance(error, TimeoutError):
        return ExecutionStatus.TIMED_OUT
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError | GeneratorExit):
        return ExecutionStatus.CANCELLED
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return None
    return ExecutionStatus.ERRORED
