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


def run_script(script: str, environment: Mapping[str, str] | None = None, *, timeout_s: float = 60) -> Ended:
    """Run it with the variables of this process and those given."""
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(process.returncode, process.stdout, process.stderr, time.monotonic() - started)
