"""`arc-eval-db doctor --database`: what it prints, its exit codes, and that it shows no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.server_checks import Status
from support.databases import connect

SECRET = "s3cret-marker"

CHECKS = (
    *("version", "writable", "timescaledb", "vector", "uuid-ossp", "pg_stat_statements", "memory", "connections"),
    *("workers", "locks", "encryption", "user", "arc_eval_writer", "arc_eval_reader", "arc_eval_admin", "clock"),
    *("time zone", "size", "schema"),
)


def doctor(settings: DatabaseSettings | str, *arguments: str, **environment: str) -> Result:
    url = settings if isinstance(settings, str) else settings.database_url.get_secret_value()
    variables = {"ARC_EVAL_DATABASE_URL": url, **environment}
    return CliRunner().invoke(cli, ["doctor", "--database", *arguments], env=variables)


def findings(result: Result) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


@pytest.mark.database
def test_a_migrated_database_is_well(database: DatabaseSettings) -> None:
    result = doctor(database, "--json")
    found = findings(result)
    assert tuple(found) == CHECKS
    assert found["schema"]["status"] == "ok"
    assert all(finding["status"] in list(Status) for finding in found.values())
    assert all(finding["ok"] == (finding["status"] != "problem") for finding in found.values())
    assert all(finding["next_step"] for finding in found.values() if finding["status"] != "ok")
    # Only what the machine gives may be wanting here.
    problems = {check for check, finding in found.items() if finding["status"] == "problem"}
    assert problems <= {"connections"}
    assert result.exit_code == (3 if problems else 0)


@pytest.mark.database
def test_people_get_a_table(database: DatabaseSettings) -> None:
    result = doctor(database)
    assert "what to do" in result.output
    assert "arc_eval_reader" in result.output
    assert "kafka" not in result.output


@pytest.mark.database
def test_a_database_without_schema_is_a_problem_with_a_next_step(empty_database: DatabaseSettings) -> None:
    result = doctor(empty_database, "--json")
    assert result.exit_code == 3
    schema = findings(result)["schema"]
    assert (schema["status"], schema["ok"], schema["next_step"]) == ("problem", False, "arc-eval-db migrate up")


@pytest.fixture
async def read_only(database: DatabaseSettings) -> DatabaseSettings:
    name = database.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with await connect(database) as session:
        await session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    return database


@pytest.mark.database
def test_a_read_only_database_is_a_problem(read_only: DatabaseSettings) -> None:
    result = doctor(read_only)
    assert result.exit_code == 3
    assert "PROBLEM" in result.output
    assert "transactions are read-only" in result.output


@pytest.mark.parametrize(
    ("url", "found", "next_step"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "ConnectionRefusedError", "check the address"),
        (f"postgresql://u:{SECRET}@db.example.com/x", "sslmode=verify-full", "correct the setting"),
        (f"postgresql://u:{SECRET}@h@127.0.0.1/x", "percent-encoded", "correct the setting"),
        (f"mysql://u:{SECRET}@127.0.0.1/x", "it must begin with postgresql://", "correct the setting"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_problem_without_a_secret(
    url: str, found: str, next_step: str
) -> None:
    for arguments in ((), ("--json",)):
        result = doctor(url, *arguments)
        assert result.exit_code == 3
        assert SECRET not in result.output
        assert "Traceback" not in result.output
    (finding,) = findings(result).values()
    assert (finding["check"], finding["status"]) == ("database", "problem")
    assert found in finding["found"]
    assert next_step in finding["next_step"]


@pytest.mark.database
def test_a_refused_login_is_one_problem_without_a_secret(database_server: DatabaseSettings) -> None:
    server = database_server.database_url.get_secret_value().rpartition("@")[2]
    result = doctor(f"postgresql://no_such_user_here:{SECRET}@{server}", "--json")
    (finding,) = findings(result).values()
    assert (result.exit_code, finding["next_step"]) == (3, "check user, password and rights")
    assert SECRET not in result.output


@pytest.mark.database
def test_no_secret_is_shown_when_all_is_well(database: DatabaseSettings) -> None:
    """A server that trusts this machine takes any password: the marker stands in the URL that is connected to."""
    parts = database.database_url.get_secret_value().partition("@")
    if parts[0].count(":") > 1:
        pytest.skip("this server asks for its own password")
    result = doctor(f"{parts[0]}:{SECRET}@{parts[2]}")
    assert "arc_eval_writer" in result.output
    assert SECRET not in result.output
