"""The pipeline and health pages: a lag that appears, grows and goes; figures equal to direct SQL."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from arc_eval_db.dashboards.web.data.pipeline import lag_history
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.health import CHECK_NAMES
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.browser import Tab
from support.conditions import eventually
from support.dashboards import ServedDashboard, environment
from support.events import event
from support.log import send_events

_WORST = """() => Math.max(0, ...Object.values(mounted_app.elements)
    .filter((one) => one.props?.label === "unread messages by topic" && one.props.figures)
    .flatMap((one) => one.props.figures.series)
    .flatMap((series) => series.points.map((point) => point[1] ?? 0)))"""

pytestmark = [pytest.mark.kafka, pytest.mark.database]


@contextlib.asynccontextmanager
async def consuming(
    kafka: KafkaSettings, database: DatabaseSettings, group: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "consume", "--group", group, "--log-level", "error"),
        env=environment(kafka, database) | {"ARC_EVAL_CONSUMER_LAG_SAMPLE_INTERVAL_S": "0.5"},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def shown(page: Tab, text: str) -> None:
    await page.page.wait_for_selector(f"[data-figure=messages]:text-is('{text}')")


async def worst_in_chart(page: Tab) -> float:
    """The largest figure of the chart of unread messages, as the browser has it."""
    return float(await page.page.evaluate(_WORST))


async def test_a_lag_made_by_freezing_the_worker_appears_grows_and_goes(
    page: Tab,
    dashboard: ServedDashboard,
    dashboard_kafka: KafkaSettings,
    dashboard_database: DatabaseSettings,
    dashboard_session: Session,
) -> None:
    await page.open("/?range=15m")
    async with consuming(dashboard_kafka, dashboard_database, dashboard.group) as worker:
        await send_events(dashboard_kafka, [event(TOOL_USED) for _ in range(4)])

        async def has_stored() -> bool:
            return bool(await dashboard_session.fetch_value("SELECT count(*) >= 4 FROM tool_usage"))

        await eventually(has_stored, "the worker writes")
        await shown(page, "0")
        worker.send_signal(signal.SIGSTOP)
        await send_events(dashboard_kafka, [event(TOOL_USED) for _ in range(5)])
        await shown(page, "5")
        await send_events(dashboard_kafka, [event(TOOL_USED) for _ in range(7)])
        await shown(page, "12")

        async def is_in_the_chart() -> bool:
            return await worst_in_chart(page) == 12

        await eventually(is_in_the_chart, "the chart shows the lag, of which a frozen worker keeps no sample")
        await page.open("/alerts")
        # The events before, which waited for the worker to start, may stand among the resolved ones.
        await page.page.wait_for_selector("table.data:has(caption:text('Open alerts')) >> text=ArcEvalLagHigh")
        assert dashboard.group in "".join(await page.cells("Open alerts", "what"))
        worker.send_signal(signal.SIGCONT)
        await page.page.wait_for_selector("section[aria-label='Resolved lately'] >> text=ArcEvalLagHigh")
        await page.open("/")
        await shown(page, "0")
        rows = await dashboard_session.fetch(
            "SELECT next_offset FROM consumer_offsets WHERE consumer_group = $1 ORDER BY topic, partition",
            dashboard.group,
        )

        async def are_equal() -> bool:
            return await page.cells("Partitions", "next offset") == [str(row["next_offset"]) for row in rows]

        await eventually(are_equal, "offsets are those of the database")


async def test_the_past_is_that_of_the_samples(session: Session) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    samples = [
        # time, topic, partition, next offset, log end, messages, seconds
        (now - timedelta(minutes=30), "b", 0, 0, 10, 10, 4.0),
        (now - timedelta(minutes=10), "a", 0, 100, 150, 50, 2.5),
        (now - timedelta(minutes=10), "a", 1, 0, 7, 7, None),
        (now - timedelta(minutes=9), "a", 0, 160, 210, 50, 3.5),
        (now - timedelta(minutes=9), "a", 1, 7, 7, 0, None),
        (now - timedelta(minutes=8), "a", 0, 40, 210, 170, 9.0),  # sent back
    ]
    for time, topic, partition, next_offset, log_end, messages, seconds in samples:
        await session.execute(
            "INSERT INTO consumer_lag_samples (time, consumer_group, topic, partition, next_offset, log_start_offset, "
            "log_end_offset, lag_messages, lag_seconds) VALUES ($1, 'g', $2, $3, $4, 0, $5, $6, $7)",
            *(time, topic, partition, next_offset, log_end, messages, seconds),
        )
    first, second, third = await lag_history(session, "g", timedelta(minutes=15))
    assert [point.topic for point in (first, second, third)] == ["a"] * 3, "older ones are not asked for"
    assert (first.messages, first.seconds, first.in_per_s, first.out_per_s) == (57, 2.5, None, None)
    assert (second.messages, second.seconds, second.in_per_s, second.out_per_s) == (50, 3.5, 1.0, 67 / 60)
    assert (third.messages, third.seconds, third.in_per_s, third.out_per_s) == (170, 9.0, 0.0, None)
    assert await lag_history(session, "another", timedelta(days=14)) == ()
    assert {point.topic for point in await lag_history(session, "g", timedelta(days=14))} == {"a", "b"}


async def test_health_shows_every_check_the_worst_first(page: Tab, dashboard_session: Session) -> None:
    await page.open("/health")
    await page.page.wait_for_selector("table.data tbody tr")
    assert sorted(await page.cells("Checks", "check")) == sorted(set(CHECK_NAMES) - {"pool"})
    states = [text.split()[-1] for text in await page.cells("Checks", "state")]
    order = ["critical", "warn", "unknown", "ok"]
    assert states == sorted(states, key=order.index)
    for state in order:
        assert await page.text(f"[data-figure={state}]") == str(states.count(state))
    letters = await dashboard_session.fetch_value(
        "SELECT count(*) FROM dead_letters WHERE resolved_at IS NULL AND quarantined_at IS NULL"
    )

    async def is_counted() -> bool:
        found = dict(zip(await page.cells("Checks", "check"), await page.cells("Checks", "figure"), strict=True))
        return found["dead_letters"] == str(letters)

    await eventually(is_counted, "dead letters are those of the database")
