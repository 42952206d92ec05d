"""Fixtures for the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from arc_eval_db.database import DatabaseSettings
from support.api import serving


@pytest.fixture
async def api(database: DatabaseSettings) -> AsyncIterator[httpx.AsyncClient]:
    """The API on loopback, without a token in its database."""
    async with serving(database) as client:
        yield client


@pytest.fixture(scope="module")
async def file_api(file_database: DatabaseSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Likewise, for all tests of a file that ask for what is refused, or for what another one does not look at."""
    async with serving(file_database) as client:
        yield client
