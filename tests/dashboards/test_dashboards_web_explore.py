"""The pages of executions in a real browser: figures equal direct SQL, filters by keyboard, and text stays text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from playwright.async_api import Browser

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.browser import Tab, tab
from support.conditions import eventually
from support.dashboards import ServedDashboard, serving_dashboard
from support.databases import connect
from support.events import event
from support.web_data import SIMULATION, database_of, recorded_events, write_contents, write_events

pytestmark = [pytest.mark.kafka, pytest.mark.database]

HOSTILE = "<img src=x onerror=window.hurt=1>"
HOSTILE_CONFIGURATION = {"name": HOSTILE, "model": HOSTILE}
HOSTILE_CONTEXT = {
    "configuration_version_id": str(ids.configuration_version_id(HOSTILE_CONFIGURATION)),
    "scenario_id": str(ids.scenario_id(HOSTILE)),
    "simulation_id": str(ids.simulation_id(HOSTILE)),
}
NOW = datetime.now(UTC)
# The recorded runs end within the hour to come.
RANGE = f"from={NOW - timedelta(hours=24):%Y-%m-%dT%H:%M}Z&to={NOW + timedelta(hours=2):%Y-%m-%dT%H:%M}Z"
RECORDED = f"{RANGE}&simulation={SIMULATION}"


def ago(**duration: float) -> str:
    return (NOW - timedelta(**duration)).isoformat()


def hostile(subject: UUID) -> list[dict[str, Any]]:
    """An execution that says the same thing everywhere; it runs."""
    start: dict[str, Any] = {"scenario": HOSTILE, "simulation": HOSTILE, "configuration": HOSTILE_CONFIGURATION}
    start |= {"configuration_name": HOSTILE, "metadata": {HOSTILE: HOSTILE}}
    source = "/<img/src=x/onerror=window.hurt=1>"
    said: tuple[tuple[str, dict[str, Any]], ...] = (
        (STARTED, start),
        (PROGRESSED, {"message": HOSTILE, "details": {HOSTILE: HOSTILE}}),
        (TOOL_USED, {"tool": HOSTILE, "success": False, "error": HOSTILE, "arguments": {HOSTILE: HOSTILE}}),
        (FAILURE_RECORDED, {"kind": HOSTILE, "message": HOSTILE, "details": {HOSTILE: HOSTILE}}),
    )
    return [
        event(
            kind,
            {**HOSTILE_CONTEXT, **data},
            subject=subject,
            source=source,
            time=ago(minutes=9 - at),
            sequence=str(at),
        )
        for at, (kind, data) in enumerate(said, start=1)
    ]


def hostile_end(subject: UUID) -> dict[str, Any]:
    data: dict[str, Any] = {
        "status": "errored",
        "error_kind": HOSTILE,
        "error_message": HOSTILE,
        "metadata": {HOSTILE: HOSTILE},
    }
    data |= {"last_sequence": 7, "dropped": {HOSTILE: 1}}
    return event(COMPLETED, {**HOSTILE_CONTEXT, **data}, subject=subject, time=ago(minutes=1), sequence="7")


RUNNING, ENDED = ids.uuid7(), ids.uuid7()


@pytest.fixture(scope="module")
async def explored_database(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[DatabaseSettings]:
    """The recorded runs, and executions that are up to no good."""
    events = await asyncio.to_thread(recorded_events)
    async with database_of(database_server, template[0]) as settings:
        async with await connect(settings) as session:
            await write_events(session, events)
            await write_contents(session, *hostile(RUNNING), *hostile(ENDED), hostile_end(ENDED))
        yield settings


@pytest.fixture(scope="module")
async def explored(
    browser: Browser, dashboard_kafka: KafkaSettings, explored_database: DatabaseSettings
) -> AsyncIterator[ServedDashboard]:
    """A dashboard of it."""
    async with serving_dashboard(dashboard_kafka, explored_database, "explored") as served:
        yield served


@pytest.fixture(scope="module")
async def visitor(browser: Browser, explored: ServedDashboard) -> AsyncIterator[Tab]:
    """One profile for all tests of the file, as to read the scripts anew takes longer than most of them."""
    async with tab(browser, explored.url) as opened:
        yield opened


@pytest.fixture
async def page(visitor: Tab) -> AsyncIterator[Tab]:
    """Whatever a page complains of fails the test."""
    visitor.complaints.clear()
    visitor.requests.clear()
    yield visitor
    assert visitor.complaints == []
    assert visitor.foreign_requests() == []


@pytest.fixture
async def session(explored_database: DatabaseSettings) -> AsyncIterator[Session]:
    """A connection to what the pages show."""
    async with await connect(explored_database) as opened:
        yield opened


def numbers(texts: Sequence[str]) -> list[float]:
    """The first number of each text."""
    found = [re.search(r"-?[\d,]+(?:\.\d+)?", text) for text in texts]
    return [float(match[0].replace(",", "")) for match in found if match]


async def figure(page: Tab, name: str) -> str:
    """A figure, once it is there."""
    await page.page.wait_for_selector(f"[data-figure={name}]:not(:has-text('-'))")
    return await page.text(f"[data-figure={name}]")


async def direct(session: Session, statement: str) -> list[Any]:
    return [tuple(row.values()) for row in await session.fetch(statement, ids.simulation_id(SIMULATION))]


async def test_performance_shows_what_direct_sql_says(page: Tab, session: Session) -> None:
    await page.open(f"/performance?{RECORDED}")
    ((executions, rate, cost),) = await direct(
        session, "SELECT count(*), 100 * avg(success::int), sum(cost_usd) FROM outcomes WHERE simulation_id = $1"
    )
    assert await figure(page, "executions") == f"{executions:,}"
    assert numbers([await figure(page, "success_rate")]) == [pytest.approx(float(rate), abs=0.05)]
    assert numbers([await figure(page, "cost")]) == [pytest.approx(cost, abs=0.005)]
    calls, errors = (
        await direct(
            session, "SELECT count(*), count(*) FILTER (WHERE NOT success) FROM tool_usage WHERE simulation_id = $1"
        )
    )[0]
    shown = await figure(page, "tool_errors")
    assert shown == f"{100 * errors / calls:.1f} % of {calls:,}"

    rows = await direct(
        session,
        "SELECT name || '@1', count(*), 100 * avg(success::int), sum(cost_usd) FROM outcomes AS o"
        " JOIN configuration_versions AS v ON v.id = o.configuration_version_id"
        " JOIN configurations AS c ON c.id = v.configuration_id WHERE simulation_id = $1 GROUP BY 1",
    )
    expected = {name: (count, float(rate), cost) for name, count, rate, cost in rows}
    table = "Configurations, the most"
    names = await page.cells(table, "configuration")
    assert sorted(names) == sorted(expected)
    assert numbers(await page.cells(table, "executions")) == [expected[name][0] for name in names]
    rates = numbers(await page.cells(table, "success"))
    assert rates == [pytest.approx(expected[name][1], abs=0.05) for name in names]
    assert numbers(await page.cells(table, "cost")) == [pytest.approx(expected[name][2], rel=0.01) for name in names]

    scenarios = await direct(
        session,
        "SELECT name, count(*) FROM outcomes JOIN scenarios AS s ON s.id = scenario_id"
        " WHERE simulation_id = $1 GROUP BY 1",
    )
    names = await page.cells("Scenarios, the most", "scenario")
    counts = numbers(await page.cells("Scenarios, the most", "executions"))
    assert dict(zip(names, counts, strict=True)) == dict(scenarios)
    assert counts == sorted(counts, reverse=True)


async def test_cost_shows_what_direct_sql_says(page: Tab, session: Session) -> None:
    await page.open(f"/cost?{RECORDED}")
    ((cost, mean, per_success),) = await direct(
        session,
        "SELECT sum(cost_usd), avg(cost_usd), sum(cost_usd) / count(*) FILTER (WHERE success) FROM outcomes"
        " WHERE simulation_id = $1",
    )
    assert numbers([await figure(page, "cost")]) == [pytest.approx(cost, abs=0.005)]
    assert numbers([await figure(page, "cost_per_execution")]) == [pytest.approx(mean, abs=0.005)]
    assert numbers([await figure(page, "cost_per_success")]) == [pytest.approx(per_success, abs=0.005)]
    shares = numbers(await page.cells("Configurations, the dearest", "share"))
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)


async def test_errors_and_tools_show_what_direct_sql_says(page: Tab, session: Session) -> None:
    await page.open(f"/errors?{RECORDED}")
    ((bad,),) = await direct(session, "SELECT count(*) FROM outcomes WHERE NOT success AND simulation_id = $1")
    assert numbers([await figure(page, "errors")]) == [bad]
    kinds = await direct(
        session,
        "SELECT COALESCE(error_kind, 'not said'), count(*) FROM outcomes"
        " WHERE NOT success AND simulation_id = $1 GROUP BY status, 1",
    )
    table = "Executions that did not succeed"
    found = list(zip(await page.cells(table, "kind"), numbers(await page.cells(table, "executions")), strict=True))
    assert sorted(found) == sorted(kinds)
    tools = await direct(
        session,
        "SELECT tool, count(*), count(*) FILTER (WHERE NOT success) FROM tool_usage"
        " WHERE simulation_id = $1 GROUP BY 1",
    )
    columns = [await page.cells("Tools, the most used", name) for name in ("tool", "calls", "failed")]
    shown = zip(columns[0], numbers(columns[1]), numbers(columns[2]), strict=True)
    assert sorted(shown) == sorted(tools)


async def test_a_page_of_executions_and_the_next(page: Tab, session: Session) -> None:
    rows = await direct(
        session, "SELECT id::text FROM executions WHERE simulation_id = $1 ORDER BY started_at DESC, id DESC LIMIT 75"
    )
    every = [row[0] for row in rows]
    await page.open(f"/executions?{RECORDED}")
    await page.page.wait_for_selector("a:text-is('Older')")
    assert await page.cells("Executions, 50", "execution") == every[:50]
    await page.page.click("a:text-is('Older')")
    await page.page.wait_for_url("**after=**")
    await page.page.wait_for_function("window.did_handshake === true")
    assert (await page.cells("Executions, 50", "execution"))[:25] == every[50:]
    await page.page.go_back()
    await page.page.wait_for_selector(f"a:text-is('{every[0]}')")


async def test_searching_by_keyboard_alone(page: Tab, session: Session) -> None:
    ((wanted, begin),) = await direct(
        session,
        "SELECT execution_id::text, left(execution_id::text, 13) FROM outcomes"
        " WHERE success AND simulation_id = $1 ORDER BY time LIMIT 1",
    )
    await page.open("/performance")
    keyboard = page.page.keyboard
    await keyboard.press("g")
    await keyboard.press("x")
    await page.page.wait_for_url("**/executions")
    await page.page.wait_for_function("window.did_handshake === true")
    await keyboard.press("/")
    await keyboard.type(wanted)
    await keyboard.press("Enter")
    await page.page.wait_for_url(f"**/executions?id={wanted}")
    await page.page.wait_for_selector(f"a:text-is('{wanted}')")
    assert (await page.cells("Executions, 50", "status"))[0].split() == ["●", "succeeded"]
    await page.page.focus(f"a:text-is('{wanted}')")
    await keyboard.press("Enter")
    await page.page.wait_for_url(f"**/executions/{wanted}")
    await page.page.wait_for_selector("[data-figure=state]:has-text('succeeded')")
    assert begin in wanted


async def test_a_filter_that_is_typed_outlives_what_comes_in_meanwhile(page: Tab, session: Session) -> None:
    subject = ids.uuid7()
    await page.open("/executions")
    await page.page.fill("input[name=scenario]", "half-typed")
    await write_contents(session, event(STARTED, subject=subject))
    # It comes by itself, without the page being loaded again.
    await page.page.wait_for_selector(f"a:text-is('{subject}')")
    assert await page.page.input_value("input[name=scenario]") == "half-typed"
    await page.page.fill("input[name=scenario]", "refund-flow")
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url("**/executions?scenario=refund-flow")
    await page.page.wait_for_selector(f"a:text-is('{subject}')")
    assert await page.page.input_value("input[name=scenario]") == "refund-flow"
    await page.page.wait_for_selector("#choices-scenario option[value=refund-flow]", state="attached")


async def test_the_story_of_one_execution(page: Tab, session: Session) -> None:
    ((execution, last),) = await direct(
        session,
        "SELECT execution_id::text, last_sequence FROM outcomes"
        " WHERE simulation_id = $1 ORDER BY last_sequence LIMIT 1",
    )
    await page.open(f"/executions/{execution}")
    await page.page.wait_for_selector("[data-figure=gaps]:has-text('None is missing')")
    assert numbers(await page.cells("Events in the order", "#")) == list(range(1, last + 1))
    tools = await session.fetch(
        "SELECT tool FROM tool_usage WHERE execution_id = $1 ORDER BY sequence", UUID(execution)
    )
    names = await page.cells("Events in the order", "name")
    assert names[1:-1] == [row["tool"] for row in tools]
    await page.page.locator("summary").first.click()
    await page.page.wait_for_selector("figure.chart table td:text-is('execution')")
    await page.page.locator("a:text-is('show')").first.click()
    await page.page.wait_for_selector("[data-figure=type]:has-text('arc_eval.execution.started.v1')")
    assert '"scenario"' in await page.text("[data-figure=details]")


async def test_what_is_missing_is_said(page: Tab) -> None:
    await page.open(f"/executions/{ENDED}")
    await page.page.wait_for_selector("[data-figure=gaps]:has-text('2 are missing, by their numbers: 5 to 6')")
    assert await page.text("[data-figure=dropped]") == "1"
    assert await page.text("[data-figure=outstanding]") == "1"


async def test_an_execution_that_is_not_there_yet(page: Tab, session: Session) -> None:
    subject = ids.uuid7()
    await page.open(f"/executions/{subject}")
    await page.page.wait_for_selector("text=The database does not know this execution")
    await write_contents(session, event(STARTED, subject=subject))
    await page.page.wait_for_selector("[data-figure=state]:has-text('running')")


async def test_what_runs_is_shown_and_goes(page: Tab, session: Session) -> None:
    subject, other = ids.uuid7(), ids.uuid7()
    context = {"simulation": "passing", "simulation_id": str(ids.simulation_id("passing"))}
    await write_contents(session, event(STARTED, context, subject=subject), event(STARTED, context, subject=other))
    await page.open("/simulations")
    row = page.page.locator("tr", has_text="passing")
    await row.wait_for()
    cells = await row.locator("td").all_inner_texts()
    assert cells[:5] == ["passing", "2", "2", "0", "0"]
    ends = {key: value for key, value in context.items() if key == "simulation_id"}
    await write_contents(session, event(COMPLETED, ends, subject=subject), event(COMPLETED, ends, subject=other))
    await row.wait_for(state="detached")


HOSTILE_PAGES = {
    "/simulations": 1,
    f"/performance?{RANGE}": 2,
    f"/cost?{RANGE}": 2,
    f"/errors?{RANGE}": 5,
    f"/executions?{RANGE}&scenario={quote(HOSTILE)}": 4,
    f"/executions/{ENDED}": 8,
    f"/performance?configuration={quote(HOSTILE)}&scenario={quote(HOSTILE)}&simulation={quote(HOSTILE)}": 2,
    f"/executions?id={quote(HOSTILE)}&text={quote(HOSTILE)}&state={quote(HOSTILE)}&after={quote(HOSTILE)}": 1,
    f"/performance?range={quote(HOSTILE)}&from={quote(HOSTILE)}": 0,
    f"/executions/{quote(HOSTILE)}": 1,
}


def page_name(path: str) -> str:
    """The same in every process that collects the tests: without what differs from run to run."""
    return path.partition("?")[0].replace(quote(HOSTILE), "hostile").replace(str(ENDED), "ended")


@pytest.mark.parametrize("path", HOSTILE_PAGES, ids=page_name)
async def test_markup_in_every_text_is_text(page: Tab, path: str) -> None:
    await page.open(path)

    async def is_shown() -> bool:
        texts = await page.page.locator("#app, body").first.inner_text()
        return texts.count(HOSTILE) >= HOSTILE_PAGES[path]

    await eventually(is_shown, f"{path} shows the text {HOSTILE_PAGES[path]} times")
    for summary in await page.page.locator("summary").all():
        if await summary.is_visible():
            await summary.click()
    for canvas in await page.page.locator(".chart-canvas").all():
        if await canvas.is_visible():
            await canvas.hover()
    assert await page.page.evaluate("window.hurt") is None
    assert await page.page.locator("img").count() == 0


async def test_a_configuration_that_is_not_there_is_said(page: Tab) -> None:
    await page.open("/performance?configuration=nobody")
    await page.page.wait_for_selector("text=there is no configuration nobody")


async def test_an_empty_range_says_what_to_do(page: Tab) -> None:
    await page.open("/performance?from=2025-01-01T00:00Z&to=2025-01-02T00:00Z")
    await page.page.wait_for_selector("text=Choose a longer one, or clear the filters")


async def test_the_range_is_chosen_by_keyboard(page: Tab) -> None:
    await page.open("/cost")
    await page.page.focus("select[name=range]")
    await page.page.keyboard.press("ArrowDown")
    await page.page.wait_for_url("**/cost?range=3d")
    assert await page.page.input_value("select[name=range]") == "3d"
