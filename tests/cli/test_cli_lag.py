"""`arc-eval-db lag`: for people, for programs, live, and its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers import Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.events import event
from support.lagging import consumer_settings
from support.topics import delete_records, produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]


def environment(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> dict[str, str]:
    return {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
        "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
        "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        "ARC_EVAL_CONSUMER_GROUP": group,
    }


@pytest.fixture
def variables(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> dict[str, str]:
    return environment(kafka_settings, database, group)


@pytest.fixture
async def behind(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> TopicPartition:
    """A partition of which one event is read, and two are not."""
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED), 0)
    await produce(kafka_settings, partition, [event(TOOL_USED)])
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(2)])
    return partition


async def lag(variables: dict[str, str], *arguments: str) -> Result:
    """In a thread, as it runs an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["lag", *arguments], env=variables)


async def test_for_programs_every_figure_has_a_field(variables: dict[str, str], behind: TopicPartition) -> None:
    result = await lag(variables, "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    assert (report["state"], report["source"], report["workers"], report["lag_messages"]) == (
        "stopped",
        "database",
        0,
        2,
    )
    (partition,) = [each for each in report["partitions"] if (each["topic"], each["partition"]) == behind]
    assert partition["lag_seconds"] > 0
    assert partition["event_age_seconds"] > 0
    assert 0 < partition["retention_share"] < 1e-3
    expected = {
        "state": "stopped",
        "next_step": "arc-eval-db consume",
        "next_offset": 1,
        "log_start": 0,
        "log_end": 3,
        "lag_messages": 2,
        "lost_messages": 0,
        "in_per_second": None,
        "out_per_second": None,
        "catch_up_seconds": None,
    }
    assert {name: partition[name] for name in expected} == expected
    (topic,) = [each for each in report["topics"] if each["topic"] == behind.topic]
    assert (topic["state"], topic["lag_messages"]) == ("stopped", 2)
    assert topic["stages"]["emit_to_broker"]["count"] == 3
    assert topic["stages"]["broker_to_consumer"]["p50_s"] is None
    assert "no worker" in topic["stages"]["broker_to_consumer"]["why"]


async def test_for_people_it_says_why_and_what_to_do(variables: dict[str, str], behind: TopicPartition) -> None:
    result = await lag(variables, "--topic", behind.topic)
    assert result.exit_code == 0, result.output
    assert "total: 2 messages behind; 0 workers in the group" in result.output
    assert f"{behind}: stopped: no worker of the group has the partition" in result.output
    assert "next: arc-eval-db consume" in result.output
    assert "executions" not in result.output
    assert "\x1b" not in result.output, "plain in a pipe"


EXIT_CODES: Sequence[tuple[tuple[str, ...], int, str]] = (
    (("--max-lag", "1"), 3, "2 messages behind, more than 1"),
    (("--max-lag", "2"), 0, ""),
    (("--max-seconds", "0"), 3, "its oldest unread event has waited for"),
    (("--max-seconds", "3600"), 0, ""),
    (("--fail-on", "stopped"), 3, "stopped: no worker of the group has the partition"),
    (("--fail-on", "stalled", "--fail-on", "losing_data"), 0, ""),
    (("--topic", "nonsense"), 2, "--topic nonsense: there are "),
    (("--watch", "--max-lag", "1"), 2, "leave out --watch"),
    (("--fail-on", "nonsense"), 2, "'--fail-on'"),
)


@pytest.mark.usefixtures("behind")
async def test_exit_codes_for_scripts(variables: dict[str, str]) -> None:
    for arguments, exit_code, said in EXIT_CODES:
        result = await lag(variables, *arguments)
        assert (result.exit_code, said in result.stderr) == (exit_code, True), (arguments, result.output)


async def test_a_topic_that_is_not_there_is_no_group_that_is_well(variables: dict[str, str]) -> None:
    elsewhere = {**variables, "ARC_EVAL_TOPIC_PREFIX": "nowhere"}
    for arguments in (["--fail-on", "stopped"], ["--max-lag", "0"], ["--max-seconds", "5"]):
        result = await lag(elsewhere, *arguments)
        assert (result.exit_code, "nowhere.tool-usage: not there" in result.stderr) == (3, True), result.output
    result = await lag(elsewhere, "--json")
    assert (result.exit_code, len(json.loads(result.stdout)["missing_topics"])) == (0, 3)


async def test_without_the_database_it_shows_kafka_s_copy_and_fails(
    variables: dict[str, str], behind: TopicPartition
) -> None:
    away = variables | {"ARC_EVAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    result = await lag(away, "--json", "--topic", behind.topic)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["source"], report["lag_messages"]) == ("kafka", 2)
    assert "the offsets are Kafka's copy" in result.stderr


async def test_what_retention_took_is_said(
    kafka_settings: KafkaSettings, variables: dict[str, str], behind: TopicPartition
) -> None:
    await delete_records(kafka_settings, behind, before=2)
    result = await lag(variables, "--fail-on", "losing_data")
    assert result.exit_code == 3
    assert "retention has taken 1 messages that the group never read" in result.output


@pytest.mark.parametrize("arguments", [("--json",), ()])
async def test_watching_goes_on_until_ctrl_c(
    kafka_settings: KafkaSettings,
    session: Session,
    variables: dict[str, str],
    behind: TopicPartition,
    arguments: tuple[str, ...],
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "lag", "--watch", "0.2", "--topic", behind.topic, *arguments),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None

    async def next_total() -> int:
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode():
            if arguments:
                return int(json.loads(line)["lag_messages"])
            if line.startswith("total: "):
                return int(line.split()[1])
        raise AssertionError("it ended")

    async with asyncio.timeout(60):
        assert await next_total() == 2
        await produce(kafka_settings, behind, [event(TOOL_USED)])
        while await next_total() != 3:
            pass
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_on_a_terminal_it_is_drawn_until_ctrl_c(variables: dict[str, str], behind: TopicPartition) -> None:
    screen, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "lag", "--watch", "0.2", "--topic", behind.topic),
        env={**os.environ, **variables, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"},
        stdout=terminal,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(terminal)
    shown = b""
    try:
        async with asyncio.timeout(60):
            while b"total: 2 messages behind" not in shown or b"where the time goes" not in shown:
                shown += await asyncio.to_thread(os.read, screen, 65_536)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # how a terminal whose other side is closed ends
                while await asyncio.to_thread(os.read, screen, 65_536):
                    pass
            _, errors = await process.communicate()
    finally:
        os.close(screen)
    assert (process.returncode, errors) == (0, b"")
    assert b"\x1b[" in shown
