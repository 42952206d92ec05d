"""Is a database server set up as the pipeline needs it? Looked at from the outside, as any role may.

What is asked of the server is in `queries/server_checks.sql`; what the answers mean is here, as pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.database.address import check_protection
from arc_eval_db.database.requirements import POSTGRESQL_VERSION_MIN, TIMESCALEDB_VERSION_MIN, version_parts
from arc_eval_db.sql import queries

ROLES = ("arc_eval_writer", "arc_eval_reader", "arc_eval_admin")

CLOCK_DIFFERENCE_S_MAX = 5.0
LOCKS_PER_TRANSACTION_MIN = 256
"""A query over a year takes a lock on each chunk of a day and on each of its indexes."""
WORK_MEM_BYTES_MIN = 4 * 1024 * 1024
CONCURRENT_JOBS_MAX = 8
"""Policies that are due at the same time; they start together, and each takes a background worker."""

_MIGRATE = "arc-eval-db migrate up"
_EXTENSIONS = ("timescaledb", "vector", "uuid-ossp", "pg_stat_statements")
_SETTINGS = (
    "shared_buffers",
    "effective_cache_size",
    "work_mem",
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "max_locks_per_transaction",
    "max_worker_processes",
    "max_parallel_workers",
    "timescaledb.max_background_workers",
    "timescaledb.license",
)


class Status(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """Works, and will cost something: speed, safety, or an error under load."""
    PROBLEM = "problem"
    """Does not work, or not safely."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    status: Status
    found: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that the server offers."""

    offered: str
    """The version that would be created."""
    installed: str | None


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the cluster."""

    can_log_in: bool
    is_superuser: bool
    has_time_outs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says about itself."""

    version: str
    version_number: int
    is_standby: bool
    is_read_only: bool
    time_zone: str
    log_time_zone: str
    user_name: str
    is_superuser: bool
    database: str
    size_bytes: int
    databases: int
    connections: int
    extensions: Mapping[str, Extension]
    settings: Mapping[str, str]
    roles: Mapping[str, Role]
    tls_version: str | None
    """Of this connection, as the server sees it."""
    jobs: int
    """Scheduled jobs of TimescaleDB in this database."""
    clock_difference_s: float

    def number(self, setting: str) -> int:
        """A setting that is a number; 0 where the server does not know it."""
        return int(self.settings.get(setting, "0"))


async def check_server(session: Session, settings: DatabaseSettings) -> list[Finding]:
    """Look at everything that the pipeline needs of a server, except the schema itself.

    Raises:
        DatabaseError: a question could not be asked.
    """
    return findings_of(await read_facts(session), settings)


def findings_of(facts: ServerFacts, settings: DatabaseSettings) -> list[Finding]:
    """What the facts about a server mean."""
    return [
        _version(facts),
        _writable(facts),
        _timescaledb(facts),
        _vector(facts),
        _uuid_ossp(facts),
        _statement_statistics(facts),
        _memory(facts),
        _connections(facts, settings),
        _workers(facts),
        _locks(facts),
        _encryption(facts, settings),
        _user(facts),
        *_roles(facts),
        clock_finding(facts.clock_difference_s),
        _time_zone(facts),
        _size(facts),
    ]


async def read_facts(session: Session) -> ServerFacts:
    """Ask the server."""
    statements = queries("server_checks")
    server = (await session.fetch(statements["server"]))[0]
    extensions = {
        row["name"]: Extension(row["default_version"], row["installed_version"])
        for row in await session.fetch(statements["extensions"], list(_EXTENSIONS))
    }
    has_timescaledb = "timescaledb" in extensions and extensions["timescaledb"].installed is not None
    fields: dict[str, Any] = {
        "extensions": extensions,
        "settings": {
            row["name"]: row["setting"] for row in await session.fetch(statements["settings"], list(_SETTINGS))
        },
        "roles": {
            row["name"]: Role(row["can_log_in"], row["is_superuser"], row["has_time_outs"])
            for row in await session.fetch(statements["roles"], list(ROLES))
        },
        "tls_version": await session.fetch_value(statements["encryption"]),
        "jobs": await session.fetch_value(statements["jobs"]) if has_timescaledb else 0,
        "clock_difference_s": await clock_difference_s(session),
    }
    return ServerFacts(**server, **fields)


async def clock_difference_s(session: Session) -> float:
    """How far the server's clock is ahead of ours (negative: behind), at the least: the way there and back is allowed
    for."""
    before = datetime.now(UTC)
    server: datetime = await session.fetch_value("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    if before <= server <= after:
        return 0.0
    return (server - after if server > after else server - before).total_seconds()


def clock_finding(difference_s: float) -> Finding:
    """What a difference of the clocks means."""
    found = f"{abs(difference_s):.1f} s from the database's"
    if abs(difference_s) <= CLOCK_DIFFERENCE_S_MAX:
        return Finding("clock", Status.OK, found)
    return Finding("clock", Status.PROBLEM, found, "synchronise the clocks (NTP): event times would be wrong")


def _version(facts: ServerFacts) -> Finding:
    found = f"PostgreSQL {facts.version}"
    if facts.version_number < POSTGRESQL_VERSION_MIN:
        return Finding("version", Status.PROBLEM, found, "upgrade to PostgreSQL 15 or newer")
    return Finding("version", Status.OK, found)


def _writable(facts: ServerFacts) -> Finding:
    if facts.is_standby:
        return Finding(
            "writable", Status.PROBLEM, "a standby", "use the address of the primary in ARC_EVAL_DATABASE_URL"
        )
    if not facts.is_read_only:
        return Finding("writable", Status.OK, "the primary")
    if facts.user_name == "arc_eval_reader":
        return Finding("writable", Status.OK, "the primary, read-only for arc_eval_reader")
    next_step = f"free some disk space, or: ALTER DATABASE {facts.database} RESET default_transaction_read_only"
    return Finding("writable", Status.PROBLEM, "transactions are read-only", next_step)


def _timescaledb(facts: ServerFacts) -> Finding:
    extension = facts.extensions.get("timescaledb")
    needed = ".".join(map(str, TIMESCALEDB_VERSION_MIN))
    if extension is None:
        return Finding(
            "timescaledb",
            Status.WARN,
            "not offered: nothing is compressed or dropped by age",
            f"for production use a server with TimescaleDB {needed} or newer; to try things out it is fine",
        )
    if extension.installed is None and "timescaledb.max_background_workers" not in facts.settings:
        next_step = "add timescaledb to shared_preload_libraries and restart, before the first migration"
        return Finding("timescaledb", Status.WARN, f"{extension.offered} offered, not preloaded", next_step)
    if extension.installed is None:
        return Finding("timescaledb", Status.WARN, f"{extension.offered} offered, not created here", _MIGRATE)
    if version_parts(extension.installed) < TIMESCALEDB_VERSION_MIN:
        next_step = f"upgrade to {needed} or newer: ALTER EXTENSION timescaledb UPDATE"
        return Finding("timescaledb", Status.PROBLEM, extension.installed, next_step)
    licence = facts.settings.get("timescaledb.license", "unknown")
    found = f"{extension.installed}, licence {licence}"
    if licence != "timescale":
        next_step = "set timescaledb.license = 'timescale': compression, aggregates and policies need it"
        return Finding("timescaledb", Status.PROBLEM, found, next_step)
    return Finding("timescaledb", Status.OK, found)


def _vector(facts: ServerFacts) -> Finding:
    extension = facts.extensions.get("vector")
    if extension is None:
        next_step = "install pgvector on the server: failure patterns need it"
        return Finding("vector", Status.PROBLEM, "not offered", next_step)
    if extension.installed is None:
        return Finding("vector", Status.WARN, f"{extension.offered} offered, not created here", _MIGRATE)
    return Finding("vector", Status.OK, extension.installed)


def _uuid_ossp(facts: ServerFacts) -> Finding:
    extension = facts.extensions.get("uuid-ossp")
    if extension is None:
        return Finding("uuid-ossp", Status.OK, "not offered; nothing depends on it")
    return Finding("uuid-ossp", Status.OK, extension.installed or f"{extension.offered} offered, not created here")


def _statement_statistics(facts: ServerFacts) -> Finding:
    extension = facts.extensions.get("pg_stat_statements")
    if extension is not None and extension.installed is not None:
        return Finding("pg_stat_statements", Status.OK, extension.installed)
    return Finding("pg_stat_statements", Status.OK, "not there; it would show which queries are slow")


def _memory(facts: ServerFacts) -> Finding:
    buffers, cache = facts.number("shared_buffers"), facts.number("effective_cache_size")
    work = facts.number("work_mem")
    found = f"shared_buffers {_bytes(buffers)}, effective_cache_size {_bytes(cache)}, work_mem {_bytes(work)}"
    # The usual quarter and three quarters of the memory, with some room: the memory itself cannot be asked for.
    if buffers * 4 < cache:
        next_step = "set shared_buffers to a quarter of the memory (timescaledb-tune does) and restart"
        return Finding("memory", Status.WARN, found, next_step)
    if work < WORK_MEM_BYTES_MIN:
        return Finding("memory", Status.WARN, found, f"set work_mem to {_bytes(WORK_MEM_BYTES_MIN)} or more")
    return Finding("memory", Status.OK, found)


def _connections(facts: ServerFacts, settings: DatabaseSettings) -> Finding:
    reserved = facts.number("superuser_reserved_connections") + facts.number("reserved_connections")
    usable = facts.number("max_connections") - reserved
    pool = settings.database_pool_size_max
    found = f"{usable} usable, {facts.connections} in use, a pool takes up to {pool}"
    if pool > usable:
        next_step = f"set ARC_EVAL_DATABASE_POOL_SIZE_MAX below {usable}, or raise max_connections"
        return Finding("connections", Status.PROBLEM, found, next_step)
    if facts.connections + pool > usable:
        next_step = "lower ARC_EVAL_DATABASE_POOL_SIZE_MAX, or raise max_connections"
        return Finding("connections", Status.WARN, found, next_step)
    return Finding("connections", Status.OK, found)


def _workers(facts: ServerFacts) -> Finding:
    workers, processes = facts.number("timescaledb.max_background_workers"), facts.number("max_worker_processes")
    parallel = facts.number("max_parallel_workers")
    if not workers:
        return Finding("workers", Status.OK, f"max_worker_processes {processes}; no TimescaleDB")
    # A scheduler for each database, and the jobs of this one.
    needed = facts.databases + min(facts.jobs, CONCURRENT_JOBS_MAX)
    found = (
        f"timescaledb.max_background_workers {workers}, max_worker_processes {processes}, "
        f"{facts.databases} databases, {facts.jobs} jobs here"
    )
    if workers < needed:
        next_step = f"set timescaledb.max_background_workers to {needed} or more and restart: jobs would wait"
        return Finding("workers", Status.WARN, found, next_step)
    if processes < workers + parallel:
        next_step = f"set max_worker_processes to {workers + parallel} or more and restart: jobs would not start"
        return Finding("workers", Status.WARN, found, next_step)
    return Finding("workers", Status.OK, found)


def _locks(facts: ServerFacts) -> Finding:
    locks = facts.number("max_locks_per_transaction")
    found = f"max_locks_per_transaction {locks}"
    has_chunks = (extension := facts.extensions.get("timescaledb")) is not None and extension.installed is not None
    if has_chunks and locks < LOCKS_PER_TRANSACTION_MIN:
        next_step = f"set max_locks_per_transaction to {LOCKS_PER_TRANSACTION_MIN} or more and restart: "
        return Finding("locks", Status.WARN, found, f"{next_step}queries over many chunks would fail")
    return Finding("locks", Status.OK, found)


def _encryption(facts: ServerFacts, settings: DatabaseSettings) -> Finding:
    address = check_protection(settings.database_url.get_secret_value(), allow_insecure=True)
    seen = facts.tls_version or "no TLS as the server sees it"
    if address.is_local:
        return Finding("encryption", Status.OK, f"this machine: none is needed ({seen})")
    if address.ssl_mode != "verify-full":
        next_step = "use ?sslmode=verify-full and unset ARC_EVAL_DATABASE_ALLOW_INSECURE"
        return Finding("encryption", Status.WARN, f"the server's identity is not checked ({seen})", next_step)
    if facts.tls_version is None:
        next_step = "something in between ends TLS: make sure that its own way to the server is protected"
        return Finding("encryption", Status.WARN, f"verify-full, but {seen}", next_step)
    return Finding("encryption", Status.OK, f"verify-full, {seen}")


def _user(facts: ServerFacts) -> Finding:
    if facts.is_superuser:
        next_step = "log in as arc_eval_writer, arc_eval_reader or arc_eval_admin; migrations: the database's owner"
        return Finding("user", Status.WARN, f"{facts.user_name}, a superuser", next_step)
    return Finding("user", Status.OK, facts.user_name)


def _roles(facts: ServerFacts) -> list[Finding]:
    return [_role(name, facts.roles.get(name)) for name in ROLES]


def _role(name: str, role: Role | None) -> Finding:
    if role is None:
        return Finding(name, Status.PROBLEM, "missing", _MIGRATE)
    if role.is_superuser:
        return Finding(name, Status.PROBLEM, "is a superuser", f"ALTER ROLE {name} NOSUPERUSER")
    if not role.can_log_in:
        return Finding(name, Status.WARN, "cannot log in", f"ALTER ROLE {name} LOGIN, and give it a password")
    if not role.has_time_outs:
        return Finding(
            name, Status.WARN, "has no time-outs", f"ALTER ROLE {name} SET statement_timeout = ...: docs/roles.md"
        )
    return Finding(name, Status.OK, "can log in, has time-outs")


def _time_zone(facts: ServerFacts) -> Finding:
    return Finding("time zone", Status.OK, f"{facts.time_zone} here; the server logs in {facts.log_time_zone}")


def _size(facts: ServerFacts) -> Finding:
    return Finding("size", Status.OK, f"{facts.database} takes {_bytes(facts.size_bytes)}")


def _bytes(number: int) -> str:
    """Such as "1.5 GB", in powers of 1024 as PostgreSQL counts."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TB"
