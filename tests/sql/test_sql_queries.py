"""Every statement in a .sql file is valid against the real schema."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.sql import list_files, queries
from support.databases import connect

pytestmark = pytest.mark.database

# What only TimescaleDB has.
TIMESCALEDB = re.compile(r"timescaledb_information|show_chunks|(retention|compression)_policy\(")


@pytest.fixture(scope="module")
async def session(file_database: DatabaseSettings) -> AsyncIterator[Session]:
    """One for all: to prepare a statement changes nothing."""
    async with await connect(file_database) as opened:
        yield opened


STATEMENTS_ARE_COUNTED = "SELECT to_regclass('pg_stat_statements') IS NOT NULL"

STATEMENTS = [
    pytest.param(text, bool(TIMESCALEDB.search(text)), id=f"{name}.{block}")
    for name in (file.removesuffix(".sql") for file in list_files("queries"))
    for block, text in queries(name).items()
]


@pytest.mark.parametrize(("statement", "needs_timescaledb"), STATEMENTS)
async def test_statement_prepares(session: Session, edition: Edition, statement: str, needs_timescaledb: bool) -> None:
    if needs_timescaledb and edition is not Edition.TIMESCALEDB:
        pytest.skip("the statement reads TimescaleDB's own views")
    if "FROM pg_stat_statements" in statement and not await session.fetch_value(STATEMENTS_ARE_COUNTED):
        pytest.skip("the server does not count statements")
    await session.execute(f"PREPARE checked AS {statement}")
    await session.execute("DEALLOCATE checked")


def test_every_block_is_named() -> None:
    for file in list_files("queries"):
        text = queries(file.removesuffix(".sql"))
        assert text, f"{file} names no statement"
        assert all(not re.search(r"^-- name:", block, re.MULTILINE) for block in text.values())
