"""What each role may do, with real logins: exactly what it is for."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, SchemaMismatchError, Session
from arc_eval_db.migrations import Edition, Migrator, require_current_schema
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.sql import queries, read_file
from arc_eval_db.writer import (
    BatchWriter,
    DeadLetter,
    LoggedEvent,
    OffsetRange,
    OffsetStore,
    TopicPartition,
    WriteReport,
    insert_dead_letters,
)
from support.databases import connect
from support.events import event, lifecycle
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

WRITER, READER, ADMIN = ROLES

EVENT_TABLES = ("outcomes", "tool_usage", "failures", "execution_events", "consumer_lag_samples")
READ_ONLY = (
    *("storage_policies", "outcomes_hourly", "outcomes_daily", "scenario_outcomes_hourly", "scenario_outcomes_daily"),
    "errors_hourly",
    *("errors_daily", "tool_usage_hourly", "tool_usage_daily", "failures_hourly", "failures_daily"),
    *("configuration_names", "unended_executions", "execution_state", "active_simulations", "execution_completeness"),
    *("performance_hourly", "performance_daily", "performance_trends", "cost_breakdown", "error_rates"),
    "tool_reliability",
)
CONFIGURATION_TABLES = ("configuration_version_numbers", "configuration_labels", "configuration_deployments")
ALL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
NOT_THE_WRITERS: dict[str, set[str]] = {READER: {"SELECT"}, ADMIN: ALL}
DEAD_LETTERS_WITHOUT_CONTENT = (
    *("id", "dead_lettered_at", "topic", "log_partition", "log_offset", "log_timestamp", "reason", "error_class"),
    *("sqlstate", "detail", "event_id", "event_type", "consumer_group", "consumer_version", "attempts", "resolved_at"),
    *("last_attempt_at", "last_detail", "quarantined_at", "resolution", "resolved_by"),
)
TOKENS_WITHOUT_HASHES = (
    *("id", "name", "scope", "created_at", "created_by", "expires_at", "last_used_at", "revoked_at", "revoked_by"),
)


def merged(*columns: str) -> dict[str, set[str]]:
    """A table that the writer merges into, changing these columns."""
    return {WRITER: {"SELECT", "INSERT", *(f"UPDATE({column})" for column in columns)}, **NOT_THE_WRITERS}


# A new table or view must be added here: whom it is for is a decision.
EXPECTED: dict[str, dict[str, set[str]]] = {
    **{table: {WRITER: {"INSERT"}, **NOT_THE_WRITERS} for table in EVENT_TABLES},
    "consumer_lag_samples": {
        WRITER: {"INSERT", *(f"SELECT({column})" for column in ("time", "consumer_group", "topic", "partition"))},
        **NOT_THE_WRITERS,
    },
    "configurations": merged(),
    "configuration_versions": merged("configuration_id", "content_hash", "content"),
    **dict.fromkeys(CONFIGURATION_TABLES, NOT_THE_WRITERS),
    "configuration_audit": {READER: {"SELECT"}, ADMIN: {"SELECT", "INSERT"}},
    "api_tokens": {
        READER: {f"SELECT({column})" for column in TOKENS_WITHOUT_HASHES},
        ADMIN: {"SELECT", "INSERT", *(f"UPDATE({column})" for column in ("last_used_at", "revoked_at", "revoked_by"))},
    },
    "scenarios": merged("name"),
    "simulations": merged("name"),
    "executions": merged("started_at", "ended_at", "attempt", "source", "metadata"),
    "failure_patterns": merged("first_seen_at", "last_seen_at"),
    "consumer_offsets": merged("next_offset", "updated_at", "anchor_offset", "anchor_timestamp_ms", "anchor_hash"),
    "log_gaps": {WRITER: {"INSERT"}, **NOT_THE_WRITERS},
    "dead_letters": {
        WRITER: {
            "INSERT",
            *(f"SELECT({column})" for column in ("topic", "log_partition", "log_offset", "log_timestamp")),
        },
        READER: {f"SELECT({column})" for column in DEAD_LETTERS_WITHOUT_CONTENT},
        ADMIN: ALL,
    },
    "llm_recommendation_sessions": NOT_THE_WRITERS,
    "recommendations": NOT_THE_WRITERS,
    "replay_jobs": NOT_THE_WRITERS,
    "schema_migrations": {role: {"SELECT"} for role in ROLES},
    **{relation: {READER: {"SELECT"}, ADMIN: {"SELECT"}} for relation in READ_ONLY},
}

LIMITS = (
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "default_transaction_read_only"),
    "search_path",
)

PRIVILEGES = """
SELECT relation.relname AS relation, COALESCE(grantee.rolname, 'PUBLIC') AS grantee,
    acl.privilege_type || COALESCE('(' || given.attname || ')', '') AS privilege
FROM pg_class AS relation
CROSS JOIN LATERAL (
    SELECT NULL::name AS attname, relation.relacl AS acl
    UNION ALL
    SELECT attname, attacl FROM pg_attribute WHERE attrelid = relation.oid
) AS given
CROSS JOIN LATERAL aclexplode(given.acl) AS acl
LEFT JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
WHERE relation.relnamespace = current_schema()::regnamespace
    AND relation.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND acl.grantee <> relation.relowner
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = relation.oid AND deptype = 'e')
"""


async def privileges(session: Session) -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {}
    for row in await session.fetch(PRIVILEGES):
        found.setdefault(row["relation"], {}).setdefault(row["grantee"], set()).add(row["privilege"])
    return found


@pytest.fixture
async def writer(database: DatabaseSettings) -> AsyncIterator[Session]:
    async with await connect(await as_role(database, WRITER)) as opened:
        yield opened


@pytest.fixture
async def reader(database: DatabaseSettings) -> AsyncIterator[Session]:
    async with await connect(await as_role(database, READER)) as opened:
        yield opened


@pytest.fixture
async def admin(database: DatabaseSettings) -> AsyncIterator[Session]:
    async with await connect(await as_role(database, ADMIN)) as opened:
        yield opened


def logged(contents: Sequence[dict[str, Any]]) -> list[LoggedEvent]:
    return [LoggedEvent(parse_event(orjson.dumps(one)), "t", 0, offset) for offset, one in enumerate(contents)]


async def write(session: Session, events: Sequence[LoggedEvent]) -> WriteReport:
    async with session.transaction():
        return await BatchWriter().write(session, events)


async def test_every_relation_is_for_whom_it_is_meant(session: Session) -> None:
    rows = await session.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'm')"
        " AND relnamespace = current_schema()::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
    )
    assert {row["relname"] for row in rows} == EXPECTED.keys()
    assert await privileges(session) == EXPECTED


async def test_the_writer_may_run_every_statement_of_its_own(session: Session) -> None:
    async with session.transaction():
        await session.execute(f"SET LOCAL ROLE {WRITER}")
        for name in ("parents", "offsets", "dead_letters"):
            for block, statement in queries(name).items():
                await session.execute(f"PREPARE checked_{block} AS {statement}")
                # Without values nothing is written; privileges are looked at all the same.
                count = max(int(number) for number in re.findall(r"\$(\d+)", statement))
                await session.execute(f"EXECUTE checked_{block}({', '.join(['NULL'] * count)})")


async def test_the_admin_may_run_every_statement_about_dead_letters(session: Session) -> None:
    async with session.transaction():
        await session.execute(f"SET LOCAL ROLE {ADMIN}")
        for block, statement in queries("dead_letter_retries").items():
            await session.execute(f"PREPARE checked_{block} AS {statement}")
            count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
            await session.execute(f"EXECUTE checked_{block}" + (f"({', '.join(['NULL'] * count)})" if count else ""))


async def test_the_whole_pipeline_runs_as_the_writer(writer: Session, session: Session) -> None:
    await require_current_schema(writer)
    offsets, partition = OffsetStore("g"), TopicPartition("t", 0)
    await offsets.start_at(writer, {partition: 0})
    assert await offsets.read(writer, [partition]) == {partition: 0}
    events = logged(lifecycle())
    letter = DeadLetter(
        partition, 5, datetime.now(UTC), RefusalReason.INVALID_DATA, "E", "detail", b"k", b"secret", (("h", b"v"),)
    )
    for expected in ((5, 0), (0, 5)):  # the second time all are duplicates
        async with writer.transaction():
            report = await BatchWriter().write(writer, events)
            await insert_dead_letters(writer, [letter], group="g", version="1")
        assert (report.inserted, report.duplicates, report.refused) == (*expected, [])
    mixed = await write(writer, [*events, *logged(lifecycle())])
    assert (mixed.inserted, mixed.duplicates) == (5, 5)
    async with writer.transaction():
        await offsets.advance(writer, {partition: OffsetRange(0, 5)})
    for _ in range(2):  # the second time it is not due
        async with writer.transaction():
            await writer.execute(queries("lag")["lock_lag_samples"], "g")
            sample = (["t"], [0], [5], [0], [5], [0], [0.0])
            await writer.execute(queries("lag")["insert_lag_samples"], "g", *sample, timedelta(minutes=1))
    assert await session.fetch_value("SELECT count(*) FROM consumer_lag_samples") == 1
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 1
    assert await session.fetch_value("SELECT count(*) FROM executions") == 2


async def test_the_writer_finds_refused_rows(writer: Session, session: Session) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT no_such_tool CHECK (tool <> 'bad')")
    old = logged([event(TOOL_USED)])
    await write(writer, old)
    batch = [*old, *logged([event(TOOL_USED, {"tool": "bad"}), event(TOOL_USED)])]
    report = await write(writer, batch)
    assert (report.inserted, report.duplicates, len(report.refused)) == (1, 1, 1)


async def test_the_writer_s_duplicates_are_found_in_compressed_chunks(
    timescaledb: None, writer: Session, session: Session
) -> None:
    time = (datetime.now(UTC) - timedelta(days=10)).isoformat()
    old = logged([event(TOOL_USED, time=time) for _ in range(20)])
    await write(writer, old)
    compressed = await session.fetch("SELECT compress_chunk(chunk) FROM show_chunks('tool_usage') AS chunk")
    assert len(compressed) == 1
    report = await write(writer, [*old, *logged([event(TOOL_USED, time=time)])])
    assert (report.inserted, report.duplicates) == (1, 20)
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 21


async def test_chunks_are_as_closed_as_their_hypertable(timescaledb: None, writer: Session, session: Session) -> None:
    await write(writer, logged(lifecycle()))
    chunk = await session.fetch_value("SELECT show_chunks('outcomes')::text")
    with pytest.raises(SchemaMismatchError, match="permission denied"):
        await writer.fetch(f"SELECT * FROM {chunk}")
    with pytest.raises(SchemaMismatchError, match="permission denied"):
        await writer.execute(f"DELETE FROM {chunk}")


FORBIDDEN_TO_ALL = (
    "CREATE TABLE mine (a int)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "ALTER TABLE outcomes ADD COLUMN mine int",
    "DROP TABLE outcomes",
    "TRUNCATE outcomes",
    "UPDATE schema_migrations SET checksum = 'x'",
    "INSERT INTO schema_migrations VALUES (99, 'x', 'x', 'x')",
    "CREATE ROLE mine",
    "GRANT arc_eval_admin TO arc_eval_reader",
)
FORBIDDEN_TO_WRITER = (
    *(f"SELECT * FROM {table}" for table in EVENT_TABLES),
    *(f"DELETE FROM {table}" for table in (*EVENT_TABLES, "executions", "dead_letters", "consumer_offsets")),
    "UPDATE outcomes SET score = 1",
    "UPDATE executions SET scenario_id = NULL",
    "UPDATE failure_patterns SET example = 'x'",
    "UPDATE consumer_offsets SET consumer_group = 'x'",
    "SELECT value FROM dead_letters",
    "UPDATE dead_letters SET resolved_at = now()",
    "SELECT * FROM log_gaps",
    "DELETE FROM log_gaps",
    "SELECT * FROM recommendations",
    "SELECT * FROM configuration_version_numbers",
    "INSERT INTO configuration_labels (configuration_id, label, number, moved_by) VALUES (NULL, 'x', 1, 'x')",
    "UPDATE configurations SET content_schema = NULL",
    "SELECT * FROM configuration_audit",
    "SELECT * FROM replay_jobs",
    "SELECT id FROM api_tokens",
)
FORBIDDEN_TO_READER = (
    "CREATE TEMP TABLE mine (a int)",
    "INSERT INTO configurations (id, name) VALUES (gen_random_uuid(), 'x')",
    "UPDATE executions SET attempt = 2",
    "DELETE FROM outcomes",
    "SELECT value FROM dead_letters",
    "SELECT key FROM dead_letters",
    "SELECT headers FROM dead_letters",
    "SELECT * FROM dead_letters",
    "SELECT secret_hash FROM api_tokens",
)
FORBIDDEN_TO_ADMIN = (
    "UPDATE api_tokens SET scope = 'admin'",
    "UPDATE api_tokens SET expires_at = NULL",
    "UPDATE api_tokens SET secret_hash = ''",
    "DELETE FROM api_tokens",
)


@pytest.mark.parametrize(
    ("role", "statements"),
    [
        (WRITER, (*FORBIDDEN_TO_ALL, *FORBIDDEN_TO_WRITER)),
        (READER, (*FORBIDDEN_TO_ALL, *FORBIDDEN_TO_READER)),
        (ADMIN, (*FORBIDDEN_TO_ALL, *FORBIDDEN_TO_ADMIN)),
    ],
)
async def test_what_is_not_meant_for_a_role_is_refused(
    database: DatabaseSettings, session: Session, role: str, statements: Sequence[str]
) -> None:
    # The tests' databases are copies, and PUBLIC may make temporary tables in a copy: here as where it may not.
    await session.execute(f"REVOKE TEMPORARY ON DATABASE {database_name(database)} FROM PUBLIC")
    async with await connect(await as_role(database, role)) as opened:
        # Not what refuses, but what is usually met first.
        await opened.execute("SET default_transaction_read_only = off")
        for statement in statements:
            with pytest.raises(SchemaMismatchError) as caught:
                await opened.execute(statement)
            assert caught.value.sqlstate == "42501", statement


def database_name(settings: DatabaseSettings) -> str:
    return settings.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]


async def test_the_reader_reads_everything_but_what_dead_letters_hold(reader: Session, session: Session) -> None:
    await write(session, logged(lifecycle()))
    letter = DeadLetter(
        TopicPartition("t", 0), 5, datetime.now(UTC), RefusalReason.INVALID_DATA, "E", "d", None, b"v", ()
    )
    await insert_dead_letters(session, [letter], group="g", version="1")
    for relation in EXPECTED.keys() - {"dead_letters", "api_tokens"}:
        await reader.fetch(f"SELECT * FROM {relation} LIMIT 1")
    assert await reader.fetch(queries("api_tokens")["tokens"]) == []
    assert await reader.fetch_value("SELECT count(*) FROM dead_letters") == 1
    assert await reader.fetch_value("SELECT reason FROM dead_letters") == "invalid_data"
    counts = (await reader.fetch(queries("summary")["event_counts"], ids.simulation_id("nightly")))[0]
    assert (counts["events"], counts["dead_letters"]) == (5, 1)


async def test_the_admin_replays_retries_and_configures(admin: Session, session: Session) -> None:
    events = logged(lifecycle())
    assert (await write(admin, events)).inserted == 5
    assert (await write(admin, events)).duplicates == 5
    letter = DeadLetter(
        TopicPartition("t", 0), 5, datetime.now(UTC), RefusalReason.INVALID_DATA, "E", "d", None, b"v", ()
    )
    await insert_dead_letters(admin, [letter], group="g", version="1")
    assert await admin.fetch_value("SELECT value FROM dead_letters") == b"v"
    resolve = "UPDATE dead_letters SET attempts = 1, resolved_at = now(), resolution = 'stored'"
    assert await admin.execute(resolve) == "UPDATE 1"
    await admin.execute("INSERT INTO configurations (id, name) VALUES (gen_random_uuid(), 'mine')")
    await admin.execute(
        "INSERT INTO replay_jobs (id, requested_by, plan, status) VALUES (gen_random_uuid(), 'me', '{}', 'running')"
    )
    for table in (*EVENT_TABLES, "dead_letters"):
        await admin.execute(f"DELETE FROM {table}")
    assert await session.fetch_value("SELECT count(*) FROM outcomes") == 0


@pytest.mark.parametrize("role", ROLES)
async def test_our_own_limits_go_before_the_role_s(database: DatabaseSettings, role: str) -> None:
    async with await connect(await as_role(database, role)) as opened:
        assert await opened.fetch_value("SELECT session_user::text") == role
        assert await opened.fetch_value("SHOW statement_timeout") == "55s"


@pytest.mark.parametrize(
    ("role", "statement", "idle"), [(WRITER, "1min", "10s"), (READER, "30s", "1min"), (ADMIN, "10min", "1min")]
)
async def test_who_sets_no_limits_has_those_of_the_role(
    database: DatabaseSettings, role: str, statement: str, idle: str
) -> None:
    """As psql and Grafana log in. Fails on a cluster whose administrator has changed them."""
    settings = await as_role(database, role)
    plain = await asyncpg.connect(settings.database_url.get_secret_value(), timeout=10)
    try:
        found = {name: await plain.fetchval(f"SHOW {name}") for name in LIMITS}
    finally:
        await plain.close(timeout=10)
    read_only = "on" if role == READER else "off"
    assert found == dict(zip(LIMITS, (statement, "5s", idle, read_only, "public, pg_temp"), strict=True))


async def test_the_reader_s_transactions_are_read_only(reader: Session) -> None:
    with pytest.raises(DatabaseUnavailableError, match="25006"):
        await reader.execute("CREATE TEMP TABLE mine (a int)")


@pytest.fixture
async def names(empty_database: DatabaseSettings) -> AsyncIterator[dict[str, str]]:
    """Names that stand for the three roles, so that roles can be made and missed without touching the real ones."""
    prefix = f"arc_eval_test_{secrets.token_hex(4)}"
    yield {role: role.replace("arc_eval", prefix) for role in ROLES}
    async with await connect(empty_database) as session:
        for role in ROLES:
            name = role.replace("arc_eval", prefix)
            if await session.fetch_value("SELECT true FROM pg_roles WHERE rolname = $1", name):
                await session.execute(f"DROP OWNED BY {name}")
                await session.execute(f"DROP ROLE {name}")


def script(way: str, names: dict[str, str]) -> str:
    text = read_file(f"migrations/0004_roles.{way}.sql")
    for role, name in names.items():
        text = text.replace(role, name)
    return text


async def test_roles_are_made_with_time_outs_and_no_password(
    empty_database: DatabaseSettings, names: dict[str, str]
) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(3)
        await session.execute(script("up", names))
        rows = await session.fetch("SELECT * FROM pg_authid WHERE rolname = ANY($1)", list(names.values()))
        assert len(rows) == 3
        for row in rows:
            assert (row["rolcanlogin"], row["rolpassword"]) == (True, None)
            assert not any(row[right] for right in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolbypassrls"))
        rows = await session.fetch(
            "SELECT rolname, rolconfig FROM pg_roles WHERE rolname = ANY($1)", list(names.values())
        )
        settings = {row["rolname"]: dict(line.split("=", 1) for line in row["rolconfig"]) for row in rows}
        assert {settings[name]["statement_timeout"] for name in names.values()} == {"60s", "30s", "600s"}
        for name in names.values():
            assert settings[name]["lock_timeout"] == "5s"
            assert settings[name]["search_path"] == "public, pg_temp"
            assert settings[name]["idle_in_transaction_session_timeout"] in ("10s", "60s")
        assert settings[names[READER]]["default_transaction_read_only"] == "on"
        # Again, as a second database of the same cluster would: what an administrator has changed stays.
        await session.execute(f"ALTER ROLE {names[READER]} SET statement_timeout = '2s'")
        await session.execute(script("up", names))
        config = await session.fetch_value("SELECT rolconfig FROM pg_roles WHERE rolname = $1", names[READER])
        assert "statement_timeout=2s" in config


async def test_undoing_takes_every_privilege_back_and_leaves_the_roles(
    empty_database: DatabaseSettings, names: dict[str, str]
) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(3)
        await session.execute(script("up", names))
        assert await privileges(session)
        await session.execute(script("down", names))
        assert await privileges(session) == {}
        for name in names.values():
            await session.execute(f"DROP ROLE {name}")  # refused as long as it has a privilege anywhere


async def test_two_databases_may_make_the_roles_at_once(
    empty_database: DatabaseSettings, names: dict[str, str]
) -> None:
    """The second waits until the first has committed, and goes on with the roles that it made."""
    async with await connect(empty_database) as first, await connect(empty_database) as second:
        await Migrator(first).up(3)
        making = script("up", names).partition("-- The writer adds")[0].partition("    EXECUTE format('REVOKE")[0]
        making += "END\n$$;"
        await first.execute("BEGIN")
        await first.execute(making)
        late = asyncio.create_task(second.execute(making))
        await asyncio.wait({late}, timeout=0.2)
        assert not late.done()
        await first.execute("COMMIT")
        await late
        assert (
            await second.fetch_value("SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)", list(names.values())) == 3
        )


async def test_the_owner_of_a_database_migrates_without_being_superuser(
    empty_database: DatabaseSettings, names: dict[str, str], edition: Edition
) -> None:
    """As on TimescaleDB Cloud: the owner may create roles, and the extensions were there or may be made by anybody."""
    owner = names[ADMIN] + "_owner"
    async with await connect(empty_database) as session:
        await session.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE")
        await session.execute(f"ALTER DATABASE {database_name(empty_database)} OWNER TO {owner}")
        for extension in ("vector", "timescaledb") if edition is Edition.TIMESCALEDB else ("vector",):
            await session.execute(f"CREATE EXTENSION {extension}")
    try:
        async with await connect(await as_role(empty_database, owner)) as session:
            migrator = Migrator(session)
            await migrator.up()
            assert await migrator.edition() is edition
            assert await privileges(session) == EXPECTED
            # The roles themselves, which the cluster has already: the same text with other names.
            await session.execute(script("up", names))
            assert (
                await session.fetch_value("SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)", [*names.values()])
                == 3
            )
            await session.execute(script("down", names))
            await migrator.down(3)
            assert await privileges(session) == {}
            for name in names.values():
                await session.execute(f"DROP ROLE {name}")
    finally:
        async with await connect(empty_database) as session:
            await session.execute(f"ALTER DATABASE {database_name(empty_database)} OWNER TO CURRENT_USER")
            await session.execute(f"DROP OWNED BY {owner} CASCADE")
            await session.execute(f"DROP ROLE {owner}")


async def test_whoever_may_not_make_roles_is_told_what_to_do(
    empty_database: DatabaseSettings, names: dict[str, str], edition: Edition
) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(3)
        owner = names[ADMIN] + "_owner"
        await session.execute(f"CREATE ROLE {owner}")
        try:
            await session.execute(f"SET ROLE {owner}")
            with pytest.raises(SchemaMismatchError) as caught:
                await session.execute(script("up", names))
        finally:
            await session.execute("RESET ROLE")
            await session.execute(f"DROP ROLE {owner}")
    message = str(caught.value)
    assert f"the role {names[WRITER]} is missing and {owner} may not create roles" in message
    assert all(f"CREATE ROLE {name} LOGIN" in message for name in names.values())
