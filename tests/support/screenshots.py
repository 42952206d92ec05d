"""Makes the pictures of docs/dashboard.md and README.md: pages of the dashboard over the demo's data.

PYTHONPATH=tests python -m support.screenshots [--puzzles N] [--directory DIRECTORY]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.async_api import Browser

from arc_eval_db.dashboards.web.frame import PAGES
from arc_eval_db.dashboards.web.pages import pipeline  # noqa: F401 - with the package, every page is declared
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.local import LocalStack, StackOptions
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.browser import chromium, tab
from support.conditions import eventually
from support.dashboards import serving_dashboard
from support.databases import connect
from support.events import event
from support.log import send_events

_DOCS = Path(__file__).parents[2] / "docs"
_FOLDER = _DOCS / "pictures"
_SIZE = {"width": 1200, "height": 720}
_BURST = 400


def _demo(puzzles: int, directory: Path) -> None:
    """The demo leaves what it made, and stops its servers."""
    command = [
        sys.executable,
        "-m",
        "arc_eval_db.cli",
        "demo",
        "--puzzles",
        str(puzzles),
        "--directory",
        str(directory),
    ]
    subprocess.run(command, check=True)


async def _look(environment: Mapping[str, str]) -> None:
    kafka = KafkaSettings.from_environment(environment)
    database = DatabaseSettings.load(database_url=environment["ARC_EVAL_DATABASE_URL"])
    quick = {"ARC_EVAL_MONITOR_LAG_INTERVAL_S": "1", "ARC_EVAL_ALERT_LAG_S": "2", "ARC_EVAL_ALERT_LAG_RESOLVE_S": "1"}
    async with chromium() as browser, serving_dashboard(kafka, database, "arc-eval-db", **quick) as dashboard:
        await _make_a_lag(kafka, database, environment)
        async with await connect(database) as session:
            paths = await _paths(session)
        for name, path in paths.items():
            for scheme in ("light", "dark"):
                await _take(browser, dashboard.url, path, scheme, _FOLDER / f"dashboard_{name}_{scheme}.png")


async def _make_a_lag(kafka: KafkaSettings, database: DatabaseSettings, environment: Mapping[str, str]) -> None:
    """Some records while nobody reads, bad ones among them; then a worker that reads them."""
    bad = [event(TOOL_USED, time="1999-01-01T00:00:00Z"), event(TOOL_USED, data={"success": "perhaps"})] * 2
    for _ in range(6):
        await send_events(kafka, [*(event(TOOL_USED) for _ in range(_BURST)), *bad])
        await asyncio.sleep(2)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "consume"), env={**os.environ, **environment}
    )
    try:
        async with await connect(database) as session:

            async def has_read() -> bool:
                found = await session.fetch_value("SELECT count(*) FROM dead_letters")
                return bool(found >= 4 * 6)

            await eventually(has_read, "the worker reads", timeout_s=120)
        await asyncio.sleep(20)
    finally:
        worker.send_signal(signal.SIGTERM)
        await worker.wait()


async def _paths(session: Session) -> dict[str, str]:
    """Every page that docs/dashboard.md shows, by the name of its picture."""
    newest = await session.fetch_value("SELECT execution_id::text FROM outcomes ORDER BY time DESC LIMIT 1")
    found = {spec.title.lower().replace(" ", "_"): path for path, spec in PAGES.items() if spec.key is not None}
    found |= {"pipeline": "/?range=15m", "execution": f"/executions/{newest}"}
    shown = re.findall(r'src="pictures/dashboard_(\w+)_light\.png"', (_DOCS / "dashboard.md").read_text())
    return {name: found[name] for name in shown}


async def _take(browser: Browser, url: str, path: str, scheme: str, file: Path) -> None:
    async with tab(browser, url, color_scheme=scheme, viewport=_SIZE) as page:
        await page.open(path)
        await page.page.wait_for_load_state("networkidle")
        await asyncio.sleep(1)  # charts draw themselves in 200 ms
        await page.page.screenshot(path=file)
        print(f"{file.name}: {file.stat().st_size:,} bytes")


def main() -> None:
    """Make them all anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--puzzles", type=int, default=40)
    parser.add_argument("--directory", type=Path, help="of the demo's servers; by default a new one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arc-eval-screenshots-", ignore_cleanup_errors=True) as new:
        directory = options.directory or Path(new) / "demo"
        if options.directory is None or not directory.exists():
            _demo(options.puzzles, directory)
        with LocalStack(directory, StackOptions.from_environment(os.environ)) as stack:
            asyncio.run(_look({**os.environ, **stack.environment()}))


if __name__ == "__main__":
    main()
