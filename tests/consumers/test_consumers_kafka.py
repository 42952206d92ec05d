"""Topics and the log reader, on a real broker."""

from __future__ import annotations

import secrets

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from arc_eval_db.consumers.kafka import KafkaUnavailableError, LogReader, OffsetOutOfRangeError, TopicsAdmin
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.errors import SettingsError
from arc_eval_db.replay import read_all
from arc_eval_db.schemas.topics import TOPICS, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition
from support.conditions import eventually
from support.servers import Servers

pytestmark = pytest.mark.kafka


async def produce(settings: KafkaSettings, topic: str, values: list[bytes], *, transactional: bool = False) -> None:
    """Values into partition 0; in transactions, each of which leaves a marker that is no record."""
    options = {"transactional_id": secrets.token_hex(4)} if transactional else {}
    producer = aiokafka.AIOKafkaProducer(**settings.client_options(), **options)
    await producer.start()
    try:
        for value in values:
            if transactional:
                async with producer.transaction():
                    await producer.send_and_wait(topic, value, partition=0)
            else:
                await producer.send_and_wait(topic, value, key=b"k", headers=[("h", b"v")], partition=0)
    finally:
        await producer.stop()


async def read(settings: KafkaSettings, partition: TopicPartition, offsets: OffsetRange) -> list[LogRecord]:
    async with LogReader(settings) as reader:
        return [record async for records in reader.read({partition: offsets}) for record in records]


async def test_create_makes_the_registry_and_then_nothing(servers: Servers) -> None:
    settings = KafkaSettings(
        bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=f"t-{secrets.token_hex(4)}"
    )
    async with TopicsAdmin(settings) as admin:
        assert [state.exists for state in await admin.states()] == [False] * len(TOPICS)
        assert await admin.create(partitions=3) == list(TopicNames(settings.topic_prefix).all)
        assert await admin.create(partitions=5) == []
        states = await admin.states()
    assert [(state.partitions, state.replication, state.drift) for state in states] == [(3, 1, {})] * len(TOPICS)


async def test_a_topic_set_otherwise_is_shown(kafka_settings: KafkaSettings) -> None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    name = TopicNames(kafka_settings.topic_prefix).all[0]
    client = AIOKafkaAdminClient(**kafka_settings.client_options())
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000"})])
    finally:
        await client.close()
    async with TopicsAdmin(kafka_settings) as admin:

        async def is_shown() -> bool:
            state = next(state for state in await admin.states() if state.name == name)
            return state.drift.get("retention.ms") == (str(TOPICS[0].retention_ms), "1000")

        await eventually(is_shown, "the other retention is shown")


async def test_records_come_as_they_were_sent(kafka_settings: KafkaSettings) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, partition.topic, [b"a", b"b", b"c"])
    records = await read(kafka_settings, partition, OffsetRange(0, 3))
    assert [(record.offset, record.value) for record in records] == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert {(record.key, record.headers) for record in records} == {(b"k", (("h", b"v"),))}
    assert records[0].timestamp_ms > 1_700_000_000_000


@pytest.mark.parametrize(("first", "end", "expected"), [(1, 2, [b"b"]), (0, 0, []), (2, 3, [b"c"])])
async def test_a_range_has_an_end(kafka_settings: KafkaSettings, first: int, end: int, expected: list[bytes]) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, partition.topic, [b"a", b"b", b"c"])
    assert [record.value for record in await read(kafka_settings, partition, OffsetRange(first, end))] == expected


async def test_a_tail_without_records_ends_too(kafka_settings: KafkaSettings) -> None:
    """The log's last offset is a transaction's marker: waiting for one more record would never end."""
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, partition.topic, [b"a", b"b"], transactional=True)
    async with LogReader(kafka_settings) as reader:
        bounds = (await reader.bounds([partition]))[partition]
    assert (bounds.start, bounds.end) == (0, 4)
    records = [record async for batch in read_all(kafka_settings, [partition.topic]) for record in batch]
    assert [(record.offset, record.value) for record in records] == [(0, b"a"), (2, b"b")]


async def test_what_retention_took_cannot_be_read(kafka_settings: KafkaSettings) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, partition.topic, [b"a", b"b", b"c"])
    client = AIOKafkaAdminClient(**kafka_settings.client_options())
    await client.start()
    try:
        await client.delete_records({aiokafka.TopicPartition(*partition): RecordsToDelete(before_offset=2)})
    finally:
        await client.close()
    async with LogReader(kafka_settings) as reader:
        assert (await reader.bounds([partition]))[partition].start == 2
    with pytest.raises(OffsetOutOfRangeError, match=rf"{partition.topic}/0 at 0"):
        await read(kafka_settings, partition, OffsetRange(0, 3))


async def test_topics_that_do_not_exist_have_no_partitions(kafka_settings: KafkaSettings) -> None:
    async with LogReader(kafka_settings) as reader:
        assert await reader.partitions(["no-such-topic"]) == []
        assert await reader.bounds([]) == {}


@pytest.mark.parametrize("client", [LogReader, TopicsAdmin])
async def test_nobody_listening_is_said_so(client: type[LogReader] | type[TopicsAdmin]) -> None:
    with pytest.raises(KafkaUnavailableError, match="while connecting"):
        async with client(KafkaSettings(bootstrap_servers="127.0.0.1:1")):
            pass


def test_no_servers_names_the_variable() -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set"):
        LogReader(KafkaSettings())
