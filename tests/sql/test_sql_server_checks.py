"""What the server is asked, and what each answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.migrations.edition import UnsupportedServerError, detect_edition, prepare_server
from arc_eval_db.server_checks import (
    Extension,
    Finding,
    Role,
    ServerFacts,
    Status,
    check_server,
    clock_difference_s,
    clock_finding,
    findings_of,
    read_facts,
)
from support.databases import connect
from support.roles import ROLES, as_role

GIB = 1024**3
SETTINGS = DatabaseSettings.load(
    database_url="postgresql://arc_eval_writer:s3cret@db.example.com/x?sslmode=verify-full", database_pool_size_max=50
)
HEALTHY = ServerFacts(
    version="18.4",
    version_number=180004,
    is_standby=False,
    is_read_only=False,
    time_zone="UTC",
    log_time_zone="Etc/UTC",
    user_name="arc_eval_writer",
    is_superuser=False,
    database="tsdb",
    size_bytes=5 * GIB,
    databases=2,
    connections=12,
    extensions={
        "timescaledb": Extension("2.29.2", "2.29.2"),
        "vector": Extension("0.8.5", "0.8.5"),
        "uuid-ossp": Extension("1.1", "1.1"),
        "pg_stat_statements": Extension("1.12", "1.12"),
    },
    settings={
        "shared_buffers": str(2 * GIB),
        "effective_cache_size": str(6 * GIB),
        "work_mem": str(16 * 1024**2),
        "max_connections": "100",
        "superuser_reserved_connections": "3",
        "reserved_connections": "0",
        "max_locks_per_transaction": "256",
        "max_worker_processes": "35",
        "max_parallel_workers": "8",
        "timescaledb.max_background_workers": "16",
        "timescaledb.license": "timescale",
    },
    roles=dict.fromkeys(ROLES, Role(can_log_in=True, is_superuser=False, has_time_outs=True)),
    tls_version="TLSv1.3",
    jobs=19,
    clock_difference_s=0.0,
)


def with_settings(**changes: str) -> ServerFacts:
    names = {name.replace("timescaledb_", "timescaledb."): value for name, value in changes.items()}
    return replace(HEALTHY, settings={**HEALTHY.settings, **names})


def with_extension(name: str, extension: Extension | None) -> ServerFacts:
    others = {key: value for key, value in HEALTHY.extensions.items() if key != name}
    return replace(HEALTHY, extensions=others if extension is None else {**others, name: extension})


def with_role(**changes: bool) -> ServerFacts:
    role = replace(HEALTHY.roles["arc_eval_reader"], **changes)
    return replace(HEALTHY, roles={**HEALTHY.roles, "arc_eval_reader": role})


def not_well(facts: ServerFacts, settings: DatabaseSettings = SETTINGS) -> list[Finding]:
    return [finding for finding in findings_of(facts, settings) if finding.status is not Status.OK]


def test_a_healthy_server_has_nothing_to_mend() -> None:
    assert not_well(HEALTHY) == []
    assert all(finding.next_step == "" for finding in findings_of(HEALTHY, SETTINGS))


NOT_CREATED = Extension("2.29.2", None)
OTHER_SETTINGS = {key: value for key, value in HEALTHY.settings.items() if not key.startswith("timescaledb")}
WITHOUT_TIMESCALEDB = replace(with_extension("timescaledb", None), settings=OTHER_SETTINGS, jobs=0)
NOT_PRELOADED = replace(with_extension("timescaledb", NOT_CREATED), settings=OTHER_SETTINGS, jobs=0)


@pytest.mark.parametrize(
    ("facts", "check", "status", "next_step"),
    [
        (replace(HEALTHY, version="14.2", version_number=140002), "version", "problem", "PostgreSQL 15 or newer"),
        (replace(HEALTHY, is_standby=True, is_read_only=True), "writable", "problem", "the primary"),
        (replace(HEALTHY, is_read_only=True), "writable", "problem", "RESET default_transaction_read_only"),
        (WITHOUT_TIMESCALEDB, "timescaledb", "warn", "TimescaleDB 2.19 or newer"),
        (NOT_PRELOADED, "timescaledb", "warn", "shared_preload_libraries"),
        (with_extension("timescaledb", NOT_CREATED), "timescaledb", "warn", "arc-eval-db migrate up"),
        (with_extension("timescaledb", Extension("2.29", "2.18.1")), "timescaledb", "problem", "ALTER EXTENSION"),
        (with_settings(timescaledb_license="apache"), "timescaledb", "problem", "timescaledb.license = 'timescale'"),
        (with_extension("vector", None), "vector", "problem", "install pgvector"),
        (with_extension("vector", Extension("0.8.5", None)), "vector", "warn", "arc-eval-db migrate up"),
        (with_settings(shared_buffers=str(GIB // 8)), "memory", "warn", "a quarter of the memory"),
        (with_settings(work_mem="65536"), "memory", "warn", "work_mem to 4 MB"),
        (with_settings(max_connections="25"), "connections", "problem", "POOL_SIZE_MAX below 22"),
        (replace(HEALTHY, connections=60), "connections", "warn", "ARC_EVAL_DATABASE_POOL_SIZE_MAX"),
        (with_settings(timescaledb_max_background_workers="9"), "workers", "warn", "to 10 or more"),
        (with_settings(max_worker_processes="8"), "workers", "warn", "max_worker_processes to 24"),
        (with_settings(max_locks_per_transaction="64"), "locks", "warn", "max_locks_per_transaction to 256"),
        (replace(HEALTHY, tls_version=None), "encryption", "warn", "something in between ends TLS"),
        (replace(HEALTHY, user_name="postgres", is_superuser=True), "user", "warn", "arc_eval_writer"),
        (replace(HEALTHY, roles={}), "arc_eval_admin", "problem", "arc-eval-db migrate up"),
        (with_role(is_superuser=True), "arc_eval_reader", "problem", "ALTER ROLE arc_eval_reader NOSUPERUSER"),
        (with_role(can_log_in=False), "arc_eval_reader", "warn", "ALTER ROLE arc_eval_reader LOGIN"),
        (with_role(has_time_outs=False), "arc_eval_reader", "warn", "SET statement_timeout"),
        (replace(HEALTHY, clock_difference_s=-7.2), "clock", "problem", "synchronise the clocks"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(facts: ServerFacts, check: str, status: str, next_step: str) -> None:
    found = {finding.check: finding for finding in not_well(facts)}
    assert found[check].status == status
    assert next_step in found[check].next_step
    assert found.keys() == ({check} if facts.roles else set(ROLES)), "something else was blamed too"


@pytest.mark.parametrize(
    "facts",
    [
        with_extension("uuid-ossp", None),
        with_extension("uuid-ossp", Extension("1.1", None)),
        with_extension("pg_stat_statements", None),
        replace(HEALTHY, is_read_only=True, user_name="arc_eval_reader"),
        replace(HEALTHY, clock_difference_s=4.9),
    ],
)
def test_what_is_no_fault_is_not_called_one(facts: ServerFacts) -> None:
    assert not_well(facts) == []


def test_plain_postgresql_needs_neither_workers_nor_locks() -> None:
    facts = replace(WITHOUT_TIMESCALEDB, settings={**OTHER_SETTINGS, "max_locks_per_transaction": "64"})
    assert [finding.check for finding in not_well(facts)] == ["timescaledb"]


def test_a_waived_protection_is_remarked_on_and_a_local_one_is_not() -> None:
    remote = "postgresql://u:s3cret@db.example.com/x?sslmode=require"
    waived = DatabaseSettings.load(database_url=remote, database_allow_insecure=True)
    (finding,) = not_well(HEALTHY, waived)
    assert (finding.check, finding.status) == ("encryption", Status.WARN)
    assert "sslmode=verify-full" in finding.next_step
    local = DatabaseSettings.load(database_url="postgresql://u:s3cret@localhost/x")
    assert not_well(replace(HEALTHY, tls_version=None), local) == []


def test_no_finding_shows_the_url() -> None:
    for facts in (HEALTHY, WITHOUT_TIMESCALEDB, replace(HEALTHY, roles={}, is_superuser=True, tls_version=None)):
        assert "s3cret" not in repr(findings_of(facts, SETTINGS))


class Clock:
    """A session whose server's clock is off."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    async def fetch_value(self, _: str) -> datetime:
        return datetime.now(UTC) + self._ahead


@pytest.mark.parametrize("ahead_s", [-60, 0, 60])
async def test_a_clock_s_difference_has_a_sign_and_allows_for_the_way(ahead_s: int) -> None:
    difference = await clock_difference_s(cast("Session", Clock(timedelta(seconds=ahead_s))))
    assert difference == pytest.approx(ahead_s, abs=0.5)
    assert (clock_finding(difference).status is Status.OK) == (ahead_s == 0)


@pytest.mark.database
async def test_the_server_is_asked(database: DatabaseSettings, session: Session, edition: Edition) -> None:
    facts = await read_facts(session)
    assert facts.version_number >= 150000
    assert facts.roles.keys() == set(ROLES)
    assert all(role.can_log_in and role.has_time_outs and not role.is_superuser for role in facts.roles.values())
    assert facts.extensions["vector"].installed
    assert facts.size_bytes > 1_000_000
    assert facts.connections >= 1
    assert facts.databases >= 2
    assert facts.number("shared_buffers") > 1_000_000
    assert facts.number("max_connections") > 0
    assert abs(facts.clock_difference_s) < 5
    if edition is Edition.TIMESCALEDB:
        assert facts.settings["timescaledb.license"] == "timescale"
        assert facts.jobs >= 10
    findings = {finding.check: finding for finding in await check_server(session, database)}
    for check in ("version", "writable", "vector", "encryption", "clock", *ROLES):
        assert findings[check].status is Status.OK, findings[check]


@pytest.mark.database
@pytest.mark.parametrize("role", ROLES)
async def test_every_role_may_ask(database: DatabaseSettings, role: str) -> None:
    settings = await as_role(database, role)
    async with await connect(settings) as session:
        findings = {finding.check: finding for finding in await check_server(session, settings)}
    assert findings["user"] == Finding("user", Status.OK, role)
    assert findings["writable"].status is Status.OK


@pytest.mark.database
async def test_the_edition_is_found_without_a_superuser_s_rights(
    empty_database: DatabaseSettings, database: DatabaseSettings, edition: Edition
) -> None:
    async with await connect(await as_role(database, "arc_eval_reader")) as session:
        assert await detect_edition(session) is edition
    async with await connect(await as_role(empty_database, "arc_eval_reader")) as session:
        assert await detect_edition(session) is edition


class Answers:
    """A session with a server that cannot be had here: the first answer whose key stands in a question."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self._answers = answers
        self.executed: list[str] = []

    async def fetch_value(self, question: str) -> object:
        return next(answer for key, answer in self._answers.items() if key in question)

    async def execute(self, statement: str) -> str:
        self.executed.append(statement)
        return "CREATE EXTENSION"


ANSWERS = {
    "server_version_num": "180004",
    "'vector'": True,
    "extversion": "2.29.2",
    "'timescaledb'": True,
    "'uuid-ossp'": True,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server_version_num": "140010"}, "PostgreSQL 15 or newer is needed"),
        ({"'vector'": None}, "pgvector is not installed"),
        ({"'timescaledb'": None}, "timescaledb is not installed"),
        ({"extversion": "2.18.2"}, r"TimescaleDB 2\.19 or newer is needed; this is 2\.18\.2"),
    ],
)
async def test_a_server_that_will_not_do_is_refused_before_the_first_migration(
    changes: dict[str, object], message: str
) -> None:
    server = Answers({**ANSWERS, **changes})
    with pytest.raises(UnsupportedServerError, match=message):
        await prepare_server(cast("Session", server), Edition.TIMESCALEDB)


@pytest.mark.parametrize("may_be_created", [True, None])
async def test_uuid_ossp_is_created_where_that_is_possible(may_be_created: bool | None) -> None:
    server = Answers({**ANSWERS, "'uuid-ossp'": may_be_created})
    await prepare_server(cast("Session", server), Edition.TIMESCALEDB)
    assert ('CREATE EXTENSION "uuid-ossp"' in server.executed) is bool(may_be_created)


@pytest.mark.database
async def test_uuid_ossp_is_there_where_the_server_offers_it(session: Session) -> None:
    rows = await session.fetch("SELECT installed_version FROM pg_available_extensions WHERE name = 'uuid-ossp'")
    assert all(row["installed_version"] for row in rows)
    await prepare_server(session, Edition.POSTGRESQL)  # again: nothing to do
