"""Starts measured processes, waits for their figures, and leaves none behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from arc_eval_db.bench.measured import SPAWNED_VARIABLE
from arc_eval_db.errors import FatalError

_LAST_WORDS_CHARACTERS = 2_000


class RunFailedError(FatalError):
    """A measured process did not end as it should."""


async def run_measured(
    module: str,
    options: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    python: str = sys.executable,
) -> list[dict[str, Any]]:
    """Run `python -m module '<options>'` once for each of `options`, at the same time, and return their figures.

    Raises:
        RunFailedError: one of them ended with an error, or not in time; all are gone then.
    """
    tasks = [asyncio.create_task(_run(module, each, environment, timeout_s, python)) for each in options]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _run(
    module: str, options: Mapping[str, Any], environment: Mapping[str, str], timeout_s: float, python: str
) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(python, "-m", module, json.dumps(options)),
        env={**os.environ, **environment, SPAWNED_VARIABLE: str(time.time())},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C reaches the benchmark, which ends its processes itself.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError:
        raise RunFailedError(f"{module} did not end within {timeout_s:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode != 0 or not output.strip():
        last_words = errors.decode(errors="replace")[-_LAST_WORDS_CHARACTERS:]
        raise RunFailedError(f"{module} ended with exit code {process.returncode}:\n{last_words}")
    figures = json.loads(output.splitlines()[-1])
    assert isinstance(figures, dict)
    return figures
