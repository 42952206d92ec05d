"""Consumers and producers as real processes, and what can be done to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
import psutil

from fault.fail_points import VARIABLE, FailPoint, Place, as_text
from support.conditions import eventually

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds at the moment."""

    rss_bytes: int
    descriptors: int
    cpu_s: float
    """Since its start."""


class ChildProcess:
    """A Python module as a process. Its standard output is read by us, its standard error goes to a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self.told: list[dict[str, Any]] = []
        """What the fail points have said."""
        self._process = process
        self._is_stopped = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, directory: Path, module: str, *arguments: str, settings: Mapping[str, str]) -> Self:
        """
        Args:
            settings: variables of the environment; nothing else that begins with ARC_EVAL_ reaches the process.
        """
        log_file = directory / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ARC_EVAL_")}
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        with log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                env={**inherited, "PYTHONPATH": path, **settings},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        return cls(name, process, log_file)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs (or is stopped)."""
        return self._process.returncode

    @property
    def runs(self) -> bool:
        """Whether there is a process, be it stopped."""
        return self.code is None

    async def is_stopped(self) -> None:
        """Wait until SIGSTOP has taken effect."""
        process = psutil.Process(self.pid)
        await eventually(lambda: process.status() == psutil.STATUS_STOPPED, f"{self.name} is stopped", timeout_s=5)

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's lines that are JSON; only those with this event, if one is named."""
        lines = []
        for line in self.log_file.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                fields = orjson.loads(line)
                if event is None or fields.get("event") == event:
                    lines.append(fields)
        return lines

    def last_words(self) -> str:
        """The end of the log."""
        return self.log_file.read_text(errors="replace")[-2000:]

    def usage(self) -> Usage:
        """Memory, descriptors and processor time."""
        process = psutil.Process(self.pid)
        times = process.cpu_times()
        return Usage(process.memory_info().rss, process.num_fds(), times.user + times.system)

    def kill9(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    def stop(self) -> None:
        """SIGSTOP: it freezes, heartbeats and all."""
        self._send(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        self._send(signal.SIGCONT)

    def term(self) -> None:
        """SIGTERM: it ends in an orderly way."""
        self._send(signal.SIGTERM)

    async def ended(self, timeout_s: float = 15.0) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        code = await asyncio.wait_for(self._process.wait(), timeout_s)
        await self._reading
        return code

    async def end(self) -> None:
        """Be rid of it, whatever it does."""
        self.kill9()
        await self.ended()

    def _send(self, number: signal.Signals) -> None:
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # what the command prints for people
                self.told.append(orjson.loads(line))


class ConsumerProcess(ChildProcess):
    """One consumer: `arc-eval-db consume` with fail points."""

    @classmethod
    async def consume(
        cls,
        name: str,
        directory: Path,
        settings: Mapping[str, str],
        *,
        fail_points: Sequence[FailPoint] = (),
        options: Sequence[str] = (),
    ) -> Self:
        """
        Args:
            options: more arguments for `arc-eval-db consume`.
        """
        # Any port: one that is free now may be taken before the process listens.
        more = {VARIABLE: as_text(fail_points), "ARC_EVAL_CONSUMER_METRICS_PORT": "0"}
        return await cls.start(name, directory, "fault.worker_process", *options, settings={**settings, **more})

    async def reached(self, place: Place, *, timeout_s: float = 60.0) -> None:
        """Wait until a fail point has acted, or begins to hold."""
        await self._until(
            lambda: any(line["event"] == "point" and line["place"] == place for line in self.told),
            f"is at {place}",
            timeout_s,
        )

    async def logged(self, event: str, *, times: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until an event of this name stands so often in the log."""
        await self._until(lambda: len(self.log(event)) >= times, f"logs {event} {times} times", timeout_s)

    async def _until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        try:
            await eventually(lambda: condition() or not self.runs, f"{self.name} {what}", timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log ends with\n{self.last_words()}") from None
        if not self.runs:
            await self.ended()  # its last lines have been read then
        assert condition(), (
            f"{self.name} ended with {self.code} before it {what}; its log ends with\n{self.last_words()}"
        )

    def release(self) -> None:
        """Let go on what waits at a fail point with the action `hold`. The signal would end any other process."""
        held = sum(line["event"] == "point" and line["action"] == "hold" for line in self.told)
        if held > sum(line["event"] == "released" for line in self.told):
            self._send(signal.SIGUSR1)

    async def metrics(self) -> str:
        """What Prometheus would be told."""
        await self.logged("http_listening")
        port = self.log("http_listening")[-1]["port"]
        return await asyncio.to_thread(_read_url, f"http://127.0.0.1:{port}/metrics")

    async def metric(self, name: str) -> float:
        """The value of a metric, summed over its labels."""
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", await self.metrics(), re.MULTILINE)
        return sum(map(float, values))


def _read_url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())
