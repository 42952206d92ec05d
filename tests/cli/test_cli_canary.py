"""`arc-eval-db canary`: for people, for programs, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers import Worker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings
from support.lagging import consumer_settings

pytestmark = [pytest.mark.database, pytest.mark.kafka]


@pytest.fixture
def variables(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> dict[str, str]:
    return {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers or "",
        "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        "ARC_EVAL_CONSUMER_GROUP": group,
    }


@pytest.fixture
async def worker(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> AsyncIterator[None]:
    consuming = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0))
    running = asyncio.create_task(consuming.run())
    yield
    consuming.stop()
    await running


async def canary(variables: dict[str, str], *arguments: str) -> Result:
    """In a thread, as it runs an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["canary", *arguments], env=variables)


@pytest.mark.usefixtures("worker")
async def test_what_arrives_is_said_with_how_soon(variables: dict[str, str]) -> None:
    result = await canary(variables, "--once")
    assert (result.exit_code, result.stderr) == (0, "")
    assert " arrived: Kafka had 4 events after 0." in result.stdout
    result = await canary(variables, "--once", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    report: dict[str, Any] = json.loads(result.stdout)
    assert (report["result"], report["reason"], report["next_step"]) == ("arrived", None, None)
    assert report["seconds"] == max(event["visible_seconds"] for event in report["events"])
    assert [event["relation"] for event in report["events"]][2:] == ["tool_usage", "outcomes"]


@pytest.mark.parametrize(
    ("arguments", "changed", "exit_code", "said"),
    [
        (("--once", "--timeout", "0.2"), {}, 3, "next: arc-eval-db consume\n"),
        (("--once",), {"ARC_EVAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, 1, "database_away: "),
        (
            ("--once", "--timeout", "0.2"),
            {"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
            1,
            "not_acknowledged: Kafka has not taken 4 of 4 events in 0.2 s: cannot reach Kafka",
        ),
    ],
)
async def test_exit_codes_for_scripts(
    variables: dict[str, str],
    arguments: tuple[str, ...],
    changed: dict[str, str],
    exit_code: int,
    said: str,
) -> None:
    result = await canary(variables | changed, *arguments)
    assert (result.exit_code, said in result.output) == (exit_code, True), result.output


@pytest.mark.parametrize(
    ("arguments", "changed", "exit_code", "said"),
    [
        (("--once", "--interval", "1"), {}, 2, "--once goes with neither"),
        (("--timeout", "0"), {}, 2, "--timeout"),
        (("--once",), {"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": ""}, 1, "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set"),
        ((), {"ARC_EVAL_CANARY_INTERVAL_S": "never"}, 1, "ARC_EVAL_CANARY_INTERVAL_S"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], changed: dict[str, str], exit_code: int, said: str
) -> None:
    nowhere = {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "ARC_EVAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    result = await canary(nowhere | changed, *arguments)
    assert (result.exit_code, said in result.output) == (exit_code, True), result.output


async def test_a_port_that_is_taken_is_said(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = await canary(variables, "--metrics-port", str(port))
    assert result.exit_code == 1
    assert f"--metrics-port: cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr


async def test_it_goes_on_until_ctrl_c(variables: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "canary", "--interval", "0.1", "--timeout", "0.1", "--json"),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(2):
            assert json.loads(await process.stdout.readline())["result"] == "not_consumed"
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
