"""Every command: what it prints for people and for programs, and its exit codes."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.cli.running import command
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.migrations import load_migrations
from arc_eval_db.migrations.edition import Edition
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings, execution
from arc_eval_db.settings import KafkaSettings
from support.databases import connect
from support.servers import Servers

pytestmark = [pytest.mark.database, pytest.mark.kafka]

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command; keyword arguments are environment variables without their prefix."""

    def run(*arguments: str, **environment: str | None) -> Result:
        variables = {f"ARC_EVAL_{name}": value for name, value in environment.items()}
        return CliRunner().invoke(cli, arguments, env=variables)

    return run


def database_url(settings: DatabaseSettings) -> str:
    return settings.database_url.get_secret_value()


def output(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["local"],
        ["migrate"],
        ["topics"],
        ["consume"],
        ["lag"],
        ["doctor"],
        ["demo"],
        ["local", "up"],
        ["migrate", "down"],
    ],
)
def test_help_says_what_it_is_for(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert len(result.output.splitlines()) > 4


def test_what_an_error_quotes_does_not_steer_the_terminal() -> None:
    @click.command()
    @command
    def fails() -> None:
        raise ArcEvalError("tags such as \x1b[31mred\nare not taken")

    result = CliRunner().invoke(fails, color=True)
    assert (result.exit_code, result.stderr) == (1, "arc-eval-db: tags such as \\x1b[31mred\nare not taken\n")


def test_a_command_does_not_wait_for_the_others() -> None:
    code = "import sys; from arc_eval_db.cli.commands import cli; cli(['lag', '--help'], standalone_mode=False);"
    code += "print([name for name in sorted(sys.modules) if name.startswith('arc_eval_db.configurations')], cli.name)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.endswith("[] cli\n")


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").output.startswith("arc-eval-db ")


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["consume"], "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"),
        (["lag"], "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"),
        (["topics", "list"], "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"),
        (["migrate", "status"], "ARC_EVAL_DATABASE_URL"),
    ],
)
def test_a_missing_setting_is_one_line_with_the_next_step(
    invoke: Invoke, arguments: list[str], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments == ["consume"]:
        monkeypatch.setenv("ARC_EVAL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"arc-eval-db: {variable} is not set; ")
    assert "arc-eval-db local up" in result.stderr
    assert "Traceback" not in result.output


def test_migrate_up_status_verify_down(invoke: Invoke, empty_database: DatabaseSettings) -> None:
    url = database_url(empty_database)
    missing = output(invoke("migrate", "status", "--json", DATABASE_URL=url), exit_code=3)
    labels = [migration.label for migration in load_migrations(Edition(missing["edition"]))]
    assert [row["state"] for row in missing["migrations"]] == ["missing"] * len(labels)

    assert output(invoke("migrate", "up", "--json", DATABASE_URL=url)) == {"applied": labels}
    again = invoke("migrate", "up", DATABASE_URL=url)
    assert (again.exit_code, again.output) == (0, "nothing to do\n")
    assert "applied" in invoke("migrate", "status", DATABASE_URL=url).output
    assert output(invoke("migrate", "verify", "--json", DATABASE_URL=url)) == {"same": True, "difference": []}
    assert invoke("migrate", "verify", DATABASE_URL=url).output == "the schema is this release's\n"

    asked = invoke("migrate", "down", "--to", "0", DATABASE_URL=url)
    assert asked.exit_code == 1, "without a yes nothing is dropped"
    assert output(invoke("migrate", "down", "--to", "0", "--yes", "--json", DATABASE_URL=url)) == {
        "undone": labels[::-1]
    }
    assert output(invoke("migrate", "status", "--json", DATABASE_URL=url), exit_code=3)


async def drop_index(settings: DatabaseSettings) -> None:
    async with await connect(settings) as session:
        await session.execute("DROP INDEX outcomes_execution_id_idx")
        await session.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1")


@pytest.fixture
async def drifted(database: DatabaseSettings) -> DatabaseSettings:
    await drop_index(database)
    return database


def test_migrate_names_drift(invoke: Invoke, drifted: DatabaseSettings) -> None:
    url = database_url(drifted)
    result = invoke("migrate", "verify", DATABASE_URL=url)
    assert result.exit_code == 3
    removed = [line for line in result.output.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert removed == ["-CREATE INDEX outcomes_execution_id_idx ON outcomes USING btree (execution_id);"]
    status = invoke("migrate", "status", DATABASE_URL=url)
    assert (status.exit_code, "changed after it was applied" in status.output) == (3, True)
    up = invoke("migrate", "up", DATABASE_URL=url)
    assert (up.exit_code, "put the change into a new migration" in up.stderr) == (1, True)


def test_topics(invoke: Invoke, servers: Servers) -> None:
    where: dict[str, Any] = {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "TOPIC_PREFIX": f"cli-{secrets.token_hex(4)}",
    }
    missing = invoke("topics", "list", **where)
    assert (missing.exit_code, missing.output.count("missing; run: arc-eval-db topics create")) == (3, 3)
    created = output(invoke("topics", "create", "--partitions", "2", "--json", **where))
    assert len(created["created"]) == 3
    assert invoke("topics", "create", **where).output == "every topic exists already\n"
    listed = output(invoke("topics", "list", "--json", **where))
    assert [(topic["exists"], topic["partitions"], topic["drift"]) for topic in listed] == [(True, 2, {})] * 3
    assert invoke("topics", "list", **where).exit_code == 0


@pytest.fixture
def pipeline(kafka_settings: KafkaSettings, database: DatabaseSettings) -> dict[str, Any]:
    """The variables of a pipeline with three executions in its log."""
    producer = ProducerSettings(EmitterSettings(transport="kafka"), kafka_settings, "/sandboxes/cli", None)
    with EventEmitter(settings=producer) as emitter:
        for number in range(3):
            with execution(f"scenario {number}", {"name": "cli"}, "from the cli", emitter=emitter) as run:
                run.progress("at work")
        assert emitter.flush(20).complete
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "TOPIC_PREFIX": kafka_settings.topic_prefix,
        "DATABASE_URL": database_url(database),
    }


def test_consume_and_lag(invoke: Invoke, pipeline: dict[str, Any], group: str) -> None:
    behind = output(invoke("lag", "--group", group, "--json", **pipeline))
    assert (behind["lag_messages"], behind["lost_messages"], len(behind["partitions"])) == (9, 0, 6)
    assert invoke("lag", "--group", group, "--max-lag", "0", **pipeline).exit_code == 3

    consumed = invoke("consume", "--group", group, "--until-caught-up", "--log-level", "error", **pipeline)
    assert consumed.exit_code == 0, consumed.output
    assert consumed.stdout.startswith("9 records: 9 rows, 0 duplicates, 0 dead letters, in ")
    again = output(
        invoke("consume", "--group", group, "--until-caught-up", "--json", "--log-level", "error", **pipeline)
    )
    assert (again["records"], again["caught_up"]) == (0, True)

    shown = invoke("lag", "--group", group, "--max-lag", "0", **pipeline)
    assert (shown.exit_code, "total: 0 messages behind" in shown.output) == (0, True)


def test_consume_refuses_wrong_options(invoke: Invoke, pipeline: dict[str, Any]) -> None:
    loud = invoke("consume", "--log-level", "loud", **pipeline)
    assert (loud.exit_code, "'--log-level'" in loud.stderr) == (2, True)
    empty = invoke("consume", "--batch-records-max", "0", **pipeline)
    assert (empty.exit_code, "'--batch-records-max'" in empty.stderr) == (2, True)
    taken = invoke("consume", "--http-port", "1", "--until-caught-up", "--log-level", "error", **pipeline)
    if taken.exit_code:  # as root, port 1 can be had
        assert "ARC_EVAL_CONSUMER_HTTP_PORT: cannot listen on 127.0.0.1:1" in taken.stderr


def test_lag_without_topics_names_the_next_step(invoke: Invoke, pipeline: dict[str, Any]) -> None:
    result = invoke("lag", **{**pipeline, "TOPIC_PREFIX": "none-here"})
    assert (result.exit_code, "arc-eval-db topics create" in result.output) == (0, True)


def test_doctor_finds_everything_well(invoke: Invoke, pipeline: dict[str, Any]) -> None:
    findings = output(invoke("doctor", "--json", **pipeline))
    assert {finding["check"]: finding["ok"] for finding in findings} == dict.fromkeys(
        ("python", "extra [local]", "kafka", "topics", "database", "schema", "clock"), True
    )


def test_doctor_names_a_next_step_for_each_problem(
    invoke: Invoke, pipeline: dict[str, Any], empty_database: DatabaseSettings
) -> None:
    broken = {**pipeline, "TOPIC_PREFIX": "none-here", "DATABASE_URL": database_url(empty_database)}
    findings = {finding["check"]: finding for finding in output(invoke("doctor", "--json", **broken), exit_code=3)}
    assert (findings["topics"]["ok"], findings["topics"]["next_step"]) == (False, "arc-eval-db topics create")
    assert (findings["schema"]["ok"], findings["schema"]["next_step"]) == (False, "arc-eval-db migrate up")
    nothing = invoke("doctor")
    assert (nothing.exit_code, nothing.output.count("PROBLEM")) == (3, 2)


def test_doctor_shows_no_secret(invoke: Invoke) -> None:
    result = invoke(
        "doctor",
        DATABASE_URL="postgresql://someone:s3cret@127.0.0.1:1/none",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        KAFKA_REQUEST_TIMEOUT_MS="500",
    )
    assert result.exit_code == 3
    assert "s3cret" not in result.output
