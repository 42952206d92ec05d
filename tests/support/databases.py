"""Databases for tests: one template with the schema, one copy of it a test."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition, Migrator
from support.conditions import eventually


async def connect(settings: DatabaseSettings) -> Session:
    """A connection for a test."""
    return await Session.connect(settings, application_name="arc-eval-db tests")


@contextlib.asynccontextmanager
async def temporary_database(
    server: DatabaseSettings, *, template: str | None = None, by: Session | None = None
) -> AsyncIterator[DatabaseSettings]:
    """A database that exists as long as the block.

    Args:
        by: a connection to the server that is there already, and that no other task uses.
    """
    name = f"arc_eval_test_{secrets.token_hex(6)}"
    async with _connected(server, by) as session:
        # The default writes each page of the template to the log: over 200 ms for ours; a copy of its files takes 35.
        await session.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'} STRATEGY FILE_COPY")
    try:
        yield server.with_database(name)
    finally:
        async with _connected(server, by) as session:
            await session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.asynccontextmanager
async def _connected(server: DatabaseSettings, by: Session | None) -> AsyncIterator[Session]:
    if by is not None and not by.is_closed:
        yield by
        return
    async with await connect(server) as session:
        yield session


async def prepare_template(server: DatabaseSettings, settings: DatabaseSettings) -> Edition:
    """Migrate a database, and let nobody connect to it any more: PostgreSQL copies only what is not in use.

    TimescaleDB's launcher would otherwise come back to it with a scheduler.
    """
    async with await connect(settings) as session:
        migrator = Migrator(session)
        await migrator.up()
        edition = await migrator.edition()
        name = await session.fetch_value("SELECT current_database()")
    async with await connect(server) as session:
        await session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")

        async def is_unused() -> bool:
            return not await session.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )

        await eventually(is_unused, "nobody is connected to the template")
    return edition
