"""Python text in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    """From its start."""


def run_script(
    script: str, environment: Mapping[str, str] | None = None, *, timeout_s: float = 60, measured: bool = True
) -> Ended:
    """Run it with the variables of this process and those given.

    Args:
        measured: False where coverage has a lock that no signal handler or forked child may meet.
    """
    inherited = {name: value for name, value in os.environ.items() if measured or not name.startswith("COVERAGE_")}
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(process.returncode, process.stdout, process.stderr, time.monotonic() - started)
