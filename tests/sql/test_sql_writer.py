"""The writer: every event one row in the right table, whatever the order, the repetition and the neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from arc_eval_db.database import DatabaseSettings, DuplicateRowError, RowRefusedError, SchemaMismatchError, Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import EVENT_MODELS
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.writer import BatchWriter, LoggedEvent, WriteReport
from arc_eval_db.writer.patterns import failure_signature
from arc_eval_db.writer.rows import COLUMNS, event_row
from support.databases import connect
from support.events import CONFIGURATION, event, lifecycle
from support.seeds import some_of

pytestmark = pytest.mark.database


def logged(*contents: Mapping[str, Any], topic: str = "t", partition: int = 3) -> list[LoggedEvent]:
    return [
        LoggedEvent(parse_event(orjson.dumps(content)), topic, partition, offset)
        for offset, content in enumerate(contents, start=100)
    ]


async def write(session: Session, events: Sequence[LoggedEvent]) -> WriteReport:
    async with session.transaction():
        return await BatchWriter().write(session, events)


async def only(session: Session, table: str) -> Mapping[str, Any]:
    rows = await session.fetch(f"SELECT * FROM {table}")
    assert len(rows) == 1, f"{table}: {len(rows)} rows"
    return rows[0]


async def counts(session: Session) -> dict[str, int]:
    return {table: await session.fetch_value(f"SELECT count(*) FROM {table}") for table in COLUMNS}


async def everything(session: Session) -> dict[str, list[str]]:
    """All rows as text, without the times at which this database first saw them."""
    tables = (
        *COLUMNS,
        "configurations",
        "configuration_versions",
        "scenarios",
        "simulations",
        "executions",
        "failure_patterns",
    )
    text = "(to_jsonb(t) - 'created_at' - 'updated_at')::text AS text"
    return {
        table: sorted(row["text"] for row in await session.fetch(f"SELECT {text} FROM {table} AS t"))
        for table in tables
    }


async def test_a_lifecycle_lands_where_the_design_says(session: Session) -> None:
    subject = ids.uuid7()
    events = lifecycle(subject)
    report = await write(session, logged(*events))
    assert (report.inserted, report.duplicates, report.refused) == (5, 0, [])
    assert await counts(session) == {"execution_events": 2, "failures": 1, "outcomes": 1, "tool_usage": 1}

    execution = await only(session, "executions")
    assert execution["id"] == subject
    assert execution["started_at"].isoformat() == events[0]["time"]
    assert execution["ended_at"].isoformat() == events[4]["time"]
    assert execution["attempt"] == 1
    assert execution["source"] == "/sandboxes/test"
    outcome = await only(session, "outcomes")
    assert (outcome["status"], outcome["success"], outcome["score"]) == ("succeeded", True, 0.5)
    assert (outcome["duration_ms"], outcome["cost_usd"]) == (12.5, 0.25)
    assert outcome["event_id"] == UUID(events[4]["id"])
    assert (outcome["sequence"], outcome["log_partition"], outcome["log_offset"]) == (5, 3, 104)
    tool = await only(session, "tool_usage")
    assert (tool["tool"], tool["success"], tool["arguments"]) == ("lookup_order", True, '{"order_id": 7}')
    failure = await only(session, "failures")
    pattern = await only(session, "failure_patterns")
    assert failure["pattern_id"] == pattern["id"]
    assert pattern["signature"] == "refunded order <n> without approval"
    for row in (outcome, tool, failure):
        assert row["execution_id"] == subject
        assert row["configuration_version_id"] == ids.configuration_version_id(CONFIGURATION)
        assert row["scenario_id"] == ids.scenario_id("refund-flow")
        assert row["simulation_id"] == ids.simulation_id("nightly")


async def test_parents_are_described_by_the_started_event(session: Session) -> None:
    await write(session, logged(lifecycle()[0]))
    version = await only(session, "configuration_versions")
    assert orjson.loads(version["content"]) == CONFIGURATION
    assert version["content_hash"] == ids.configuration_hash(CONFIGURATION)
    configuration = await only(session, "configurations")
    assert (configuration["id"], configuration["name"]) == (version["configuration_id"], "careful")
    assert (await only(session, "scenarios"))["name"] == "refund-flow"
    assert (await only(session, "simulations"))["name"] == "nightly"


async def test_the_kept_event_leaves_out_what_stands_elsewhere(session: Session) -> None:
    await write(session, logged(lifecycle()[0]))
    kept = orjson.loads((await only(session, "execution_events"))["data"])
    assert kept == {"scenario": "refund-flow", "simulation": "nightly", "configuration_name": "careful"}


@pytest.mark.parametrize("seed", some_of(8))
async def test_the_result_does_not_depend_on_order_batches_or_repetition(session: Session, seed: int) -> None:
    """Topics are read independently: a tool use may come before the start of its execution, a batch may come twice."""
    generator = random.Random(seed)
    events = [logged_event for _ in range(4) for logged_event in logged(*lifecycle())]
    await write(session, events)
    expected = await everything(session)
    await session.execute(
        "TRUNCATE executions, configuration_versions, configurations, scenarios, simulations, failure_patterns CASCADE"
    )
    for table in COLUMNS:
        await session.execute(f"TRUNCATE {table}")
    shuffled = events + generator.sample(events, 5)
    generator.shuffle(shuffled)
    total = WriteReport()
    while shuffled:
        size = generator.randint(1, 6)
        report = await write(session, shuffled[:size])
        total.inserted += report.inserted
        total.duplicates += report.duplicates
        del shuffled[:size]
    assert (total.inserted, total.duplicates) == (20, 5)
    assert await everything(session) == expected


async def test_tools_before_any_start_have_their_execution(session: Session) -> None:
    await write(session, logged(event(TOOL_USED)))
    execution = await only(session, "executions")
    assert (execution["started_at"], execution["ended_at"], execution["source"]) == (None, None, None)
    assert (await only(session, "scenarios"))["name"] is None
    assert (await only(session, "configuration_versions"))["content"] is None


async def test_a_second_attempt_and_metadata_are_kept(session: Session) -> None:
    await write(session, logged(event(STARTED, {"attempt": 3, "metadata": {"region": "eu"}})))
    execution = await only(session, "executions")
    assert (execution["attempt"], execution["metadata"]) == (3, '{"region": "eu"}')


async def test_writing_the_same_again_touches_no_row(session: Session) -> None:
    events = logged(*lifecycle())
    await write(session, events)
    parents = ("executions", "configuration_versions", "configurations", "scenarios", "simulations", "failure_patterns")
    before = {
        table: [row["xmin"] for row in await session.fetch(f"SELECT xmin::text FROM {table}")] for table in parents
    }
    report = await write(session, events)
    assert (report.inserted, report.duplicates) == (0, 5)
    after = {
        table: [row["xmin"] for row in await session.fetch(f"SELECT xmin::text FROM {table}")] for table in parents
    }
    assert after == before


async def test_writers_for_the_same_configuration_do_not_wait_for_each_other(
    database: DatabaseSettings, session: Session
) -> None:
    subject = ids.uuid7()
    await write(session, logged(*lifecycle(subject)))
    async with await connect(database) as other, session.transaction():
        # An execution's events travel on three topics, which three consumers may have.
        await BatchWriter().write(session, logged(*lifecycle(), event(TOOL_USED, subject=subject)))
        # The first has not committed yet.
        report = await asyncio.wait_for(write(other, logged(*lifecycle(), event(PROGRESSED, subject=subject))), 3)
        assert report.inserted == 6


async def test_one_execution_that_names_two_configurations_has_both(session: Session) -> None:
    """Nothing keeps a second attempt under the same id from another configuration: no row may lack its parents."""
    subject, other = ids.uuid7(), {"name": "other"}
    changed = {"configuration_version_id": str(ids.configuration_version_id(other))}
    report = await write(
        session,
        logged(
            event(STARTED, subject=subject),
            event(
                STARTED,
                {**changed, "configuration": other, "configuration_name": "other", "attempt": 2},
                subject=subject,
            ),
            event(TOOL_USED, {"scenario_id": str(ids.scenario_id("elsewhere"))}, subject=subject),
        ),
    )
    assert report.inserted == 3
    versions = {row["id"] for row in await session.fetch("SELECT id FROM configuration_versions")}
    assert versions == {ids.configuration_version_id(CONFIGURATION), ids.configuration_version_id(other)}
    assert await session.fetch_value("SELECT count(*) FROM scenarios") == 2
    assert (await only(session, "executions"))["attempt"] == 2


async def test_a_configuration_that_a_person_made_is_found_by_its_name(session: Session) -> None:
    made = ids.uuid7()
    await session.execute("INSERT INTO configurations (id, name) VALUES ($1, 'careful')", made)
    await write(session, logged(event(STARTED)))
    assert (await only(session, "configuration_versions"))["configuration_id"] == made


async def test_a_column_of_a_later_release_is_no_hindrance(session: Session) -> None:
    """While a deployment is under way, this release writes into the next one's schema."""
    await session.execute("ALTER TABLE tool_usage ADD COLUMN region text NOT NULL DEFAULT 'eu'")
    old = logged(event(TOOL_USED))
    await write(session, old)
    report = await write(session, [*old, *logged(event(TOOL_USED))])
    assert (report.inserted, report.duplicates, report.refused) == (1, 1, [])


async def test_one_duplicate_costs_no_neighbour(session: Session) -> None:
    old = logged(event(TOOL_USED))
    await write(session, old)
    report = await write(session, [*logged(event(TOOL_USED)), *old, *logged(event(TOOL_USED))])
    assert (report.inserted, report.duplicates, report.refused) == (2, 1, [])
    assert (await counts(session))["tool_usage"] == 3


async def test_an_event_twice_in_one_batch_is_one_row(session: Session) -> None:
    one = logged(event(COMPLETED))
    report = await write(session, [*one, *one])
    assert (report.inserted, report.duplicates) == (1, 1)


async def refuse_tool(session: Session, name: str) -> None:
    """Make the database refuse what every check of ours lets through."""
    await session.execute(f"ALTER TABLE tool_usage ADD CONSTRAINT no_such_tool CHECK (tool <> '{name}')")


@pytest.mark.parametrize("bad", [{0}, {6}, {2, 3}, set(range(7))])
async def test_refused_rows_are_found_and_the_others_written(session: Session, bad: set[int]) -> None:
    await refuse_tool(session, "bad")
    events = logged(*(event(TOOL_USED, {"tool": "bad" if number in bad else "good"}) for number in range(7)))
    report = await write(session, events)
    assert [refused.logged.offset for refused in report.refused] == [100 + number for number in sorted(bad)]
    assert all(refused.error.sqlstate == "23514" for refused in report.refused)
    assert report.inserted == 7 - len(bad)
    rows = await session.fetch("SELECT log_offset FROM tool_usage ORDER BY log_offset")
    assert [row["log_offset"] for row in rows] == [100 + number for number in range(7) if number not in bad]


async def test_a_refused_row_beside_a_duplicate(session: Session) -> None:
    await refuse_tool(session, "bad")
    old = logged(event(TOOL_USED))
    await write(session, old)
    report = await write(session, [*old, *logged(event(TOOL_USED, {"tool": "bad"}), event(TOOL_USED))])
    assert (report.inserted, report.duplicates, len(report.refused)) == (1, 1, 1)


async def test_a_refused_event_leaves_no_parents(session: Session) -> None:
    await refuse_tool(session, "bad")
    await write(session, logged(event(TOOL_USED, {"tool": "bad"})))
    assert await session.fetch_value("SELECT count(*) FROM executions") == 0


BAD_SOURCE = "/sandboxes/bad"


async def refuse_in_every_table(session: Session) -> None:
    """One check a table, of what the checks on events let through."""
    for table, condition in (
        ("execution_events", f"source <> '{BAD_SOURCE}'"),
        ("failures", "kind <> 'bad'"),
        ("outcomes", "score <> 666"),
        ("tool_usage", "tool <> 'bad'"),
    ):
        await session.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_bad CHECK ({condition})")


def random_event(generator: random.Random, *, is_bad: bool) -> dict[str, Any]:
    kind = generator.choice((STARTED, PROGRESSED, TOOL_USED, FAILURE_RECORDED, COMPLETED))
    if not is_bad:
        return event(kind)
    bad: dict[str, dict[str, Any]] = {
        TOOL_USED: {"tool": "bad"},
        FAILURE_RECORDED: {"kind": "bad"},
        COMPLETED: {"score": 666.0},
    }
    return event(kind, bad[kind]) if kind in bad else event(kind, source=BAD_SOURCE)


async def check_random_batch(session: Session, generator: random.Random) -> None:
    """Bad rows in all tables, duplicates of stored rows and of each other: each event must end as it has to."""
    count = generator.choice((1, 2, 7, 60, 300))
    rates = generator.choice(((0.0, 0.1), (0.01, 0.0), (0.05, 0.05), (0.5, 0.3), (1.0, 0.0)))
    bad = {number for number in range(count) if generator.random() < rates[0]}
    events = logged(*(random_event(generator, is_bad=number in bad) for number in range(count)))
    good = [number for number in range(count) if number not in bad]
    stored = [events[number] for number in good if generator.random() < rates[1]]
    before = sum((await counts(session)).values())
    await write(session, stored)
    twice = [events[number] for number in good if generator.random() < rates[1]]
    batch = [*events, *twice]
    order = list(range(len(batch)))
    generator.shuffle(order)

    report = await write(session, [batch[number] for number in order])

    wrong = [place for place, number in enumerate(order) if number in bad]
    assert [refused.index for refused in report.refused] == wrong
    assert [refused.logged for refused in report.refused] == [batch[order[place]] for place in wrong]
    assert all(refused.error.sqlstate == "23514" for refused in report.refused)
    assert report.inserted == len(good) - len(stored)
    assert report.duplicates == len(stored) + len(twice)
    assert sum((await counts(session)).values()) - before == len(good)
    subjects = [events[number].event.subject for number in range(count)]
    known = await session.fetch("SELECT id FROM executions WHERE id = ANY($1)", subjects)
    assert {row["id"] for row in known} == {subjects[number] for number in good}


@pytest.mark.parametrize("seed", some_of(12))
async def test_every_event_of_a_random_batch_ends_as_it_has_to(session: Session, seed: int) -> None:
    await refuse_in_every_table(session)
    generator = random.Random(seed)
    for _ in range(3):
        await check_random_batch(session, generator)


async def no_line(session: Session, table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
    """A server that does not say which line it was at."""
    try:
        return await Session.copy(session, table, columns, rows)
    except RowRefusedError as error:
        error.line = None
        raise


async def first_line(session: Session, table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
    """A server that always blames the first row."""
    try:
        return await Session.copy(session, table, columns, rows)
    except RowRefusedError as error:
        error.line = 1
        raise


@pytest.mark.parametrize("server", [no_line, first_line])
@pytest.mark.parametrize("seed", range(3))
async def test_a_server_that_does_not_know_the_line_costs_time_and_nothing_else(
    session: Session, monkeypatch: pytest.MonkeyPatch, server: Any, seed: int
) -> None:
    await refuse_in_every_table(session)
    monkeypatch.setattr(session, "copy", functools.partial(server, session))
    await check_random_batch(session, random.Random(seed))


@pytest.mark.parametrize("bad", [{0}, {2499}, {4999}, set(range(50, 5000, 100))])
async def test_finding_refused_rows_is_bounded_work(
    session: Session, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    await refuse_in_every_table(session)
    copied: list[int] = []

    async def counting(table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
        copied.append(len(rows))
        return await Session.copy(session, table, columns, rows)

    monkeypatch.setattr(session, "copy", counting)
    example = logged(event(TOOL_USED))[0]
    data = example.event.data
    events = []
    for number in range(5000):
        changed = data.model_copy(update={"tool": "bad"}) if number in bad else data
        events.append(example._replace(event=example.event.model_copy(update={"id": ids.uuid7(), "data": changed})))
    report = await write(session, events)
    assert [refused.index for refused in report.refused] == sorted(bad)
    assert report.inserted == 5000 - len(bad)
    assert sum(copied) <= (2 * 5000 if len(bad) == 1 else 5 * 5000), copied
    assert len(copied) <= 9 + 3 * len(bad), copied


async def test_a_value_that_the_driver_cannot_encode_is_found(session: Session) -> None:
    """No check of ours lets one through; it has no SQLSTATE and no line."""
    events = logged(*(event(TOOL_USED) for _ in range(9)))
    data = events[4].event.data.model_copy(update={"result_bytes": 2**70})
    events[4] = events[4]._replace(event=events[4].event.model_copy(update={"data": data}))
    report = await write(session, events)
    assert [(refused.index, refused.error.sqlstate) for refused in report.refused] == [(4, None)]
    assert report.inserted == 8


@pytest.mark.parametrize("bad_rows", [set(), {1, 5}])
async def test_what_rows_point_at_can_be_refused_too(session: Session, bad_rows: set[int]) -> None:
    await refuse_in_every_table(session)
    await session.execute("ALTER TABLE failure_patterns ADD CONSTRAINT no_bad CHECK (signature <> 'bad')")
    contents = [event(TOOL_USED, {"tool": "bad" if number in bad_rows else "good"}) for number in range(8)]
    contents[3] = event(FAILURE_RECORDED, {"message": "bad"})
    report = await write(session, logged(*contents))
    assert [refused.index for refused in report.refused] == sorted({3} | bad_rows)
    assert (await counts(session))["failures"] == 0
    assert (await counts(session))["tool_usage"] == report.inserted == 7 - len(bad_rows)


async def test_the_types_of_the_columns_are_the_schemas(session: Session) -> None:
    for table, columns in COLUMNS.items():
        rows = await session.fetch(
            "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
            table,
        )
        of_schema = {row["attname"]: row["type"].replace("timestamp with time zone", "timestamptz") for row in rows}
        assert of_schema == columns


def test_each_event_type_has_a_table() -> None:
    rows = [event_row(one) for one in logged(*lifecycle())]
    assert len(rows) == len(EVENT_MODELS)
    assert {row.table for row in rows} == set(COLUMNS)
    assert all(len(row.row) == len(COLUMNS[row.table]) for row in rows)


PARENT_TABLES = (
    "configurations",
    "configuration_versions",
    "scenarios",
    "simulations",
    "executions",
    "failure_patterns",
)


@contextlib.asynccontextmanager
async def as_writer(session: Session) -> AsyncIterator[None]:
    """As a role that may add to the event tables and read nothing of them. Roles are the whole server's."""
    role = f"arc_eval_test_{secrets.token_hex(6)}"
    await session.execute(f"CREATE ROLE {role}")
    for table in COLUMNS:
        await session.execute(f"GRANT INSERT ON {table} TO {role}")
    for table in PARENT_TABLES:
        await session.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {role}")
    await session.execute(f"SET ROLE {role}")
    try:
        yield
    finally:
        await session.execute("RESET ROLE")
        await session.execute(f"DROP OWNED BY {role}")
        await session.execute(f"DROP ROLE {role}")


async def test_the_right_to_add_rows_is_enough(session: Session) -> None:
    await refuse_tool(session, "bad")
    async with as_writer(session):
        old = logged(*lifecycle())
        assert (await write(session, old)).inserted == 5
        report = await write(session, [*old, *logged(event(TOOL_USED, {"tool": "bad"}), *lifecycle())])
        assert (report.inserted, report.duplicates, len(report.refused)) == (5, 5, 1)
        with pytest.raises(SchemaMismatchError, match="42501"):
            await session.fetch("SELECT FROM outcomes")


@pytest.mark.usefixtures("timescaledb")
async def test_the_columnstore_takes_new_rows_and_knows_the_old_ones(session: Session) -> None:
    subjects = [ids.uuid7() for _ in range(3)]
    old = [one for subject in subjects for one in logged(*lifecycle(subject))]
    assert (await write(session, old)).inserted == 15
    for table in COLUMNS:
        chunks = await session.fetch("SELECT chunk::text FROM show_chunks($1::text::regclass) AS chunk", table)
        assert chunks
        for chunk in chunks:
            await session.execute(f"CALL convert_to_columnstore('{chunk['chunk']}')")
    new = [one for subject in subjects for one in logged(*lifecycle(subject))]
    async with as_writer(session):
        mixed = [*old, *new]
        random.Random(1).shuffle(mixed)
        report = await write(session, mixed)
        assert (report.inserted, report.duplicates, report.refused) == (15, 15, [])
        report = await write(session, mixed)
        assert (report.inserted, report.duplicates, report.refused) == (0, 30, [])
    for table in COLUMNS:
        assert await session.fetch_value(f"SELECT count(*) = count(DISTINCT event_id) FROM {table}")
    assert sum((await counts(session)).values()) == 30


async def test_an_error_that_is_nobodys_fault_is_not_blamed_on_a_row(session: Session) -> None:
    await session.execute("ALTER TABLE tool_usage RENAME TO elsewhere")
    with pytest.raises(Exception, match="42P01") as caught:
        await write(session, logged(event(TOOL_USED)))
    assert not isinstance(caught.value, RowRefusedError | DuplicateRowError)


async def test_nothing_to_write_is_fine(session: Session) -> None:
    assert await write(session, []) == WriteReport()


async def test_dropped_counts_and_tokens_are_kept(session: Session) -> None:
    await write(
        session,
        logged(
            event(
                COMPLETED,
                {
                    "status": "timed_out",
                    "input_tokens": 2**62,
                    "output_tokens": 3,
                    "error_kind": "TimeoutError",
                    "error_message": "too slow",
                    "last_sequence": 9,
                    "dropped": {"queue_full": 2},
                    "metadata": {"a": [1, None]},
                },
            )
        ),
    )
    row = await only(session, "outcomes")
    assert (row["status"], row["success"], row["input_tokens"]) == ("timed_out", False, 2**62)
    assert (row["error_kind"], row["error_message"], row["last_sequence"]) == ("TimeoutError", "too slow", 9)
    assert orjson.loads(row["dropped"]) == {"queue_full": 2}
    assert orjson.loads(row["metadata"]) == {"a": [1, None]}


async def test_patterns_join_failures_that_differ_in_details(session: Session) -> None:
    messages = ("order 12 missing", "order 7 missing", "disk full")
    times = ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")
    events = [event(FAILURE_RECORDED, {"message": m}, time=t) for m, t in zip(messages, times, strict=True)]
    for one in events:
        await write(session, logged(one))
    rows = await session.fetch(
        "SELECT signature, example, first_seen_at, last_seen_at FROM failure_patterns ORDER BY signature"
    )
    assert [row["signature"] for row in rows] == ["disk full", "order <n> missing"]
    assert rows[1]["example"] == "order 12 missing"
    assert (rows[1]["first_seen_at"].day, rows[1]["last_seen_at"].day) == (1, 2)


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        ("", ""),
        ("timed out after 30.5 s", "timed out after <n> s"),
        ("user 01a208ba-323f-725f-9e44-173fc036e046 unknown", "user <id> unknown"),
        ('key "a b" and `c` missing', "key <value> and <value> missing"),
        ("open /var/lib/x/y.txt\n  failed", "open <path> failed"),
        ("at 0x7f00aa object deadbeefdeadbeef", "at <hex> object <hex>"),
        ("x" * 10_000, "x" * 200),
    ],
)
def test_signature(message: str, signature: str) -> None:
    assert failure_signature(message) == signature


async def test_progress_without_anything_to_say(session: Session) -> None:
    await write(session, logged(event(PROGRESSED, {"message": None, "step": None})))
    assert (await only(session, "execution_events"))["data"] == "{}"
