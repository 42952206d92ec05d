"""Fixtures of the fault tests: a stack for the session, an arena for each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from arc_eval_db.database import DatabaseSettings
from fault.arena import Arena, open_arena
from fault.stack import GIVEN_DATABASE, FaultStack
from support.databases import prepare_template, temporary_database


@pytest.fixture(scope="session")
async def fault_stack() -> AsyncIterator[FaultStack]:
    """A broker and a database that may be killed. Started by the first test that asks."""
    if os.environ.get("ARC_EVAL_TEST_STACK", "embedded") != "embedded":
        pytest.skip("faults are made in child processes: ARC_EVAL_TEST_STACK must be embedded")
    with tempfile.TemporaryDirectory(prefix="arc-eval-fault-", ignore_cleanup_errors=True) as directory:
        async with FaultStack(Path(directory), dict(os.environ)) as stack:
            yield stack


@pytest.fixture(scope="session")
async def fault_server(fault_stack: FaultStack) -> DatabaseSettings:
    """Where the tests' databases are: the server that is given, or the stack's own."""
    url = os.environ.get(GIVEN_DATABASE)
    return fault_stack.database if url is None else DatabaseSettings.load(database_url=url)


@pytest.fixture
def own_database_server() -> None:
    """For tests that kill the database server: skips where one is given."""
    if GIVEN_DATABASE in os.environ:
        pytest.skip(f"kills the database server, and {GIVEN_DATABASE} names one that is not ours")


@pytest.fixture(scope="session")
async def fault_template(fault_server: DatabaseSettings) -> AsyncIterator[str]:
    """The name of a migrated database, to be copied for each test."""
    async with temporary_database(fault_server) as settings:
        await prepare_template(fault_server, settings)
        yield settings.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]


@pytest.fixture
async def arena(
    fault_stack: FaultStack, fault_server: DatabaseSettings, fault_template: str, tmp_path: Path
) -> AsyncIterator[Arena]:
    """Everything that a fault test needs, of its own."""
    await fault_stack.heal()
    async with (
        temporary_database(fault_server, template=fault_template) as database,
        open_arena(fault_stack, database, tmp_path) as opened,
    ):
        yield opened
