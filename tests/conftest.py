"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.settings import KafkaSettings
from support.databases import connect, prepare_template, temporary_database
from support.servers import Servers, missing, start_servers

TEST_PARTITIONS = 2

# How long an example takes says more of the machine than of the code.
_ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _ANY_MACHINE, max_examples=40)
settings.register_profile("long", _ANY_MACHINE, max_examples=400)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option of ours."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_configure(config: pytest.Config) -> None:
    """Try few examples of what is true of all, many where there is time; and let Ctrl-C end the tests' processes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell leaves it for what it runs in the background; processes of the tests would ignore Ctrl-C too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("long" if config.getoption("--long") else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless it is asked for; and share out the rest by file.

    Where several processes run the tests, those of one file stay together, and those that hurt servers too: their stack
    is started once.
    """
    for item in items:
        folder, _, file = item.nodeid.partition("::")[0].rpartition("/")
        item.add_marker(pytest.mark.xdist_group("fault" if folder.endswith("/fault") else file))
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """A developer's own ARC_EVAL_* variables must not reach the code under test."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("ARC_EVAL_")}
    harness = ("ARC_EVAL_TEST_", "ARC_EVAL_REQUIRE", "ARC_EVAL_LOCAL_POSTGRES_BINDIR", "ARC_EVAL_RECORDED_RUNS")
    for name in kept:
        if not name.startswith(harness):
            del os.environ[name]
    yield
    os.environ.update(kept)


@pytest.fixture
def stack_directory() -> Iterator[Path]:
    """A directory for servers. pytest's own are closed to other users, whom PostgreSQL runs as where we are root."""
    with tempfile.TemporaryDirectory(prefix="arc-eval-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A Kafka and a PostgreSQL for the whole session."""
    with (
        tempfile.TemporaryDirectory(prefix="arc-eval-test-", ignore_cleanup_errors=True) as directory,
        start_servers(Path(directory)) as started,
    ):
        yield started


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> DatabaseSettings:
    """A PostgreSQL server whose user may create databases: `ARC_EVAL_TEST_DATABASE_URL`, or the session's own."""
    url = os.environ.get("ARC_EVAL_TEST_DATABASE_URL")
    if url is None:
        url = request.getfixturevalue("servers").database_url
    return DatabaseSettings.load(database_url=url)


@pytest.fixture(scope="session")
async def template(database_server: DatabaseSettings) -> AsyncIterator[tuple[DatabaseSettings, Edition]]:
    """A migrated database that is copied for each test."""
    async with temporary_database(database_server) as settings:
        yield settings, await prepare_template(database_server, settings)


@pytest.fixture(scope="session")
def edition(template: tuple[DatabaseSettings, Edition]) -> Edition:
    """The edition of the test databases."""
    return template[1]


@pytest.fixture
def timescaledb(edition: Edition) -> None:
    """Skips where the server has no TimescaleDB."""
    if edition is not Edition.TIMESCALEDB:
        missing("timescaledb", "the database server offers no TimescaleDB")


@pytest.fixture(scope="session")
async def databases_session(database_server: DatabaseSettings) -> AsyncIterator[Session]:
    """A connection that makes and drops the tests' databases: to open one for each takes as long as to make them."""
    async with await connect(database_server) as opened:
        yield opened


@pytest.fixture
async def empty_database(
    database_server: DatabaseSettings, databases_session: Session
) -> AsyncIterator[DatabaseSettings]:
    """A database without any schema."""
    async with temporary_database(database_server, by=databases_session) as settings:
        yield settings


@pytest.fixture
async def database(
    database_server: DatabaseSettings, databases_session: Session, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[DatabaseSettings]:
    """A database of the test's own, migrated."""
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(database_server, template=name, by=databases_session) as settings:
        yield settings


@pytest.fixture(scope="module")
async def file_database(
    database_server: DatabaseSettings, databases_session: Session, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[DatabaseSettings]:
    """A migrated database for all those tests of a file that change nothing in it that another one looks at."""
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(database_server, template=name, by=databases_session) as settings:
        yield settings


@pytest.fixture
async def session(database: DatabaseSettings) -> AsyncIterator[Session]:
    """A connection to the test's database."""
    async with await connect(database) as opened:
        yield opened


async def _new_topics(servers: Servers) -> KafkaSettings:
    settings = KafkaSettings(
        bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=f"test-{secrets.token_hex(6)}"
    )
    async with TopicsAdmin(settings) as admin:
        await admin.create(partitions=TEST_PARTITIONS)
    return settings


@pytest.fixture
async def kafka_settings(servers: Servers) -> KafkaSettings:
    """Kafka with topics of the test's own, two partitions each."""
    return await _new_topics(servers)


@pytest.fixture(scope="module")
async def file_kafka_settings(servers: Servers) -> KafkaSettings:
    """Likewise, for all those tests of a file that only read them."""
    return await _new_topics(servers)


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Logging is the process's, and commands that run in it configure it: the next test must hear all again."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def group() -> str:
    """A consumer group of the test's own."""
    return f"group-{secrets.token_hex(6)}"
