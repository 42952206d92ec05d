"""The dead letters' pages: figures equal to direct SQL, text that stays text, retrying under somebody's name."""

from __future__ import annotations

import pytest

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import Session
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from support.browser import Tab
from support.conditions import eventually
from support.dashboards import HOSTILE
from support.dead_letters import set_aside_as
from support.events import event, record

pytestmark = [pytest.mark.kafka, pytest.mark.database]


def hostile_record(topics: TopicNames, offset: int) -> LogRecord:
    """A record each of whose parts would be markup."""
    headers = ((HOSTILE, HOSTILE.encode()), ("ce_type", HOSTILE.encode()))
    return LogRecord(
        topics.of_type(TOOL_USED), 0, offset, 1_700_000_000_000, HOSTILE.encode(), HOSTILE.encode(), headers
    )


@pytest.fixture
def topics(dashboard_kafka: KafkaSettings) -> TopicNames:
    return TopicNames(dashboard_kafka.topic_prefix)


async def test_letters_are_counted_and_listed_as_direct_sql_has_them(
    page: Tab, dashboard_session: Session, topics: TopicNames
) -> None:
    records = [hostile_record(topics, offset) for offset in range(1000, 1003)]
    await set_aside_as(dashboard_session, RefusalReason.TOO_DEEP, records)
    await dashboard_session.execute("UPDATE dead_letters SET detail = $1 WHERE reason = 'too_deep'", HOSTILE)
    await page.open("/dead-letters?reason=too_deep")
    await page.page.wait_for_selector("table.data tbody tr >> nth=2")
    counted = await dashboard_session.fetch_value(
        "SELECT count(*) FROM dead_letters WHERE reason = 'too_deep' AND resolved_at IS NULL"
    )
    assert await page.cells("Dead letters by reason", "open") == [f"{counted}"]
    rows = await dashboard_session.fetch(
        "SELECT id, topic, log_partition, log_offset FROM dead_letters WHERE reason = 'too_deep' ORDER BY id DESC"
    )
    assert await page.cells("the newest first", "id") == [str(row["id"]) for row in rows]
    assert await page.cells("the newest first", "detail") == [HOSTILE] * len(rows)
    places = [f"{row['topic']}/{row['log_partition']}@{row['log_offset']}" for row in rows]
    assert await page.cells("the newest first", "place") == places


async def test_what_a_letter_holds_is_shown_as_text(page: Tab, dashboard_session: Session, topics: TopicNames) -> None:
    await set_aside_as(dashboard_session, RefusalReason.INVALID_ENVELOPE, [hostile_record(topics, 2000)])
    letter_id = await dashboard_session.fetch_value("SELECT max(id) FROM dead_letters")
    await page.open(f"/dead-letters/{letter_id}")
    assert HOSTILE in await page.text("[data-payload=value]")
    assert HOSTILE in await page.text("[data-payload=key]")
    assert await page.page.locator("section", has_text="Headers").locator("dt", has_text="onerror").count() == 1
    assert await page.page.title() == "Dead letter · arc-eval-db"


async def test_bytes_that_are_no_text_are_dumped(page: Tab, dashboard_session: Session, topics: TopicNames) -> None:
    letter = LogRecord(topics.of_type(TOOL_USED), 0, 2500, 1_700_000_000_000, None, b"\xff\x00<b>", ())
    await set_aside_as(dashboard_session, RefusalReason.INVALID_JSON, [letter])
    letter_id = await dashboard_session.fetch_value("SELECT max(id) FROM dead_letters")
    await page.open(f"/dead-letters/{letter_id}")
    assert "00000000  ff 00 3c 62 3e" in await page.text("[data-payload=value]")


async def test_a_letter_is_retried_after_asking_and_by_whom_is_written_down(
    page: Tab, dashboard_session: Session, topics: TopicNames
) -> None:
    sent = event(TOOL_USED)
    await set_aside_as(
        dashboard_session, RefusalReason.UNKNOWN_TYPE, [record(sent, topic=topics.of_type(TOOL_USED), offset=3000)]
    )
    await page.open("/dead-letters?reason=unknown_type")
    await page.page.get_by_role("button", name="Retry dead letter").first.click()
    await page.page.wait_for_selector("dialog[open]")
    # The button for no has the focus: Enter alone changes nothing.
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_selector("dialog[open]", state="hidden")
    rows = "SELECT count(*) FROM tool_usage WHERE event_id = $1::uuid"
    assert await dashboard_session.fetch_value(rows, sent["id"]) == 0
    await page.page.get_by_role("button", name="Retry dead letter").first.focus()
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_selector("dialog[open]")
    await page.page.keyboard.press("Tab")
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_selector("[data-notice]:has-text('1 stored')")

    async def is_gone() -> bool:
        return await page.page.get_by_role("button", name="Retry dead letter").count() == 0

    await eventually(is_gone, "the list shows that it is resolved")
    assert await dashboard_session.fetch_value(rows, sent["id"]) == 1
    by = await dashboard_session.fetch_value("SELECT resolved_by FROM dead_letters WHERE log_offset = 3000")
    assert by == "the dashboard, without a token"
