"""Inside a measured process: what it is asked for, when its work began and ended, and what that cost.

A measured process takes its options as one JSON argument and prints its figures as one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

SPAWNED_VARIABLE = "ARC_EVAL_BENCH_SPAWNED"
"""When the process was started, Unix time: what it imports is a part of its start."""

Figures = dict[str, Any]


class Span:
    """The steady part of a run, from the first record asked for to the last row committed."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended = 0.0
        self._cpu_began = 0.0
        self._cpu_ended = 0.0

    def begin(self) -> None:
        """The first record is asked for."""
        self.began = time.time()
        self._cpu_began = time.process_time()
        self.mark()  # a process that then finds nothing to do has used nothing

    def mark(self) -> None:
        """The end, unless it is marked again later."""
        self._cpu_ended = time.process_time()
        self.ended = time.time()

    def figures(self) -> Figures:
        """In seconds; the moments are Unix time, so that those of several processes can be compared.

        Raises:
            RuntimeError: the work never began.
        """
        if self.began is None:
            raise RuntimeError("nothing was asked for: the run has no beginning")
        return {
            "began": self.began,
            "ended": self.ended,
            "cpu_s": self._cpu_ended - self._cpu_began,
            "startup_s": self.began - float(os.environ.get(SPAWNED_VARIABLE) or self.began),
            "memory_mb": peak_memory_mb(),
        }


class Meeting:
    """Lets processes begin together: each says in a directory that all share whether it is ready."""

    def __init__(self, directory: Path, members: int) -> None:
        self._directory = directory
        self._mark = directory / str(os.getpid())
        self._members = members
        self._is_ready = False

    def all_ready(self, is_ready: bool) -> bool:
        """Say whether this process is, and learn whether all are."""
        if is_ready != self._is_ready:
            self._is_ready = is_ready
            if is_ready:
                self._mark.touch()
            else:
                self._mark.unlink()
        return is_ready and sum(1 for _ in self._directory.iterdir()) == self._members


def peak_memory_mb() -> float:
    """The most memory that this process had resident."""
    return _status_mb("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status_mb(field: str) -> float | None:
    # Not getrusage, where Linux can say: that includes what the parent had when it forked.
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), None)


def freeze_collector() -> None:
    """No cyclic garbage collection from here on, as a worker has it while a batch is in hand."""
    gc.collect()
    gc.freeze()
    gc.disable()


def run(work: Callable[[dict[str, Any]], Coroutine[Any, Any, Figures]]) -> None:
    """Do the work that the command line asks for, and print its figures."""
    options = json.loads(sys.argv[1])
    try:
        import uvloop  # noqa: PLC0415 - not to be had everywhere
    except ImportError:
        import asyncio  # noqa: PLC0415

        figures = asyncio.run(work(options))
    else:
        figures = uvloop.run(work(options))
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    # What a library left behind (threads, loops) does not have to end in order.
    os._exit(0)
