"""`arc-eval-db migrate policies`: what it lists, changes, asks and refuses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition

pytestmark = pytest.mark.database


def policies(database: DatabaseSettings, *arguments: str, answer: str | None = None) -> Result:
    environment = {"ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value()}
    return CliRunner().invoke(cli, ["migrate", "policies", *arguments], env=environment, input=answer)


def listed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {policy.pop("relation"): policy for policy in json.loads(result.stdout)["policies"]}


def test_all_policies_are_listed(database: DatabaseSettings, edition: Edition) -> None:
    result = policies(database, "--json")
    assert json.loads(result.stdout)["edition"] == edition
    found = listed(result)
    assert found["outcomes"] == {"compress_after_days": 7, "drop_after_days": 365}
    assert found["outcomes_daily"] == {"compress_after_days": None, "drop_after_days": None}
    table = policies(database)
    assert ("only recorded: without TimescaleDB" in table.stderr) == (edition is Edition.POSTGRESQL)
    assert "365 days" in table.stdout
    assert "never" in table.stdout


@pytest.mark.parametrize(("age", "days"), [("180d", 180), ("26 weeks", 182), ("never", None), (" 90 Days", 90)])
def test_a_policy_is_changed(database: DatabaseSettings, age: str, days: int | None) -> None:
    result = policies(database, "tool_usage", "--drop-after", age, "--json")
    assert listed(result) == {"tool_usage": {"compress_after_days": 7, "drop_after_days": days}}
    assert listed(policies(database, "tool_usage", "--compress-after", "3d", "--json")) == {
        "tool_usage": {"compress_after_days": 3, "drop_after_days": days}
    }


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("tool_usage", "--drop-after", "soon"), 2, "not an age: whole days or weeks such as 90d or 12w, or never"),
        (("--drop-after", "90d"), 2, "name the table: arc-eval-db migrate policies TABLE --drop-after 90d"),
        (("tools", "--drop-after", "90d"), 1, "tools: not a table with a policy; there are consumer_lag_samples, "),
        (("tool_usage", "--drop-after", "3d"), 1, "tool_usage: must be kept for at least 7 days"),
    ],
)
def test_what_cannot_be_is_refused(
    database: DatabaseSettings, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = policies(database, *arguments)
    assert (result.exit_code, message in result.output) == (exit_code, True), result.output
    assert listed(policies(database, "tool_usage", "--json"))["tool_usage"]["drop_after_days"] == 90


async def test_a_shorter_life_asks_before_rows_are_dropped(
    timescaledb: None, database: DatabaseSettings, session: Session
) -> None:
    await session.execute(
        "INSERT INTO consumer_lag_samples SELECT now() - age * INTERVAL '1 day', 'g', 't', 0, 0, 0, 0, 0"
        " FROM generate_series(0, 9) AS age"
    )
    table = "consumer_lag_samples"

    async def run(*arguments: str, answer: str | None = None) -> Result:
        return await asyncio.to_thread(policies, database, table, *arguments, answer=answer)

    refused = await run("--drop-after", "2d", answer="n\n")
    assert refused.exit_code == 1
    assert "chunks of consumer_lag_samples are older than that and will be dropped. Go on?" in refused.output
    assert listed(await run("--json"))[table]["drop_after_days"] == 14
    assert listed(await run("--drop-after", "2d", "--yes", "--json"))[table]["drop_after_days"] == 2
