"""`arc-eval-db health`: what it prints, for people and programs, and its exit codes."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.health import CHECK_NAMES, DatabaseHealthChecker, HealthReport
from arc_eval_db.migrations import Edition
from support.databases import connect

SHOWN = [name for name in CHECK_NAMES if name != "pool"]


def health(settings: DatabaseSettings | str, *arguments: str, **variables: str) -> Result:
    url = settings if isinstance(settings, str) else settings.database_url.get_secret_value()
    environment = {
        "ARC_EVAL_DATABASE_URL": url,
        "ARC_EVAL_HEALTH_SAMPLE_S": "0.01",
        # The tests' server is shared: what others do there is not to be judged.
        "ARC_EVAL_HEALTH_CONNECTIONS_WARN_SHARE": "1",
        "ARC_EVAL_HEALTH_CONNECTIONS_CRITICAL_SHARE": "1",
        **{f"ARC_EVAL_HEALTH_{name}": value for name, value in variables.items()},
    }
    return CliRunner().invoke(cli, ["health", *arguments], env=environment)


@pytest.fixture
async def with_a_letter(database: DatabaseSettings) -> DatabaseSettings:
    async with await connect(database) as session:
        await session.execute(
            "INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail,"
            " headers, consumer_group, consumer_version)"
            " VALUES ('t', 0, 0, now(), E'odd\\x1b[31m', 'e', 'd', '[]', 'g', 'v')"
        )
    return database


@pytest.mark.database
def test_programs_get_json(database: DatabaseSettings, edition: Edition) -> None:
    result = health(database, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert [check["check"] for check in report["checks"]] == SHOWN
    assert report["edition"] == edition
    assert bool(report["lost_without_timescaledb"]) is (edition is Edition.POSTGRESQL)


@pytest.mark.database
def test_people_get_a_table_and_what_is_lost(database: DatabaseSettings, edition: Edition) -> None:
    result = health(database)
    assert result.exit_code == 0, result.output
    assert "what to do" in result.output
    assert all(name in result.output for name in SHOWN)
    lost = result.output.count("without TimescaleDB: no ")
    assert lost == (0 if edition is Edition.TIMESCALEDB else 3)


@pytest.mark.database
@pytest.mark.parametrize(
    ("arguments", "critical", "exit_code"),
    [((), "2", 0), (("--fail-on", "warn"), "2", 3), ((), "1", 3), (("--fail-on", "critical"), "1", 3)],
)
def test_the_exit_code_is_what_was_asked_for(
    with_a_letter: DatabaseSettings, arguments: tuple[str, ...], critical: str, exit_code: int
) -> None:
    result = health(with_a_letter, "--only", "dead_letters", *arguments, DEAD_LETTERS_CRITICAL=critical)
    assert result.exit_code == exit_code, result.output
    assert "arc-eval-db dead-letters list" in result.output
    assert "\x1b" not in result.output


def test_a_server_that_is_away_is_code_3_and_shows_no_secret() -> None:
    result = health("postgresql://u:s3cret@127.0.0.1:1/x", "--only", "server")
    assert (result.exit_code, "s3cret" in result.output) == (3, False)
    assert "critical" in result.output


@pytest.mark.database
def test_watching_goes_on_until_it_is_interrupted(database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check, looks = DatabaseHealthChecker.check, 0

    async def three_times(checker: DatabaseHealthChecker, only: tuple[str, ...]) -> HealthReport:
        nonlocal looks
        looks += 1
        if looks > 3:
            raise asyncio.CancelledError
        return await check(checker, only)

    monkeypatch.setattr(DatabaseHealthChecker, "check", three_times)
    result = health(database, "--only", "locks", "--only", "throughput", "--watch", "0.1", "--json")
    assert result.exit_code == 130
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [len(report["checks"]) for report in reports] == [3, 3, 3], "the server, and the two"


@pytest.mark.database
def test_writes_are_benchmarked_on_demand(database: DatabaseSettings) -> None:
    measured = json.loads(health(database, "--benchmark-writes", "500", "--json").stdout)
    assert (measured["rows"], measured["rows_per_s"] > 0) == (500, True)
    shown = health(database, "--benchmark-writes", "500")
    assert (shown.exit_code, "nothing remains" in shown.output) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--only", "moon"),
        ("--fail-on", "unknown"),
        ("--benchmark-writes", "0"),
        ("--benchmark-writes", "5", "--only", "locks"),
        ("--watch", "0"),
    ],
)
def test_wrong_usage_is_refused(arguments: tuple[str, ...]) -> None:
    assert health("postgresql://u:p@127.0.0.1:1/x", *arguments).exit_code == 2


def test_a_wrong_threshold_names_its_variable() -> None:
    result = health("postgresql://u:p@127.0.0.1:1/x", QUERY_WARN_S="soon")
    assert (result.exit_code, "ARC_EVAL_HEALTH_QUERY_WARN_S" in result.output) == (1, True)
