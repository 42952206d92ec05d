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
