"""Run many sandboxes at once, each a process of its own with a deadline, and say how they ended.

A sandbox that is killed or crashes is also reported as an event, which it cannot always do itself.
"""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_eval_db.producers import EventEmitter, ProducerSettings, report_exit
from arc_eval_db.schemas.ids import ExecutionId, new_execution_id
from grid_agent.configurations import CONFIGURATIONS, load_configuration
from grid_agent.puzzles import make_puzzle

COMMAND = (sys.executable, "-m", "grid_agent.sandbox")
DEADLINE_S = 60.0
"""Seconds by the wall for one process, then it is killed. The longest took 11 s, 16 at once on two busy cores."""
STDERR_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Job:
    """One sandbox to start. `configuration` is a name, or the path of a JSON file."""

    configuration: str
    puzzle: int


@dataclass(frozen=True, slots=True)
class FinishedSandbox:
    """How one sandbox ended."""

    configuration: str
    puzzle: int
    execution_id: ExecutionId
    exit_code: int
    """0 solved, 1 not solved, more: crashed, negative: ended by that signal."""
    seconds: float
    """By the wall, the start of the process included."""
    overstayed: bool
    """Whether it was killed because its deadline had passed."""
    stderr: str
    """The last STDERR_BYTES_MAX bytes of what it said."""

    @property
    def outcome(self) -> str:
        """One word: solved, unsolved, crashed or killed."""
        if self.exit_code < 0:
            return "killed"
        return {0: "solved", 1: "unsolved"}.get(self.exit_code, "crashed")


@dataclass(frozen=True, slots=True)
class LaunchSummary:
    """How all sandboxes of a launch ended, in the order in which they did."""

    finished: tuple[FinishedSandbox, ...]
    seconds: float
    """By the wall, from the first start to the last end."""

    def outcomes(self, configuration: str) -> Counter[str]:
        """How many sandboxes of a configuration ended in each way."""
        return Counter(sandbox.outcome for sandbox in self.finished if sandbox.configuration == configuration)


async def launch(
    puzzle_count: int,
    *,
    concurrency: int = 16,
    seed: int = 7,
    simulation: str,
    environment: Mapping[str, str],
    on_finish: Callable[[FinishedSandbox], None] | None = None,
    configurations: Sequence[str] = tuple(CONFIGURATIONS),
    deadline_s: float = DEADLINE_S,
    command: Sequence[str] = COMMAND,
) -> LaunchSummary:
    """Run every configuration on every puzzle, `concurrency` processes at a time.

    `environment` is added to this process's own. `on_finish` is called on the event loop after each end and must not
    block. A process past `deadline_s` gets SIGKILL and counts. Cancelling (or Ctrl-C) kills what runs and waits for it.
    """
    jobs = iter([Job(name, puzzle) for puzzle in range(puzzle_count) for name in configurations])
    settings = ProducerSettings.from_environment(
        {**os.environ, **environment}, hostname=socket.gethostname(), pid=os.getpid()
    )
    started = time.monotonic()
    async with EventEmitter(settings=settings) as emitter:
        launcher = _Launcher(command, seed, simulation, environment, deadline_s, emitter)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency, puzzle_count * len(configurations))):
                workers.create_task(launcher.work(jobs, on_finish))
        seconds = time.monotonic() - started
    return LaunchSummary(tuple(launcher.finished), seconds)


class _Launcher:
    def __init__(
        self,
        command: Sequence[str],
        seed: int,
        simulation: str,
        environment: Mapping[str, str],
        deadline_s: float,
        emitter: EventEmitter,
    ) -> None:
        self._command = (*command, "--seed", str(seed), "--simulation", simulation)
        self._seed = seed
        self._simulation = simulation
        self._environment = _child_environment(environment)
        self._deadline_s = deadline_s
        self._emitter = emitter
        self.finished: list[FinishedSandbox] = []

    async def work(self, jobs: Iterator[Job], on_finish: Callable[[FinishedSandbox], None] | None) -> None:
        """Run jobs, one after the other, until there are no more."""
        for job in jobs:
            sandbox = await self._run(job)
            self.finished.append(sandbox)
            self._report(sandbox)
            if on_finish:
                on_finish(sandbox)

    async def _run(self, job: Job) -> FinishedSandbox:
        started = time.monotonic()
        execution_id = new_execution_id()
        process = await asyncio.create_subprocess_exec(
            *(*self._command, "--execution-id", str(execution_id)),
            *("--puzzle", str(job.puzzle), "--configuration", job.configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            # Ctrl-C on a terminal goes to the whole group: the sandboxes are ended here, not by a traceback each.
            start_new_session=True,
        )
        stderr, overstayed = await self._last_words(process)
        return FinishedSandbox(
            configuration=job.configuration,
            puzzle=job.puzzle,
            execution_id=execution_id,
            exit_code=await process.wait(),
            seconds=time.monotonic() - started,
            overstayed=overstayed,
            stderr=stderr.decode(errors="replace"),
        )

    def _report(self, sandbox: FinishedSandbox) -> None:
        if sandbox.outcome in ("solved", "unsolved"):
            return
        try:
            configuration = load_configuration(sandbox.configuration)
        except (ValueError, OSError):  # the sandbox could not read it either: there was no execution
            return
        report_exit(
            sandbox.exit_code,
            execution_id=sandbox.execution_id,
            scenario=make_puzzle(sandbox.puzzle, self._seed).name,
            configuration=configuration.to_dict(),
            simulation=self._simulation,
            emitter=self._emitter,
        )

    async def _last_words(self, process: asyncio.subprocess.Process) -> tuple[bytes, bool]:
        """The end of what the process says until it ends, and whether it had to be killed at its deadline."""
        assert process.stderr is not None
        said = bytearray()
        overstayed = False
        try:
            async with asyncio.timeout(self._deadline_s):
                await _keep_tail(process.stderr, said)
                await process.wait()
        except TimeoutError:
            overstayed = True
        finally:
            await _end(process)
        return bytes(said), overstayed


async def _keep_tail(stream: asyncio.StreamReader, tail: bytearray) -> None:
    while chunk := await stream.read(STDERR_BYTES_MAX):
        tail += chunk
        del tail[:-STDERR_BYTES_MAX]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the additions, and with this package importable."""
    environment = {**os.environ, **additions}
    paths = [str(Path(__file__).resolve().parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment
