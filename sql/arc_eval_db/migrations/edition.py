"""The two kinds of database this project runs on."""

from __future__ import annotations

from enum import StrEnum

from arc_eval_db.database import Session
from arc_eval_db.database.requirements import POSTGRESQL_VERSION_MIN, TIMESCALEDB_VERSION_MIN, version_parts
from arc_eval_db.errors import FatalError

# For people's own queries. Nothing here depends on it, so where it cannot be had, nothing fails.
_MAY_CREATE_UUID_OSSP = """
SELECT true
FROM pg_available_extensions AS offered
JOIN pg_available_extension_versions AS version
    ON version.name = offered.name AND version.version = offered.default_version
WHERE offered.name = 'uuid-ossp'
    AND offered.installed_version IS NULL
    AND (
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR (version.trusted AND has_database_privilege(current_database(), 'CREATE'))
    )
"""


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
    # Its loader brings this setting. `shared_preload_libraries` says it too, but to superusers only.
    preloaded = await session.fetch_value(
        "SELECT true FROM pg_settings WHERE name = 'timescaledb.max_background_workers'"
    )
    return Edition.TIMESCALEDB if available and preloaded else Edition.POSTGRESQL


async def prepare_server(session: Session, edition: Edition) -> None:
    """Check versions and create extensions: the edition's, and `uuid-ossp` where it is to be had.

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
        if await detect_edition(session) is not Edition.TIMESCALEDB:
            # To create it would end the connection.
            raise UnsupportedServerError("timescaledb is installed, but not in the server's shared_preload_libraries")
        await session.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        installed = str(await session.fetch_value("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
        if version_parts(installed) < TIMESCALEDB_VERSION_MIN:
            needed = ".".join(map(str, TIMESCALEDB_VERSION_MIN))
            raise UnsupportedServerError(f"TimescaleDB {needed} or newer is needed; this is {installed}")
    if await session.fetch_value(_MAY_CREATE_UUID_OSSP):
        await session.execute('CREATE EXTENSION "uuid-ossp"')
