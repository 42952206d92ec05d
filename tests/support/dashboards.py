"""`arc-eval-db dashboard` as a process of its own: the framework's pages belong to a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
"""Text that does something where it is taken for markup."""

# So that tests need not wait for what looks every few seconds.
_QUICK = {
    "ARC_EVAL_MONITOR_LAG_INTERVAL_S": "0.3",
    "ARC_EVAL_MONITOR_HEALTH_INTERVAL_S": "2",
    "ARC_EVAL_HEALTH_SAMPLE_S": "0.1",
    "ARC_EVAL_ALERT_INTERVAL_S": "0.3",
    "ARC_EVAL_ALERT_LAG_S": "1",
    "ARC_EVAL_ALERT_LAG_RESOLVE_S": "0.5",
    "ARC_EVAL_ALERT_LAG_FOR_S": "0",
    "ARC_EVAL_ALERT_KEEP_S": "0",
    "ARC_EVAL_DASHBOARD_PANEL_INTERVAL_S": "0.3",
    "ARC_EVAL_DASHBOARD_TOKEN_CHECK_S": "0.3",
}


@dataclass(frozen=True, slots=True)
class ServedDashboard:
    """A dashboard that runs."""

    url: str
    group: str
    process: asyncio.subprocess.Process


def environment(kafka: KafkaSettings, database: DatabaseSettings) -> dict[str, str]:
    """The variables that point a process at these servers."""
    return {
        **os.environ,
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
        "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
        "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
    }


@contextlib.asynccontextmanager
async def serving_dashboard(
    kafka: KafkaSettings, database: DatabaseSettings, group: str, *arguments: str, **variables: str
) -> AsyncIterator[ServedDashboard]:
    """A dashboard on any port; killed where the block has not ended it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "dashboard", "--port", "0", "--group", group),
        *("--log-level", "warning", *arguments),
        env=environment(kafka, database) | _QUICK | variables,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    draining: asyncio.Task[None] | None = None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
        assert line.startswith("listening on "), line
        draining = asyncio.create_task(_drain(process.stderr))
        yield ServedDashboard(line.removeprefix("listening on ").strip(), group, process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()
        if draining is not None:
            await draining


async def _drain(stream: asyncio.StreamReader) -> None:
    """What it logs is shown where the test fails."""
    while line := await stream.readline():
        sys.stderr.write(line.decode())
