"""For the launcher's side: says from outside that a sandbox exited, which a killed process cannot say itself.

What is sent is a failure of the kind `sandbox_exited`, never an outcome: the sandbox's own may still be on its way
or in its spool, and two would count one execution twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from arc_eval_db.producers.emitter import EventEmitter
from arc_eval_db.producers.execution import started_data
from arc_eval_db.producers.sandbox_exit import SandboxExit
from arc_eval_db.schemas.ids import EventId, ExecutionId
from arc_eval_db.schemas.topics import FAILURE_RECORDED

if TYPE_CHECKING:
    import asyncio

SANDBOX_EXITED = "sandbox_exited"
"""The failure's kind."""

STDERR_BYTES_MAX = 4096
"""So much of the end of what a sandbox writes to stderr is kept."""

# A grandchild may hold the pipe open for as long as it likes; what was written before is there at once.
_STDERR_DRAIN_S = 1.0

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class ExitReport:
    """What was reported."""

    exit: SandboxExit
    event_id: EventId | None
    """None where nothing is configured to send events, or the event was dropped (and counted)."""


@dataclass(frozen=True, slots=True)
class SupervisedSandbox:
    """How a command that `supervise` ran has ended."""

    returncode: int
    """As Python's subprocess gives it: negative for a signal."""
    seconds: float
    """By the wall, the start of the process included."""
    overstayed: bool
    """Whether it was killed because its deadline had passed."""
    stderr_tail: str
    """The end of what it said."""
    report: ExitReport | None
    """None where it ended in an ordinary way."""


def report_exit(
    returncode: int,
    *,
    execution_id: ExecutionId,
    scenario: str,
    configuration: Mapping[str, Any] | UUID,
    simulation: str | None = None,
    out_of_memory: bool | None = None,
    stderr_tail: str | None = None,
    emitter: EventEmitter | None = None,
) -> ExitReport | None:
    """Report that a sandbox exited; None, and no event, where it exited with code 0.

    The launcher chooses the execution's id (`arc_eval_db.schemas.ids.new_execution_id()`), and hands it to the sandbox.

    Args:
        returncode: see `SandboxExit.from_returncode`.
        execution_id: what the sandbox was told to record under.
        scenario: as the sandbox passes it to `execution()`; so are the next two.
        configuration: the agent's configuration, or the id of a known version.
        simulation: name of the batch of executions.
        out_of_memory: what is known of it, such as Docker's `OOMKilled`.
        stderr_tail: stored in the event, where other people see it.
        emitter: share one between calls, and nothing waits here. By default one is made and closed, which waits for
            the broker, `ARC_EVAL_CLOSE_TIMEOUT_S` at most.

    Raises:
        TypeError: `configuration` is neither a mapping nor a version's id.

    >>> from arc_eval_db.producers import EventEmitter, MemoryTransport
    >>> from arc_eval_db.schemas.ids import new_execution_id
    >>> memory = MemoryTransport()
    >>> with EventEmitter(transport=memory) as emitter:
    ...     report = report_exit(
    ...         137, execution_id=new_execution_id(), scenario="refund-flow", configuration={}, emitter=emitter
    ...     )
    >>> [event.data.message for event in memory.events()]
    ['ended by SIGKILL']
    """
    context = _context(scenario, configuration, simulation)
    exited = SandboxExit.from_returncode(returncode, out_of_memory=out_of_memory)
    extra = {} if stderr_tail is None else {"stderr_tail": stderr_tail}
    if exited.is_success:
        return None
    if emitter is not None:
        return _emit(emitter, execution_id, context, exited, exited.message, extra)
    with EventEmitter() as own:
        return _emit(own, execution_id, context, exited, exited.message, extra)


async def supervise(
    command: Sequence[str],
    *,
    execution_id: ExecutionId,
    scenario: str,
    configuration: Mapping[str, Any] | UUID,
    simulation: str | None = None,
    deadline_s: float | None = None,
    ordinary_codes: Collection[int] = (0,),
    report_stderr: bool = False,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
    cgroup: Path | None = None,
    emitter: EventEmitter | None = None,
) -> SupervisedSandbox:
    """Run a command on this machine as a sandbox, and report how it exited. Without an event loop: `asyncio.run` it.

    A process that is cancelled here is killed, and nothing is reported. Out of memory is recognised where SIGKILL came
    and the kernel has meanwhile counted a kill in the cgroup; where several sandboxes share it, it may have been
    another's.

    Args:
        command: the program and its arguments; tell it the execution's id, for `execution(execution_id=...)`.
        deadline_s: seconds after which the process and its process group get SIGKILL.
        ordinary_codes: exit codes that are not reported.
        report_stderr: store the end of stderr in the event, where other people see it.
        environment: all of the process's variables; by default this process's.
        stdout: as in subprocess; by default this process's.
        cgroup: directory of the cgroup (version 2) that counts the sandbox's memory; by default this process's own.

    The rest is as in `report_exit`.

    Raises:
        TypeError: `configuration` is neither a mapping nor a version's id.
        OSError: the command cannot be started.
    """
    import asyncio  # noqa: PLC0415 - sandboxes import this module too, and need not pay for it

    context = _context(scenario, configuration, simulation)
    cgroup = cgroup or _own_cgroup()
    kills_before = _oom_kills(cgroup)
    started = time.monotonic()
    async with _tail_of_pipe() as (stderr, tail):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            # Ctrl-C on a terminal goes to a whole group: sandboxes are ended here, not by a traceback each.
            start_new_session=True,
        )
        returncode, overstayed = await _wait(process, deadline_s)
    stderr_tail = tail.decode("utf-8", "replace")
    seconds = time.monotonic() - started
    exited = SandboxExit.from_returncode(returncode)
    if exited.signal == "SIGKILL":
        killed_for_memory = False if overstayed else _has_grown(kills_before, _oom_kills(cgroup))
        exited = SandboxExit.from_returncode(returncode, out_of_memory=killed_for_memory)
    report = None
    if exited.exit_code not in ordinary_codes:
        message = f"{exited.message}, past its deadline of {deadline_s:g} s" if overstayed else exited.message
        extra = {"stderr_tail": stderr_tail} if report_stderr else {}
        if emitter is not None:
            report = _emit(emitter, execution_id, context, exited, message, extra)
        else:
            async with EventEmitter() as own:
                report = _emit(own, execution_id, context, exited, message, extra)
    return SupervisedSandbox(returncode, seconds, overstayed, stderr_tail, report)


def _context(scenario: str, configuration: Mapping[str, Any] | UUID, simulation: str | None) -> dict[str, Any]:
    started = started_data(scenario, configuration, simulation)
    return {key: started[key] for key in ("configuration_version_id", "scenario_id", "simulation_id")}


def _emit(
    emitter: EventEmitter,
    execution_id: ExecutionId,
    context: Mapping[str, Any],
    exited: SandboxExit,
    message: str,
    extra: Mapping[str, Any],
) -> ExitReport:
    data = {**context, "kind": SANDBOX_EXITED, "message": message, "details": {**exited.details(), **extra}}
    return ExitReport(exited, emitter.emit(FAILURE_RECORDED, execution_id, data, numbered=False))


async def _wait(process: asyncio.subprocess.Process, deadline_s: float | None) -> tuple[int, bool]:
    """The process's return code, and whether it had to be killed at its deadline."""
    import asyncio  # noqa: PLC0415 - see supervise

    try:
        return await asyncio.wait_for(process.wait(), deadline_s), False
    except TimeoutError:
        _kill_group(process)
        return await process.wait(), True
    finally:
        if process.returncode is None:  # cancelled
            _kill_group(process)
            await process.wait()


@contextlib.asynccontextmanager
async def _tail_of_pipe() -> AsyncIterator[tuple[IO[bytes], bytearray]]:
    """A file to write to, and the end of what was written, complete when the block is left.

    A pipe of our own: asyncio's belongs to the process, and cannot be closed while a grandchild holds it open.
    """
    import asyncio  # noqa: PLC0415 - see supervise

    reading_end, writing_end = os.pipe()
    stream = asyncio.StreamReader()
    tail = bytearray()
    with os.fdopen(writing_end, "wb") as writing:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading_end, "rb")
        )
        reading = asyncio.create_task(_keep_tail(stream, tail))
        try:
            yield writing, tail
            writing.close()
            await asyncio.wait([reading], timeout=_STDERR_DRAIN_S)
        finally:
            reading.cancel()
            transport.close()


async def _keep_tail(stream: asyncio.StreamReader, tail: bytearray) -> None:
    while chunk := await stream.read(STDERR_BYTES_MAX):
        tail += chunk
        del tail[:-STDERR_BYTES_MAX]


def _kill_group(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has just ended by itself
        return


def _own_cgroup() -> Path | None:
    """This process's cgroup of version 2, whose counts include those of the groups below it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((_CGROUPS / line[3:].lstrip("/") for line in lines if line.startswith("0::")), None)


def _oom_kills(cgroup: Path | None) -> int | None:
    """How many processes the kernel has killed for memory in a cgroup; None where that cannot be read."""
    if cgroup is None:
        return None
    try:
        counts = dict(line.split() for line in (cgroup / "memory.events").read_text().splitlines())
        return int(counts["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None


def _has_grown(before: int | None, after: int | None) -> bool | None:
    return None if before is None or after is None else after > before
