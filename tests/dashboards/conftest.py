"""Fixtures for the API and the dashboard."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.settings import KafkaSettings
from support.api import serving
from support.browser import Tab, chromium, tab
from support.dashboards import HOSTILE, ServedDashboard, serving_dashboard
from support.databases import connect, temporary_database
from support.servers import Servers


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


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of the process."""
    async with chromium() as started:
        yield started


@pytest.fixture(scope="session")
async def dashboard_database(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[DatabaseSettings]:
    """The database of the dashboard that tests share. It has no token."""
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(database_server, template=name) as settings:
        yield settings


@pytest.fixture(scope="session")
async def dashboard_kafka(servers: Servers) -> KafkaSettings:
    """Kafka with the topics of the dashboard that tests share, two partitions each."""
    settings = KafkaSettings(
        bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=f"test-{secrets.token_hex(6)}"
    )
    async with TopicsAdmin(settings) as admin:
        await admin.create(partitions=2)
    return settings


@pytest.fixture(scope="module")
async def dashboard(
    browser: Browser, dashboard_kafka: KafkaSettings, dashboard_database: DatabaseSettings
) -> AsyncIterator[ServedDashboard]:
    """One dashboard for the tests of a file; without a browser it would not be looked at."""
    group = f"{HOSTILE} {secrets.token_hex(6)}"
    async with serving_dashboard(dashboard_kafka, dashboard_database, group) as served:
        yield served


@pytest.fixture
async def dashboard_session(dashboard_database: DatabaseSettings) -> AsyncIterator[Session]:
    """A connection to the shared dashboard's database."""
    async with await connect(dashboard_database) as opened:
        yield opened


@pytest.fixture
async def page(browser: Browser, dashboard: ServedDashboard) -> AsyncIterator[Tab]:
    """A new profile of the browser, for the shared dashboard. Whatever a page complains of fails the test."""
    async with tab(browser, dashboard.url) as opened:
        yield opened
        assert await opened.page.locator("img").count() == 0
        assert await opened.page.evaluate("window.owned") is None
        assert opened.complaints == []
        assert opened.foreign_requests() == []
