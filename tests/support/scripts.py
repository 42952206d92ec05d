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


def imported_with_all_commands(*names: str) -> list[str]:
    """Those of these modules that are imported where every command of the command line is, in their order."""
    ended = run_script(
        "import sys, click; from arc_eval_db.cli.commands import cli\n"
        "for name in cli.list_commands(click.Context(cli)): cli.get_command(click.Context(cli), name)\n"
        f"print(*(name for name in {names!r} if name in sys.modules))"
    )
    assert ended.code == 0, ended.stderr
    return ended.stdout.split()
