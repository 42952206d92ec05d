"""Several workers of one group on one machine, each a process: Python uses one CPU in each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import orjson
import structlog

from arc_eval_db.consumers.account import WorkerReport
from arc_eval_db.consumers.heartbeat import HeartbeatReader
from arc_eval_db.consumers.supervision import SOUND_S, SupervisedWorker
from arc_eval_db.consumers.supervisor_metrics import SupervisorMetrics
from arc_eval_db.errors import FatalError
from arc_eval_db.retries import Backoff

EXIT_FATAL = 4
"""How a worker process ends that a person has to help: another one would end in the same way."""

_BACKOFF_S_MIN = 1.0
_BACKOFF_S_MAX = 30.0

# What a worker may take to end beyond the time that it has for its batch.
_STOP_GRACE_S = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


class WorkerProcessError(FatalError):
    """A worker process ended for a reason that a person has to mend; it has said which."""


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """How to start one of the workers."""

    arguments: Sequence[str]
    """A program that consumes until SIGTERM or the end of its standard input, prints a `WorkerReport` as JSON on
    standard output, and ends with `EXIT_FATAL` where starting it again would not help. It is given the option
    `--heartbeat-file NUMBER`, of a pipe for `send_heartbeats`."""
    environment: Mapping[str, str]


class WorkerProcesses:
    """Runs workers until they are stopped or have all ended well; one that dies is started again, later and later.

    They end with this process, however it ends: their standard input does.
    """

    def __init__(
        self,
        commands: Sequence[WorkerCommand],
        *,
        drain_timeout_s: float,
        restart_ended: bool,
        metrics: SupervisorMetrics | None = None,
    ) -> None:
        """
        Args:
            drain_timeout_s: how long the workers may take for the batch in hand.
            restart_ended: start a worker again that has ended well without being told to.
        """
        self.metrics = metrics or SupervisorMetrics()
        self.workers = [SupervisedWorker(number, self.metrics) for number in range(len(commands))]
        """How each of them does."""
        self.processes: list[Process | None] = [None] * len(commands)
        """Those that run now, each at its number."""
        self._commands = commands
        self._stop_timeout_s = drain_timeout_s + _STOP_GRACE_S
        self._restart_ended = restart_ended
        self._stopping = asyncio.Event()
        self._reports: list[WorkerReport] = []
        self._is_fatal = False

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End all workers after the batches in hand. May be called from a signal handler of the same event loop."""
        self._stopping.set()

    async def run(self) -> WorkerReport:
        """Run until stopped, or all have ended well; returns what they did together.

        What a worker did that was killed is in no report.

        Raises:
            WorkerProcessError: one ended with `EXIT_FATAL`; the others were stopped.
        """
        started = time.monotonic()
        stopping = asyncio.create_task(self._stop())
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self._commands)):
                    group.create_task(self._keep(number))
        finally:
            stopping.cancel()
            for process in filter(None, self.processes):
                process.kill()
        if self._is_fatal:
            raise WorkerProcessError("a worker has ended and needs help, so all were stopped: see what it says above")
        return _together(self._reports, time.monotonic() - started)

    async def _keep(self, number: int) -> None:
        """Start a worker, again and again."""
        backoff = Backoff(_BACKOFF_S_MIN, _BACKOFF_S_MAX, share_min=0.5)
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once(number)
            self.workers[number].ended(_exit(code), for_good=code == 0 and not self._restart_ended)
            if code == EXIT_FATAL:
                self._is_fatal = True
                self.stop()
            if self._stopping.is_set() or (code == 0 and not self._restart_ended):
                return
            if time.monotonic() - started >= SOUND_S:
                backoff.reset()
            pause_s = backoff.next()
            log.warning("worker_process_ended", worker=number, exit=_exit(code), restart_in_s=round(pause_s, 2))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self, number: int) -> int:
        """Run a worker to its end; returns its exit code, negative for a signal."""
        with contextlib.closing(HeartbeatReader(self.workers[number].heard)) as heartbeats:
            process = await self._start(self._commands[number], heartbeats)
            self.processes[number] = process
            self.workers[number].started(process.pid)
            if self._stopping.is_set():
                _send(process, signal.SIGTERM)
            assert process.stdout is not None
            output = await process.stdout.read()
            code = await process.wait()
        self.processes[number] = None
        if code == 0:
            self._reports.append(WorkerReport(**orjson.loads(output)))
        return code

    async def _start(self, command: WorkerCommand, heartbeats: HeartbeatReader) -> Process:
        file = heartbeats.other_end
        try:
            return await asyncio.create_subprocess_exec(
                *(*command.arguments, "--heartbeat-file", str(file)),
                stdin=PIPE,
                stdout=PIPE,
                env=dict(command.environment),
                pass_fds=(file,),
            )
        finally:
            os.close(file)  # or its end would never be seen

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._signal(signal.SIGTERM)
        await asyncio.sleep(self._stop_timeout_s)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in filter(None, self.processes):
            _send(process, number)


def _send(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else str(code)


def _together(reports: Sequence[WorkerReport], seconds: float) -> WorkerReport:
    sums = {
        each.name: sum(getattr(report, each.name) for report in reports)
        for each in fields(WorkerReport)
        if each.type == "int"
    }
    return WorkerReport(
        **sums, seconds=seconds, caught_up=bool(reports) and all(report.caught_up for report in reports)
    )
