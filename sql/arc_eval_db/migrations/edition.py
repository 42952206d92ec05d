"""The two kinds of database this project runs on."""

from __future__ import annotations

from enum import StrEnum

from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError

POSTGRESQL_VERSION_MIN = 150000
TIMESCALEDB_VERSION_MIN = (2, 19)
"""Before, ON CONFLICT DO NOTHING stopped at the first conflict in a compressed chunk (timescale/timescaledb#7672)."""


class Edition(StrEnum):
    """Which scripts apply: those for TimescaleDB, or those for PostgreSQL without it."""

    TIMESCALEDB = "timescaledb"
    POSTGRESQL = "postgresql"


class UnsupportedServerError(FatalError):
    """The database server is too old, or lacks an extension."""


async def detect_edition(session: Session) -> Edition:
    """Which edition this server can run: TimescaleDB where the extension is there or can be created."""
    if await session.fetch_value("SELECT true FROM pg_extension WHERE extname = 'timescaledb'"):
        return Edition.TIMESCALEDB
    available = await session.fetch_value("SELECT true FROM pg_available_extensions WHERE name = 'timescaledb'")
    preloaded = await session.fetch_value("SELECT current_setting('shared_preload_libraries') LIKE '%timescaledb%'")
    return Edition.TIMESCALEDB if available and preloaded else Edition.POSTGRESQL


async def prepare_server(session: Session, edition: Edition) -> None:
    """Check versions and create the edition's extension.

    Raises:
        UnsupportedServerError: with what to install.
    """
    version = int(await session.fetch_value("SELECT current_setting('server_version_num')"))
    if version < POSTGRESQL_VERSION_MIN:
        raise UnsupportedServerError(f"PostgreSQL 15 or newer is needed; this is version number {version}")
    if not await session.fetch_value("SELECT true FROM pg_available_extensions WHERE name = 'vector'"):
        raise UnsupportedServerError("the extension pgvector is not installed on the server (failure patterns need it)")
    if edition is Edition.TIMESCALEDB:
        if not await session.fetch_value("SELECT true FROM pg_available_extensions WHERE name = 'timescaledb'"):
            raise UnsupportedServerError("the extension timescaledb is not installed on the server")
        await session.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        installed = str(await session.fetch_value("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
        major, minor = (int(part) for part in installed.split(".")[:2])
        if (major, minor) < TIMESCALEDB_VERSION_MIN:
            needed = ".".join(map(str, TIMESCALEDB_VERSION_MIN))
            raise UnsupportedServerError(f"TimescaleDB {needed} or newer is needed; this is {installed}")
