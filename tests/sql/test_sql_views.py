"""The views: what they say of rows that went through the real writer, in both editions."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from arc_eval_db.database import Session
from arc_eval_db.migrations import Edition
from arc_eval_db.migrations.policies import AGGREGATES
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.sql import queries
from arc_eval_db.writer import BatchWriter, LoggedEvent
from support.events import event
from support.views_page import pictures, questions

pytestmark = pytest.mark.database

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
VIEWS = (
    "active_simulations",
    "configuration_names",
    "cost_breakdown",
    "error_rates",
    "execution_completeness",
    "execution_state",
    "performance_daily",
    "performance_hourly",
    "performance_trends",
    "tool_reliability",
    "unended_executions",
)


def ago(**duration: float) -> str:
    return (NOW - timedelta(**duration)).isoformat()


async def write(session: Session, *contents: dict[str, Any]) -> None:
    events = [LoggedEvent(parse_event(orjson.dumps(content))) for content in contents]
    async with session.transaction():
        report = await BatchWriter().write(session, events)
    assert report.inserted == len(contents)


async def states(session: Session) -> dict[UUID, str]:
    rows = await session.fetch("SELECT execution_id, state FROM execution_state")
    assert len({row["execution_id"] for row in rows}) == len(rows), "an execution has two states"
    return {row["execution_id"]: row["state"] for row in rows}


async def one(session: Session, statement: str, *arguments: Any) -> Mapping[str, Any]:
    rows = await session.fetch(statement, *arguments)
    assert len(rows) == 1
    return rows[0]


async def test_both_editions_have_the_same_views_with_the_same_columns(session: Session, edition: Edition) -> None:
    rows = await session.fetch(
        "SELECT c.relname AS view,"
        " string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ', ' ORDER BY a.attnum) AS columns"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e') GROUP BY 1"
    )
    found = {row["view"]: row["columns"] for row in rows}
    assert found.keys() == {*VIEWS, *AGGREGATES}
    assert found["outcomes_daily"] == found["outcomes_hourly"]
    assert found["tool_reliability"] == (
        "day timestamp with time zone, configuration text, configuration_version_id uuid, tool text, calls bigint,"
        " errors bigint, error_rate double precision, duration_ms double precision, duration_ms_max double precision,"
        " result_bytes bigint"
    )


async def test_an_execution_is_running_then_abandoned_or_completed(session: Session) -> None:
    fresh, silent, busy, progressing, failing, done, endless = (ids.uuid7() for _ in range(7))
    await write(
        session,
        event(STARTED, subject=fresh, time=ago(minutes=30)),
        event(STARTED, subject=silent, time=ago(minutes=90)),
        event(STARTED, subject=busy, time=ago(hours=30)),
        event(TOOL_USED, subject=busy, time=ago(minutes=5)),
        event(STARTED, subject=progressing, time=ago(hours=30)),
        event(PROGRESSED, subject=progressing, time=ago(minutes=5)),
        event(STARTED, subject=endless, time=ago(days=3, minutes=5)),
        event(TOOL_USED, subject=endless, time=ago(minutes=5)),
        # Its start has not arrived.
        event(FAILURE_RECORDED, subject=failing, time=ago(minutes=5)),
        event(STARTED, subject=done, time=ago(minutes=20)),
        event(COMPLETED, subject=done, time=ago(minutes=10)),
    )
    assert await states(session) == {
        fresh: "running",
        silent: "abandoned",
        busy: "running",
        progressing: "running",
        failing: "running",
        done: "completed",
        endless: "abandoned",
    }
    await write(session, event(COMPLETED, subject=silent, time=ago(minutes=50)))
    assert (await states(session))[silent] == "completed"


async def test_how_long_silence_lasts_can_be_set(session: Session) -> None:
    subject = ids.uuid7()
    await write(session, event(STARTED, subject=subject, time=ago(minutes=30)))
    await session.execute("SET arc_eval.abandoned_after = '10 minutes'")
    assert await states(session) == {subject: "abandoned"}
    await session.execute("RESET arc_eval.abandoned_after")
    assert await states(session) == {subject: "running"}


async def test_an_active_simulation_counts_its_executions(session: Session) -> None:
    running, succeeded, failed, abandoned, elsewhere = (ids.uuid7() for _ in range(5))
    other = {"simulation": "weekly", "simulation_id": str(ids.simulation_id("weekly"))}
    await write(
        session,
        event(STARTED, subject=abandoned, time=ago(hours=3)),
        event(STARTED, subject=succeeded, time=ago(minutes=50)),
        event(STARTED, subject=failed, time=ago(minutes=50)),
        event(STARTED, subject=running, time=ago(minutes=20)),
        event(COMPLETED, {"cost_usd": 0.25}, subject=succeeded, time=ago(minutes=30)),
        event(COMPLETED, {"status": "failed", "cost_usd": 0.5}, subject=failed, time=ago(minutes=20)),
        event(STARTED, other, subject=elsewhere, time=ago(minutes=50)),
        event(COMPLETED, {"simulation_id": other["simulation_id"]}, subject=elsewhere, time=ago(minutes=40)),
    )
    row = await one(session, "SELECT * FROM active_simulations")
    assert dict(row) == {
        "simulation_id": ids.simulation_id("nightly"),
        "simulation": "nightly",
        "started_at": NOW - timedelta(hours=3),
        "last_activity_at": NOW - timedelta(minutes=20),
        "running": 1,
        "completed": 2,
        "abandoned": 1,
        "succeeded": 1,
        "cost_usd": 0.75,
    }


def counted(subject: UUID, *, last_sequence: int, dropped: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """One of each event type, and an end that says how many were emitted."""
    end = {"last_sequence": last_sequence, "dropped": dropped or {}}
    return [
        event(STARTED, subject=subject, time=ago(minutes=20), sequence="1"),
        event(PROGRESSED, subject=subject, time=ago(minutes=19), sequence="2"),
        event(TOOL_USED, subject=subject, time=ago(minutes=18), sequence="3"),
        event(FAILURE_RECORDED, subject=subject, time=ago(minutes=17), sequence="4"),
        event(COMPLETED, end, subject=subject, time=ago(minutes=16), sequence=str(last_sequence)),
    ]


async def completeness(session: Session, subject: UUID) -> tuple[Any, ...]:
    row = await one(
        session,
        "SELECT emitted, stored, dead_lettered, dropped, outstanding, is_complete FROM execution_completeness"
        " WHERE execution_id = $1",
        subject,
    )
    return tuple(row.values())


async def test_what_was_emitted_is_accounted_for(session: Session) -> None:
    whole, lacking = ids.uuid7(), ids.uuid7()
    await write(
        session, *counted(whole, last_sequence=5), *counted(lacking, last_sequence=9, dropped={"queue_full": 2})
    )
    assert await completeness(session, whole) == (5, 5, 0, 0, 0, True)
    assert await completeness(session, lacking) == (9, 5, 0, 2, 2, False)
    dead_letter = (
        "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail, key,"
        " headers, consumer_group, consumer_version) VALUES ('t', 0, $1, now(), 'r', 'e', 'd', $2, '[]', 'g', 'v')"
    )
    await session.execute(dead_letter, 1, str(lacking).encode())
    await session.execute(dead_letter, 2, str(lacking).encode())
    await session.execute(dead_letter, 3, b"\xff" * 5000)
    assert await completeness(session, lacking) == (9, 5, 2, 2, 0, True)
    # One that was retried is a row now.
    await session.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'stored' WHERE log_offset = 1")
    assert await completeness(session, lacking) == (9, 5, 1, 2, 1, False)
    # One that a person gave up is no row, and not lost on the way either.
    await session.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded' WHERE log_offset = 2")
    assert await completeness(session, lacking) == (9, 5, 1, 2, 1, False)


async def test_events_from_outside_are_not_counted(session: Session) -> None:
    """A launcher's, or those that an evaluation platform adds later, carry the sequence 0."""
    subject = ids.uuid7()
    await write(session, *counted(subject, last_sequence=6))
    assert await completeness(session, subject) == (6, 5, 0, 0, 1, False)
    await write(
        session,
        event(FAILURE_RECORDED, subject=subject, time=ago(minutes=15), sequence="0"),
        event(COMPLETED, subject=subject, time=ago(minutes=14), sequence="0"),
    )
    assert await completeness(session, subject) == (6, 5, 0, 0, 1, False)


async def test_what_a_launcher_reports_of_a_simulation_is_counted_apart(session: Session) -> None:
    subject = ids.uuid7()
    await write(session, *counted(subject, last_sequence=6), event(FAILURE_RECORDED, subject=subject, sequence="0"))
    counts = await one(session, queries("summary")["event_counts"], ids.simulation_id("nightly"))
    assert (counts["emitted"], counts["reported"], counts["events"]) == (6, 1, 6)


async def test_refused_events_from_outside_are_not_counted(session: Session) -> None:
    """Their sequence is looked for in bytes that need not be an event, nor text."""
    subject = ids.uuid7()
    await write(session, *counted(subject, last_sequence=10))
    outside = event(FAILURE_RECORDED, subject=subject, sequence="0000000000")
    values = [
        orjson.dumps(outside),
        orjson.dumps({**outside, "sequence": "0000000001"}),
        orjson.dumps({**outside, "sequence": "10000000000"}),
        b'\xff\x00\\"sequence',
        b"",
        None,
    ]
    for offset, value in enumerate(values):
        await session.execute(
            "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
            " key, value, headers, consumer_group, consumer_version)"
            " VALUES ('t', 0, $1, now(), 'r', 'e', 'd', $2, $3, '[]', 'g', 'v')",
            offset,
            str(subject).encode(),
            value,
        )
    assert await completeness(session, subject) == (10, 5, 5, 0, 0, True)


async def test_an_event_that_was_also_refused_counts_once(session: Session) -> None:
    subject = ids.uuid7()
    events = counted(subject, last_sequence=6)
    await write(session, *events)
    dead_letter = (
        "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail, key,"
        " event_id, headers, consumer_group, consumer_version)"
        " VALUES ('t', 0, $1, now(), 'r', 'e', 'd', $2, $3::text::uuid, '[]', 'g', 'v')"
    )
    key = str(subject).encode()
    for offset, content in enumerate(events):
        await session.execute(dead_letter, offset, key, content["id"])
    assert await completeness(session, subject) == (6, 5, 0, 0, 1, False)
    for offset in (10, 11):  # twice the one that never became a row
        await session.execute(dead_letter, offset, key, str(UUID(int=7)))
    assert await completeness(session, subject) == (6, 5, 1, 0, 0, True)


async def test_an_abandoned_execution_lacks_its_end_at_the_least(session: Session) -> None:
    abandoned, lacking, headless, running, outside, old = (ids.uuid7() for _ in range(6))
    await write(
        session,
        event(STARTED, subject=abandoned, time=ago(hours=3), sequence="1"),
        event(TOOL_USED, subject=abandoned, time=ago(hours=2), sequence="2"),
        event(FAILURE_RECORDED, subject=abandoned, time=ago(hours=2), sequence="0"),
        event(STARTED, subject=lacking, time=ago(hours=3), sequence="1"),
        event(TOOL_USED, subject=lacking, time=ago(hours=2), sequence="5"),
        event(TOOL_USED, subject=headless, time=ago(hours=2), sequence="3"),
        event(STARTED, subject=running, time=ago(minutes=5), sequence="1"),
        event(FAILURE_RECORDED, subject=outside, time=ago(hours=2), sequence="0"),
        event(STARTED, subject=old, time=ago(days=3, minutes=5), sequence="1"),
    )
    assert await completeness(session, abandoned) == (3, 2, 0, 0, 1, False)
    assert await completeness(session, lacking) == (6, 2, 0, 0, 4, False)
    assert await completeness(session, headless) == (4, 1, 0, 0, 3, False)
    rows = await session.fetch("SELECT execution_id, ended_at FROM execution_completeness")
    assert {row["execution_id"]: row["ended_at"] for row in rows} == dict.fromkeys((abandoned, lacking, headless))
    # Its end arrives after all.
    await write(session, event(COMPLETED, {"last_sequence": 3}, subject=abandoned, time=ago(hours=1), sequence="3"))
    assert await completeness(session, abandoned) == (3, 3, 0, 0, 0, True)


async def test_completeness_is_about_the_last_three_days(session: Session) -> None:
    old = ids.uuid7()
    await write(
        session,
        event(STARTED, subject=old, time=ago(days=3, minutes=5), sequence="1"),
        event(COMPLETED, {"last_sequence": 2}, subject=old, time=ago(hours=1), sequence="2"),
    )
    assert await session.fetch("SELECT * FROM execution_completeness") == []


async def test_executions_that_do_not_count_their_events_are_left_out(session: Session) -> None:
    await write(session, event(COMPLETED))
    assert await session.fetch("SELECT * FROM execution_completeness") == []


CONFIGURATIONS = ({"name": "careful", "beam": 4}, {"name": "careful", "beam": 8}, {"model": "nameless"})
STATUSES = ("succeeded", "failed", "errored", "timed_out", "cancelled")


def context(configuration: dict[str, Any], scenario: str) -> dict[str, Any]:
    return {
        "configuration_version_id": str(ids.configuration_version_id(configuration)),
        "scenario_id": str(ids.scenario_id(scenario)),
    }


def made_up(executions: int, days: int) -> list[dict[str, Any]]:
    """Executions of three configurations over several days, with everything that the rollups add up."""
    chance = random.Random(7)
    events = []
    for _ in range(executions):
        subject, configuration = ids.uuid7(), chance.choice(CONFIGURATIONS)
        scenario = f"scenario-{chance.randrange(3)}"
        about = context(configuration, scenario)
        began = TODAY - timedelta(days=days) + timedelta(seconds=chance.randrange(days * 86_400))
        start = {
            **about,
            "scenario": scenario,
            "configuration": configuration,
            "configuration_name": configuration.get("name"),
        }
        status = chance.choice(STATUSES)
        end = {
            **about,
            "status": status,
            "score": chance.choice((None, 0.25, 0.5)),
            "duration_ms": chance.choice((None, 100.0, 250.0)),
            "cost_usd": chance.choice((None, 0.5, 0.25)),
            "input_tokens": chance.choice((None, 100)),
            "error_kind": chance.choice((None, "Boom")) if status != "succeeded" else None,
        }
        at = [(began + timedelta(seconds=second)).isoformat() for second in range(4)]
        tool = {"tool": chance.choice(("edit", "ls")), "success": chance.random() < 0.7, "result_bytes": 10}
        events += [
            event(STARTED, start, subject=subject, time=at[0]),
            event(TOOL_USED, {**about, **tool}, subject=subject, time=at[1]),
            event(FAILURE_RECORDED, {**about, "kind": chance.choice(("stuck", "policy"))}, subject=subject, time=at[2]),
            event(COMPLETED, end, subject=subject, time=at[3]),
        ]
    return events


def day_of(content: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(content["time"]).replace(hour=0, minute=0, second=0, microsecond=0)


def version_of(content: Mapping[str, Any]) -> UUID:
    return UUID(content["data"]["configuration_version_id"])


def mean(values: Sequence[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return pytest.approx(sum(known) / len(known)) if known else None


def total(values: Sequence[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return pytest.approx(sum(known)) if known else None


def grouped(events: Sequence[dict[str, Any]], kind: str, *keys: Any) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups = defaultdict(list)
    for content in events:
        if content["type"] == kind:
            groups[tuple(key(content) for key in keys)].append(content["data"])
    return groups


def named(version_id: UUID) -> str:
    names = {ids.configuration_version_id(content): content.get("name") for content in CONFIGURATIONS}
    name = names[ids.ConfigurationVersionId(version_id)]
    return f"version {str(version_id)[:8]}" if name is None else str(name)


async def check_rollups(session: Session, events: Sequence[dict[str, Any]]) -> None:
    """Every view of rollups, against the same figures computed from the events."""
    await check_performance(session, events)
    await check_costs(session, events)
    await check_errors(session, events)
    await check_tools(session, events)


async def check_performance(session: Session, events: Sequence[dict[str, Any]]) -> None:
    ends = grouped(events, COMPLETED, day_of, version_of)
    rows = await session.fetch("SELECT * FROM performance_daily")
    assert {(row["day"], row["configuration_version_id"]) for row in rows} == ends.keys()
    for row in rows:
        data = ends[row["day"], row["configuration_version_id"]]
        statuses = Counter(item["status"] for item in data)
        assert row["configuration"] == named(row["configuration_version_id"])
        assert row["executions"] == len(data)
        assert {status: row[status] for status in STATUSES} == {status: statuses[status] for status in STATUSES}
        assert row["success_rate"] == pytest.approx(statuses["succeeded"] / len(data))
        assert row["score"] == mean([item["score"] for item in data])
        assert row["duration_ms"] == mean([item["duration_ms"] for item in data])
        assert row["cost_usd"] == total([item["cost_usd"] for item in data])
        assert row["input_tokens"] == total([item["input_tokens"] for item in data])
        if not statuses["succeeded"]:
            assert row["cost_usd_per_success"] is None

    by_hour = await session.fetch(
        "SELECT date_trunc('day', hour, 'UTC') AS day, configuration_version_id AS version, sum(executions)::int AS n,"
        " sum(cost_usd) AS cost_usd FROM performance_hourly GROUP BY 1, 2"
    )
    assert {(row["day"], row["version"]): row["n"] for row in by_hour} == {key: len(data) for key, data in ends.items()}
    for row in by_hour:
        assert row["cost_usd"] == total([item["cost_usd"] for item in ends[row["day"], row["version"]]])


async def check_costs(session: Session, events: Sequence[dict[str, Any]]) -> None:
    ends = grouped(events, COMPLETED, day_of, version_of, lambda content: UUID(content["data"]["scenario_id"]))
    rows = await session.fetch("SELECT * FROM cost_breakdown")
    assert len(rows) == len(ends)
    for row in rows:
        data = ends[row["day"], row["configuration_version_id"], row["scenario_id"]]
        assert row["scenario_id"] == ids.scenario_id(row["scenario"])
        assert (row["executions"], row["cost_usd"]) == (len(data), total([item["cost_usd"] for item in data]))
        assert row["cost_usd_per_execution"] == mean([item["cost_usd"] for item in data])


async def check_errors(session: Session, events: Sequence[dict[str, Any]]) -> None:
    ends = grouped(events, COMPLETED, day_of, version_of)
    errors: Counter[tuple[Any, ...]] = Counter()
    for (day, version), data in ends.items():
        for item in data:
            if item["status"] != "succeeded":
                errors[day, version, "outcome", item["status"], item["error_kind"] or item["status"]] += 1
    for (day, version), data in grouped(events, FAILURE_RECORDED, day_of, version_of).items():
        for item in data:
            errors[day, version, "failure", None, item["kind"]] += 1
    rows = await session.fetch("SELECT * FROM error_rates")
    keys = ("day", "configuration_version_id", "source", "status", "kind")
    assert {tuple(row[key] for key in keys): row["occurrences"] for row in rows} == errors
    for row in rows:
        executions = len(ends.get((row["day"], row["configuration_version_id"]), ()))
        # A failure shortly before midnight may belong to a day on which nothing ended.
        assert row["executions"] == (executions or None)
        assert row["rate"] == (pytest.approx(row["occurrences"] / executions) if executions else None)


async def check_tools(session: Session, events: Sequence[dict[str, Any]]) -> None:
    calls = grouped(events, TOOL_USED, day_of, version_of, lambda content: content["data"]["tool"])
    rows = await session.fetch("SELECT * FROM tool_reliability")
    assert len(rows) == len(calls)
    for row in rows:
        data = calls[row["day"], row["configuration_version_id"], row["tool"]]
        wrong = sum(not item["success"] for item in data)
        assert (row["calls"], row["errors"], row["result_bytes"]) == (len(data), wrong, 10 * len(data))
        assert row["error_rate"] == pytest.approx(wrong / len(data))
        assert row["duration_ms"] == mean([item["duration_ms"] for item in data])


async def refresh(session: Session) -> None:
    for aggregate in AGGREGATES:
        await session.execute(f"CALL refresh_continuous_aggregate('{aggregate}', NULL, NULL)")


async def test_rollups_add_up_what_the_events_say(session: Session) -> None:
    events = made_up(executions=300, days=4)
    await write(session, *events)
    await check_rollups(session, events)


async def test_rollups_are_the_same_materialized_half_materialized_and_corrected(
    timescaledb: None, session: Session
) -> None:
    events = made_up(executions=300, days=4)
    await write(session, *events[:800])
    await refresh(session)
    await check_rollups(session, events[:800])
    # Late events of days that are materialized: right again once the policy has refreshed them.
    await write(session, *events[800:])
    await refresh(session)
    await check_rollups(session, events)


async def test_new_events_are_in_the_rollups_at_once(timescaledb: None, session: Session) -> None:
    await write(session, *made_up(executions=50, days=4))
    await refresh(session)
    before = await session.fetch_value("SELECT sum(executions) FROM performance_daily")
    await write(session, event(COMPLETED))
    assert await session.fetch_value("SELECT sum(executions) FROM performance_daily") == before + 1


async def test_dropping_rows_leaves_the_history_in_the_rollups(timescaledb: None, session: Session) -> None:
    old, kept = (event(TOOL_USED, time=ago(days=days)) for days in (95, 80))
    await write(session, old, kept)
    await refresh(session)
    await session.execute("SELECT drop_chunks('tool_usage', INTERVAL '90 days')")
    await session.execute(
        "DO $$ DECLARE id int; BEGIN FOR id IN SELECT job_id FROM timescaledb_information.jobs WHERE proc_name ="
        " 'policy_refresh_continuous_aggregate' LOOP CALL run_job(id); END LOOP; END $$"
    )
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 1
    assert await session.fetch_value("SELECT sum(calls) FROM tool_reliability") == 2


async def test_trends_compare_a_week_with_the_week_before(session: Session) -> None:
    about = context(CONFIGURATIONS[0], "s")
    ends = []
    for days, status, cost in ((13, "failed", 1.0), (9, "succeeded", 1.0), (8, "failed", 1.0), (7, "failed", 1.0)):
        ends.append((days, status, cost))
    ends += [(6, "succeeded", 2.0), (3, "succeeded", 2.0), (0, "failed", 5.0)]
    await write(
        session,
        *(
            event(
                COMPLETED,
                {**about, "status": status, "cost_usd": cost},
                time=(TODAY - timedelta(days=days)).isoformat(),
            )
            for days, status, cost in ends
        ),
    )
    row = await one(session, "SELECT * FROM performance_trends WHERE day = $1", TODAY)
    assert row["executions"] == 3
    assert row["success_rate"] == pytest.approx(2 / 3)
    assert row["success_rate_change"] == pytest.approx(2 / 3 - 1 / 4)
    assert row["cost_usd_per_execution"] == pytest.approx(3)
    assert row["cost_usd_per_execution_change"] == pytest.approx(2)
    first = await one(session, "SELECT * FROM performance_trends WHERE day = $1", TODAY - timedelta(days=13))
    assert (first["executions"], first["success_rate"], first["success_rate_change"]) == (1, 0, None)


async def test_one_state_is_read_without_the_others(session: Session) -> None:
    """The states are apart as constants: otherwise a query for the few that run would read all that ever ended."""
    plan = await session.fetch("EXPLAIN SELECT * FROM execution_state WHERE state = 'running'")
    assert not any("ended_at IS NOT NULL" in line for row in plan for line in row.values())


DOCUMENTED = {
    "active_simulations",
    "execution_state",
    "execution_completeness",
    "performance_hourly",
    "performance_daily",
    "performance_trends",
    "cost_breakdown",
    "error_rates",
    "tool_reliability",
}


async def test_the_page_asks_every_view_and_gets_an_answer(session: Session) -> None:
    await write(
        session,
        *made_up(executions=20, days=2),
        event(STARTED, time=ago(hours=3)),
        event(STARTED, time=ago(minutes=1)),
        event(TOOL_USED),
        event(FAILURE_RECORDED),
        event(COMPLETED, {"status": "failed", "last_sequence": 1}, time=ago(seconds=1)),
    )
    assert questions().keys() == DOCUMENTED
    for view, (_, statement) in questions().items():
        assert f"FROM {view}\n" in statement
        assert await session.fetch(statement), f"{view}: no answer"
    for view, picture in pictures().items():
        assert picture.read_text().startswith("<svg"), view
