"""`arc-eval-db alerts`: the rules, a trial of the receivers, and a process that watches."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers.alerts import AlertSettings, alert_rules
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.alert_receivers import HttpReceiver
from support.conditions import eventually
from support.events import event
from support.topics import produce


async def alerts(*arguments: str, **variables: str) -> Result:
    """In a thread, as it may run an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["alerts", *arguments], env=variables)


async def test_the_rules_are_listed_with_the_thresholds_that_are_set() -> None:
    result = await alerts("rules", "--json", ARC_EVAL_ALERT_LAG_S="600")
    listed = {rule["name"]: rule for rule in json.loads(result.stdout)}
    assert list(listed) == [rule.name for rule in alert_rules(AlertSettings())]
    assert listed["ArcEvalLagHigh"]["opens_at"] == 600
    for_people = await alerts("rules")
    assert for_people.exit_code == 0
    assert "ArcEvalLagHigh" in for_people.stdout
    written = await alerts("rules", "--prometheus", ARC_EVAL_ALERT_LAG_S="600")
    (group,) = yaml.safe_load(written.stdout)["groups"]
    assert "arc_eval_pipeline_lag_seconds) > 600" in group["rules"][0]["expr"]


async def test_a_test_message_says_what_became_of_it() -> None:
    async with HttpReceiver() as webhook, HttpReceiver(b"HTTP/1.1 403 No\r\n\r\n") as slack:
        result = await alerts(
            *("test", "--json"),
            ARC_EVAL_ALERT_WEBHOOK_URL=webhook.url("/s3cret"),
            ARC_EVAL_ALERT_SLACK_URL=slack.url("/s3cret"),
        )
    assert (result.exit_code, json.loads(result.stdout)) == (
        3,
        [
            {"receiver": "webhook", "taken": True, "error": None},
            {"receiver": "slack", "taken": False, "error": "it answered 403"},
        ],
    )
    assert (webhook.documents[0]["test"], len(slack.requests)) == (True, 1)
    assert "s3cret" not in result.output


async def test_without_a_receiver_the_next_step_is_said() -> None:
    result = await alerts("test")
    assert result.exit_code == 1
    assert "ARC_EVAL_ALERT_WEBHOOK_URL" in result.stderr


@pytest.mark.kafka
@pytest.mark.database
async def test_a_group_that_nobody_consumes_is_told(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    await produce(kafka_settings, TopicPartition(topic, 0), [event(TOOL_USED)])
    environment: dict[str, Any] = {
        **os.environ,
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers or "",
        "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        "ARC_EVAL_MONITOR_LAG_INTERVAL_S": "0.5",
        "ARC_EVAL_ALERT_INTERVAL_S": "0.1",
        "ARC_EVAL_ALERT_STATE_FOR_S": "0",
    }
    async with HttpReceiver() as server:
        environment["ARC_EVAL_ALERT_WEBHOOK_URL"] = server.url()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "arc_eval_db.cli", "alerts", "run", "--group", group),
            env=environment,
            stderr=PIPE,
        )
        try:
            await eventually(lambda: any(told["rule"] == "ArcEvalStopped" for told in server.documents), "it is told")
            process.send_signal(signal.SIGTERM)
            _, stderr = await asyncio.wait_for(process.communicate(), 30)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, stderr.decode()
    (stopped,) = [told for told in server.documents if told["rule"] == "ArcEvalStopped"]
    assert stopped["labels"] == {"group": group, "topic": topic}
