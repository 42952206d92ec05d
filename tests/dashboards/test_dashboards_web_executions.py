"""Searching executions, and the story of one: against direct SQL, and against what was written."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from arc_eval_db.dashboards.web.data import executions, searching
from arc_eval_db.dashboards.web.data.executions import ExecutionStory, read_execution
from arc_eval_db.dashboards.web.data.searching import (
    Cursor,
    FoundExecution,
    FoundPage,
    Search,
    State,
    find_by_id,
    id_range,
    search,
)
from arc_eval_db.dashboards.web.data.simulations import read_running
from arc_eval_db.dashboards.web.data.timelines import Gap, Kind, Span, find_gaps
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED, TopicNames
from support.databases import connect
from support.events import event
from support.recorded_runs import EXECUTIONS
from support.web_data import SIMULATION, around_now, recorded_database, write_contents

pytestmark = pytest.mark.database

NOW = datetime.now(UTC)
NAMES = TopicNames()


@pytest.fixture(scope="module")
async def recorded(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[Session]:
    """The recorded runs; nothing writes here."""
    async with recorded_database(database_server, template[0]) as settings, await connect(settings) as opened:
        yield opened


def ago(**duration: float) -> str:
    return (NOW - timedelta(**duration)).isoformat()


async def all_pages(session: Session, asked: Search) -> tuple[list[FoundExecution], list[FoundPage]]:
    found: list[FoundExecution] = []
    pages: list[FoundPage] = []
    while True:
        page = await search(session, asked)
        pages.append(page)
        found += page.executions
        if page.next is None:
            return found, pages
        after = Cursor.of(page.next.text())
        assert after == page.next
        asked = Search(asked.selection, asked.state, asked.text, after)
        assert len(pages) < 100, "the search does not end"


async def check(session: Session, asked: Search, condition: str, *arguments: Any) -> list[FoundExecution]:
    """Every page of a search, against one statement."""
    found, _ = await all_pages(session, asked)
    rows = await session.fetch(
        "SELECT execution.id FROM executions AS execution LEFT JOIN outcomes AS outcome"
        " ON outcome.execution_id = execution.id AND outcome.time = execution.ended_at"
        f" WHERE started_at >= $1 AND started_at < $2 AND {condition} ORDER BY started_at DESC, execution.id DESC",
        *(asked.selection.window.since, asked.selection.window.until, *arguments),
    )
    assert [execution.id for execution in found] == [row["id"] for row in rows]
    return found


@pytest.mark.parametrize("looked_at", [7, searching.CANDIDATES_MAX])
async def test_every_page_together_is_what_direct_sql_says(
    recorded: Session, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    monkeypatch.setattr(searching, "CANDIDATES_MAX", looked_at)
    (row, *_) = await recorded.fetch(
        "SELECT configuration_version_id AS version, scenario_id AS scenario FROM executions LIMIT 1"
    )
    version, scenario = row["version"], row["scenario"]
    simulation = ids.simulation_id(SIMULATION)
    everything = await check(recorded, Search(around_now()), "true")
    assert len(everything) == EXECUTIONS
    of_version = "execution.configuration_version_id = $3"
    await check(recorded, Search(around_now(versions=(version,))), of_version, version)
    await check(recorded, Search(around_now(excluded=(version,))), of_version.replace("=", "<>"), version)
    await check(recorded, Search(around_now(scenario_id=scenario)), "execution.scenario_id = $3", scenario)
    await check(recorded, Search(around_now(simulation_id=simulation)), "execution.simulation_id = $3", simulation)
    both = Search(around_now(versions=(version,), scenario_id=scenario))
    assert await check(recorded, both, f"{of_version} AND execution.scenario_id = $4", version, scenario)
    for state in (State.SUCCEEDED, State.ERRORED, State.TIMED_OUT):
        found = await check(recorded, Search(around_now(), state), "status = $3", state.value)
        assert {execution.state for execution in found} <= {state}
    text = Search(around_now(simulation_id=simulation), text="EXIT_COST")
    assert await check(recorded, text, "error_kind ILIKE '%exit\\_cost%'")
    assert await check(recorded, Search(around_now(), text="no such text"), "false") == []
    assert await check(recorded, Search(around_now(), State.RUNNING), "false") == []


async def test_a_page_says_how_far_it_looked(recorded: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "CANDIDATES_MAX", 60)
    page = await search(recorded, Search(around_now(), text="no such text"))
    assert (page.executions, page.searched) == ((), 60)
    assert page.next is not None
    assert page.next.started_at == page.searched_to
    _, pages = await all_pages(recorded, Search(around_now(), text="no such text"))
    assert sum(page.searched for page in pages) == EXECUTIONS
    assert (pages[-1].next, pages[-1].searched_to) == (None, None)


async def test_a_page_is_not_disturbed_by_what_comes_later(session: Session) -> None:
    subjects = [ids.uuid7() for _ in range(60)]
    # Many at the same moment: the id decides.
    for number, subject in enumerate(subjects):
        await write_contents(session, event(STARTED, subject=subject, time=ago(minutes=number // 20)))
    first = await search(session, Search(around_now()))
    await write_contents(session, event(STARTED, time=ago(seconds=1)))
    second = await search(session, Search(around_now(), after=first.next))
    assert (len(first.executions), len(second.executions), second.next) == (50, 10, None)
    assert {execution.id for execution in (*first.executions, *second.executions)} == set(subjects)


async def test_how_executions_stand(session: Session) -> None:
    running, abandoned, failed, lost, gone = (ids.uuid7() for _ in range(5))
    error = {"status": "errored", "error_kind": "Boom", "error_message": "it went <b>wrong</b> 100%"}
    await write_contents(
        session,
        event(STARTED, subject=running, time=ago(minutes=5)),
        event(STARTED, subject=abandoned, time=ago(hours=5)),
        event(STARTED, subject=failed, time=ago(minutes=9)),
        event(COMPLETED, error, subject=failed, time=ago(minutes=8)),
        # Its start has not arrived.
        event(COMPLETED, subject=lost, time=ago(minutes=7)),
        event(STARTED, subject=gone, time=ago(minutes=6)),
        event(COMPLETED, subject=gone, time=ago(minutes=5)),
    )
    await session.execute("DELETE FROM outcomes WHERE execution_id = $1", gone)
    found = (await search(session, Search(around_now()))).executions
    states = {execution.id: execution.state for execution in found}
    assert states == {
        running: State.RUNNING,
        abandoned: State.ABANDONED,
        failed: State.ERRORED,
        gone: State.COMPLETED,
    }
    for text in ("boom", "<B>wrong", "100%", "Boom"):
        (only,) = (await search(session, Search(around_now(), text=text))).executions
        assert (only.id, only.error_message) == (failed, error["error_message"])
    for text in ("b_om", "%", "\\"):
        page = await search(session, Search(around_now(), text=text))
        assert bool(page.executions) == (text == "%"), "what is looked for is text and no pattern"
    for state, expected in ((State.RUNNING, running), (State.ABANDONED, abandoned)):
        (only,) = (await search(session, Search(around_now(), state))).executions
        assert only.id == expected
    (only,) = (await find_by_id(session, lost, lost)).executions
    assert (only.state, only.started_at) == (State.SUCCEEDED, None)


async def test_by_the_beginning_of_an_id(session: Session) -> None:
    subject = UUID("0193a1b2-c3d4-7000-8000-000000000001")
    other = UUID("0193a1b2-c3d5-7000-8000-000000000002")
    await write_contents(session, event(STARTED, subject=subject), event(STARTED, subject=other))
    for text, expected in (("0193A1B2-C3D4", {subject}), (str(subject), {subject}), ("0193a1b2", {subject, other})):
        bounds = id_range(text)
        assert bounds is not None
        assert {execution.id for execution in (await find_by_id(session, *bounds)).executions} == expected
    for text in ("", "019", "refund", "0193a1b2-c3d4-7000-8000-0000000000011", "'; DROP"):
        assert id_range(text) is None


@pytest.mark.parametrize("text", ["", "x", "bm90IG91cnM", "W10", "WyIyMDI2IiwgIngiXQ", "é", "a" * 5000])
def test_a_damaged_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="search again"):
        Cursor.of(text)


async def tell(session: Session, subject: UUID, *, after: executions.After | None = None) -> ExecutionStory:
    story = await read_execution(session, subject, NAMES, after=after)
    assert story is not None
    return story


async def test_the_story_of_every_recorded_run(recorded: Session) -> None:
    rows = await recorded.fetch(
        "SELECT execution_id AS id, last_sequence, status FROM outcomes ORDER BY execution_id LIMIT 10"
    )
    for row in rows:
        story = await tell(recorded, row["id"])
        sequences = [event.sequence for event in story.events]
        assert sequences == list(range(1, row["last_sequence"] + 1))
        assert (story.gaps.gaps, story.next, story.head.simulation) == ((), None, SIMULATION)
        assert story.outcome is not None
        assert story.outcome.name == row["status"]
        assert story.events[0].kind is Kind.STARTED
        assert {event.kind for event in story.events[1:-1]} <= {Kind.TOOL}


async def test_a_story_with_holes(session: Session) -> None:
    subject = ids.uuid7()
    tool = {"tool": "edit", "success": False, "error": "<img src=x onerror=alert(1)>", "duration_ms": 30_000.0}
    await write_contents(
        session,
        event(STARTED, {"metadata": {"of": "test"}}, subject=subject, time=ago(minutes=20), sequence="1"),
        event(PROGRESSED, subject=subject, time=ago(minutes=19), sequence="2"),
        event(TOOL_USED, tool, subject=subject, time=ago(minutes=18), sequence="5"),
        event(FAILURE_RECORDED, subject=subject, time=ago(minutes=17), sequence="6"),
        event(FAILURE_RECORDED, subject=subject, time=ago(minutes=14), sequence="0"),
        event(
            COMPLETED,
            {"last_sequence": 9, "dropped": {"queue_full": 2}},
            subject=subject,
            time=ago(minutes=15),
            sequence="9",
        ),
    )
    story = await tell(session, subject)
    assert [event.kind for event in story.events] == [
        *(Kind.STARTED, Kind.PROGRESS, Kind.TOOL, Kind.FAILURE, Kind.OUTCOME, Kind.FAILURE)
    ]
    assert (story.gaps.gaps, story.gaps.missing) == ((Gap(3, 4), Gap(7, 8)), 4)
    assert (story.head.version.text, story.head.scenario, story.head.is_running) == ("careful@1", "refund-flow", False)
    used = story.events[2]
    assert (used.name, used.success, used.message) == ("edit", False, tool["error"])
    assert used.time - used.began_at == timedelta(seconds=30)
    assert str(used.place) == "arc-eval.tool-usage[0]@2"
    assert story.accounting is not None
    assert (story.accounting.emitted, story.accounting.stored, story.accounting.dropped) == (9, 5, 2)
    assert story.accounting.outstanding == 2
    span = Span.of(story.events, story.head.started_at)
    assert span is not None
    assert [span.share(event.time) for event in (story.events[0], story.events[-1])] == [0.0, 1.0]


async def test_a_long_story_comes_in_pages(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "EVENTS_MAX", 4)
    subject = ids.uuid7()
    at = ago(minutes=9)  # all at once: the sequence decides
    await write_contents(
        session,
        event(STARTED, subject=subject, time=at, sequence="1"),
        *(event(TOOL_USED, subject=subject, time=at, sequence=str(number)) for number in range(2, 10)),
        event(COMPLETED, {"last_sequence": 10}, subject=subject, time=at, sequence="10"),
    )
    told: list[int] = []
    after: executions.After | None = None
    for _ in itertools.count():
        story = await tell(session, subject, after=after)
        assert story.outcome is not None
        assert story.gaps.missing == 0
        told += [event.sequence for event in story.events]
        after = story.next
        if after is None:
            break
    assert told == list(range(1, 11))


async def test_stories_without_a_beginning_or_an_end(session: Session) -> None:
    headless, silent, running = (ids.uuid7() for _ in range(3))
    await write_contents(
        session,
        event(TOOL_USED, subject=headless, time=ago(hours=2), sequence="3"),
        event(COMPLETED, {"last_sequence": 4}, subject=headless, time=ago(hours=1), sequence="4"),
        event(STARTED, subject=silent, time=ago(hours=3)),
        event(STARTED, subject=running, time=ago(minutes=3)),
    )
    story = await tell(session, headless)
    assert (story.head.started_at, [event.sequence for event in story.events]) == (None, [3, 4])
    assert story.gaps.gaps == (Gap(1, 2),)
    story = await tell(session, silent)
    assert (story.outcome, story.head.is_running) == (None, False)
    assert story.accounting is not None
    assert story.accounting.outstanding == 1
    story = await tell(session, running)
    assert (story.outcome, story.head.is_running, story.accounting) == (None, True, None)
    assert await read_execution(session, ids.uuid7(), NAMES) is None


@given(some.sets(some.integers(1, 60)), some.none() | some.integers(1, 60))
def test_gaps_are_what_is_not_there(present: set[int], last: int | None) -> None:
    found = find_gaps([0, *present, *present], last)
    top = max([*present, last or 0], default=0)
    absent = set(range(1, top + 1)) - present
    assert {number for gap in found.gaps for number in range(gap.first, gap.last + 1)} == absent
    assert found.missing == len(absent)
    assert all(a.last + 1 < b.first for a, b in itertools.pairwise(found.gaps))


async def test_what_runs_now(session: Session) -> None:
    subjects = [ids.uuid7() for _ in range(6)]
    alone = ids.uuid7()
    outside = {"simulation": None, "simulation_id": None}
    await write_contents(
        session,
        *(event(STARTED, subject=subject, time=ago(minutes=30)) for subject in subjects),
        *(
            event(COMPLETED, {"status": status, "cost_usd": 0.5}, subject=subject, time=ago(minutes=5))
            for subject, status in zip(subjects, ("succeeded", "failed", "succeeded"), strict=False)
        ),
        event(STARTED, outside, subject=alone, time=ago(minutes=1)),
    )
    found = await read_running(session)
    (simulation,) = found.simulations
    assert (simulation.simulation, simulation.running, simulation.completed) == ("nightly", 3, 3)
    assert (simulation.succeeded, simulation.cost_usd, simulation.executions) == (2, 1.5, 6)
    assert simulation.ends_per_minute == pytest.approx(3 / 15)
    assert simulation.end_expected_at(NOW) == NOW + timedelta(minutes=15)
    assert [(row.execution_id, row.version.text, row.scenario) for row in found.alone] == [
        (alone, "careful@1", "refund-flow")
    ]
