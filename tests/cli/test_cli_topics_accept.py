"""`arc-eval-db topics accept`: what it shows, asks and changes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetStore, StoredPosition, TopicPartition
from support.databases import connect
from support.events import event
from support.topics import create_topic, delete_topic, produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]


@pytest.fixture
def topic(kafka_settings: KafkaSettings) -> str:
    return TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)


@pytest.fixture
async def read(kafka_settings: KafkaSettings, database: DatabaseSettings, topic: str, group: str) -> None:
    """The group has read five records of the topic's first partition and two of its second."""
    for number, count in enumerate((5, 2)):
        await produce(kafka_settings, TopicPartition(topic, number), [event(TOOL_USED) for _ in range(count)])
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1)
    await asyncio.wait_for(Worker(kafka_settings, database, settings, until_caught_up=True).run(), 60)


@pytest.fixture
async def deleted(read: None, kafka_settings: KafkaSettings, topic: str) -> None:
    """And then the topic is deleted."""
    await delete_topic(kafka_settings, topic)


@pytest.fixture
async def recreated(deleted: None, kafka_settings: KafkaSettings, topic: str) -> None:
    """And made anew with one partition, where six records are."""
    await create_topic(kafka_settings, topic, 1)
    await produce(kafka_settings, TopicPartition(topic, 0), [event(TOOL_USED) for _ in range(6)])


class Command:
    """The command for the test's group and topic."""

    def __init__(self, kafka: KafkaSettings, database: DatabaseSettings, topic: str, group: str) -> None:
        self.arguments = ["topics", "accept", topic, "--group", group]
        self.environment = {
            "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
            "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        }
        self.database, self.offsets, self.topic = database, OffsetStore(group), topic

    def run(self, *options: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, [*self.arguments, *options], env=self.environment, input=answer)

    def stored(self) -> tuple[list[StoredPosition], list[dict[str, Any]]]:
        """Where the group stands, partition by partition, and its gaps."""

        async def read(session: Session) -> tuple[list[StoredPosition], list[dict[str, Any]]]:
            positions = await self.offsets.read_topic(session, self.topic)
            gaps = await session.fetch("SELECT * FROM log_gaps ORDER BY partition")
            return [positions[partition] for partition in sorted(positions)], [dict(row) for row in gaps]

        async def work() -> tuple[list[StoredPosition], list[dict[str, Any]]]:
            async with await connect(self.database) as session:
                return await read(session)

        return asyncio.run(work())


@pytest.fixture
def accept(kafka_settings: KafkaSettings, database: DatabaseSettings, topic: str, group: str) -> Command:
    return Command(kafka_settings, database, topic, group)


def test_it_shows_asks_and_begins_again(recreated: None, accept: Command) -> None:
    before = accept.stored()
    assert [position.next_offset for position in before[0]] == [5, 2]
    refused = accept.run(answer="n\n")
    assert refused.exit_code == 1
    shown = [line.split() for line in refused.stdout.splitlines()]
    assert ["0", "5", "0", "6", "another", "one", "(topic_recreated)", "begins", "again"] in shown
    assert ["1", "2", "-", "-", "gone", "begins", "again"] in shown
    assert accept.stored() == before
    assert accept.run().exit_code == 1, "nobody to ask"
    assert accept.stored() == before
    accepted = accept.run(answer="y\n")
    assert (accepted.exit_code, "accepted: partition 0, 1: the group begins" in accepted.stdout) == (0, True)
    positions, gaps = accept.stored()
    assert positions == [StoredPosition(0, None), StoredPosition(0, None)]
    assert [(gap["partition"], gap["first_offset"], gap["end_offset"], gap["reason"]) for gap in gaps] == [
        (0, 5, None, "recreated"),
        (1, 2, None, "recreated"),
    ]
    again = accept.run()
    assert (again.exit_code, "nothing to accept" in again.stdout) == (0, True)
    assert len(accept.stored()[1]) == 2


def test_programs_say_yes_and_read_json(recreated: None, accept: Command) -> None:
    result = accept.run("--yes", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["partitions"] == [
        {
            "partition": 0,
            "next_offset": 5,
            "log_start": 0,
            "log_end": 6,
            "finding": "topic_recreated",
            "accepted": True,
        },
        {
            "partition": 1,
            "next_offset": 2,
            "log_start": None,
            "log_end": None,
            "finding": None,
            "accepted": True,
        },
    ]
    assert accept.stored()[0] == [StoredPosition(0, None), StoredPosition(0, None)]


def test_a_topic_that_is_the_same_needs_nothing(read: None, accept: Command) -> None:
    before = accept.stored()
    result = accept.run()
    assert (result.exit_code, "nothing to accept" in result.stdout) == (0, True)
    assert result.stdout.count("the same") == result.stdout.count("stays") == 2
    report = json.loads(accept.run("--yes", "--json").stdout)
    assert [one["accepted"] for one in report["partitions"]] == [False, False]
    assert accept.stored() == before


def test_a_topic_that_is_not_there_is_refused(deleted: None, accept: Command) -> None:
    before = accept.stored()
    result = accept.run("--yes")
    assert (result.exit_code, "does not exist" in result.stderr) == (1, True)
    assert accept.stored() == before


def test_a_group_that_never_read_the_topic_is_refused(recreated: None, accept: Command) -> None:
    accept.arguments[-1] = "another-group"
    result = accept.run("--yes")
    assert (result.exit_code, "another-group has never read the topic" in result.stderr) == (1, True)
