"""Lag is right where other exporters are reported wrong: idle, bursty, stopped and replaying topics; and in between."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import aiokafka
import orjson
import pytest
from pydantic import SecretStr

from arc_eval_db.consumers import Worker
from arc_eval_db.consumers.lag import LagSettings, LagState, LagWatcher
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.events import event
from support.lagging import HOUR_S, consumer_settings, dated_topics, look, member, of, stand_at
from support.proxy import TcpProxy
from support.topics import delete_records, produce, produce_at, recreate_topic

pytestmark = [pytest.mark.database, pytest.mark.kafka]


def tools(kafka: KafkaSettings, partition: int = 0) -> TopicPartition:
    return TopicPartition(TopicNames(kafka.topic_prefix).of_type(TOOL_USED), partition)


async def test_an_idle_topic_is_zero_seconds_behind_and_stays_so(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    """Elsewhere the time lag of an idle producer grows with every poll."""
    kafka = await dated_topics(kafka_settings)
    await produce_at(kafka, tools(kafka), [(time.time() - HOUR_S, event(TOOL_USED))])
    await Worker(kafka, database, consumer_settings(group), until_caught_up=True).run()
    for _ in range(2):
        found = of(await look(kafka, database, group), tools(kafka))
        assert (found.lag_messages, found.lag_s, found.event_age_s, found.catch_up_s) == (0, 0, 0, 0)
        assert (found.verdict.state, found.retention_share) == (LagState.OK, 0)


async def test_a_burst_is_as_old_as_its_oldest_event(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """Elsewhere it is interpolated between what was seen before and after the burst."""
    kafka = await dated_topics(kafka_settings)
    now, partition = time.time(), tools(kafka)
    ages_s = (10 * HOUR_S, 2 * HOUR_S, HOUR_S, 1.0)
    await produce_at(kafka, partition, [(now - age_s, event(TOOL_USED)) for age_s in ages_s])
    await stand_at(session, group, partition, [0, 1])
    burst = of(await look(kafka, database, group), partition)
    assert burst.lag_messages == 3
    assert burst.lag_s is not None
    assert 2 * HOUR_S <= burst.lag_s < 3 * HOUR_S
    await stand_at(session, group, partition, [1, 2])
    later = of(await look(kafka, database, group), partition)
    assert later.lag_messages == 2
    assert later.lag_s is not None
    assert HOUR_S <= later.lag_s < 2 * HOUR_S


async def test_the_lag_of_a_stopped_group_goes_on_growing(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    """Elsewhere it is frozen at the last commit."""
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED)])
    never = of(await look(kafka_settings, database, group), partition)
    assert (never.verdict.state, never.lag_messages) == (LagState.STOPPED, 1)
    assert "the group has never consumed it" in never.verdict.reason
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    seen = []
    for _ in range(2):
        await produce(kafka_settings, partition, [event(TOOL_USED)])
        seen.append(of(await look(kafka_settings, database, group), partition))
    assert [each.lag_messages for each in seen] == [1, 2]
    assert {each.verdict.state for each in seen} == {LagState.STOPPED}
    assert seen[0].verdict.next_step == "arc-eval-db consume"
    first_s, second_s = (each.lag_s or 0 for each in seen)
    assert second_s > first_s > 0


async def test_a_replay_is_shown_and_is_no_age(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """Elsewhere a topic that is written again looks to be as far behind as its events are old."""
    partition = tools(kafka_settings)
    old = event(TOOL_USED, time=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    async with member(kafka_settings, group):
        await produce(kafka_settings, partition, [old])
        job = ids.uuid7()
        await session.execute(
            "INSERT INTO replay_jobs (id, requested_by, plan, status) VALUES ($1, 'me', $2::jsonb, 'running')",
            job,
            orjson.dumps(
                {"target": "topic", "topic": partition.topic, "partitions": [{"topic": "x", "partition": 0}]}
            ).decode(),
        )
        killed = of(await look(kafka_settings, database, group), partition)
        assert killed.verdict.state is LagState.OK, "its process is gone, whatever its status says"
        await session.execute(
            "SELECT pg_advisory_lock(hashtextextended('arc-eval-db replay ' || $1::text, 0))", str(job)
        )
        found = of(await look(kafka_settings, database, group), partition)
    assert found.verdict.state is LagState.REPLAYING
    assert f"replay {job} to topic is running; the group itself: " in found.verdict.reason
    assert found.lag_s is not None
    assert found.event_age_s is not None
    assert found.lag_s < HOUR_S < 86_400 <= found.event_age_s


async def test_the_lag_of_a_paused_consumer_appears_grows_and_goes(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    """The breaker opens as the worker's way to the database is cut; whoever looks has another way."""
    partition = tools(kafka_settings)
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_url": type(database.database_url)(proxy.url)})
        worker = Worker(kafka_settings, through, consumer_settings(group))
        running = asyncio.create_task(worker.run())
        async with LagWatcher(kafka_settings, database, group, [partition.topic]) as watcher:

            async def is_at(messages: int, state: LagState) -> bool:
                found = of(await watcher.look(), partition)
                return (found.lag_messages, found.verdict.state) == (messages, state)

            await produce(kafka_settings, partition, [event(TOOL_USED)])
            await eventually(lambda: worker.report.records == 1, "the worker is at work")
            await eventually(lambda: is_at(0, LagState.OK), "nothing is unread")
            proxy.refuse()
            proxy.cut()
            await produce(kafka_settings, partition, [event(TOOL_USED)])
            await eventually(lambda: is_at(1, LagState.PAUSED), "the lag appears, and the breaker is why")
            await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(2)])
            await eventually(lambda: is_at(3, LagState.PAUSED), "it grows")
            await proxy.heal()
            await eventually(lambda: is_at(0, LagState.OK), "it goes")
            report = await watcher.look()
            assert report.workers == 1
            stages = report.topics[0].stages
            for known in (stages.broker_to_consumer, stages.consumer_to_commit, stages.broker_to_commit):
                assert known.count == 1
                assert known.p50_s is not None
            assert stages.emit_to_broker.count == 4
            assert stages.commit_to_aggregate.p50_s == 0
        worker.stop()
        await asyncio.wait_for(running, 30)


async def test_without_the_database_kafka_s_copy_is_shown(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED)])
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    await produce(kafka_settings, partition, [event(TOOL_USED)])
    away = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/none")
    report = await look(kafka_settings, away, group)
    assert report.from_kafka
    assert "Kafka's copy" in report.warnings[0]
    assert of(report, partition).lag_messages == 1


async def test_kafka_s_copy_is_neither_a_step_back_nor_a_standstill(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """It is of some seconds before: who looks while the database is away sees a healthy group as it was."""
    kafka = await dated_topics(kafka_settings)
    partition = tools(kafka)
    await produce_at(kafka, partition, [(time.time() - HOUR_S, event(TOOL_USED)) for _ in range(4)])
    copier = aiokafka.AIOKafkaConsumer(**kafka.client_options(), group_id=group, enable_auto_commit=False)
    await copier.start()
    try:
        at = aiokafka.TopicPartition(*partition)
        copier.assign([at])
        await copier.commit({at: 1})
    finally:
        await copier.stop()
    await stand_at(session, group, partition, [3])
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy, member(kafka, group):
        through = database.model_copy(update={"database_url": SecretStr(proxy.url)})
        async with LagWatcher(kafka, through, group, [partition.topic]) as watcher:
            assert of(await watcher.look(), partition).verdict.state is LagState.LAGGING
            proxy.refuse()
            proxy.cut()
            report = await watcher.look()
    assert report.from_kafka
    copied = of(report, partition)
    assert (copied.lag_messages, copied.verdict.state) == (3, LagState.LAGGING), copied.verdict
    assert copied.lag_s is not None
    assert copied.lag_s > 60


async def test_topics_that_are_not_there_are_said(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    there = tools(kafka_settings).topic
    async with LagWatcher(kafka_settings, database, group, [there, "nowhere"]) as watcher:
        report = await watcher.look()
    assert (report.missing, [topic.topic for topic in report.topics]) == (["nowhere"], [there])
    assert report.warnings == ("not there, or not to be seen by this login: nowhere; arc-eval-db topics list",)


async def test_a_transaction_s_marker_is_not_lag_for_ever(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    partition = tools(kafka_settings)
    producer = aiokafka.AIOKafkaProducer(**kafka_settings.client_options(), transactional_id=group)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send(partition.topic, orjson.dumps(event(TOOL_USED)), partition=0)
        await stand_at(session, group, partition, [1])
        marker = of(await look(kafka_settings, database, group), partition)
        assert (marker.lag.lag_messages, marker.lag_messages, marker.lag_s) == (1, 0, 0)
        assert marker.verdict.state is LagState.OK
        async with producer.transaction():
            await producer.send(partition.topic, orjson.dumps(event(TOOL_USED)), partition=0)
    finally:
        await producer.stop()
    behind = of(await look(kafka_settings, database, group), partition)
    assert behind.lag_messages == 2, "the record and its marker, and not the marker before it"
    assert behind.lag_s is not None
    assert behind.lag_s > 0


async def test_a_group_that_was_sent_back_is_rewound(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(4)])
    await stand_at(session, group, partition, [4])
    async with (
        member(kafka_settings, group),
        LagWatcher(kafka_settings, database, group, [partition.topic]) as watcher,
    ):
        assert of(await watcher.look(), partition).verdict.state is LagState.OK
        await session.execute("UPDATE consumer_offsets SET next_offset = 1, updated_at = now()")
        back = of(await watcher.look(), partition)
        assert (back.verdict.state, back.lag_messages) == (LagState.REWOUND, 3)
        assert "sent back, and has 3 messages to read again" in back.verdict.reason
        assert back.rates.out_per_s is None, "a jump is no rate"
        await stand_at(session, group, partition, [1, 4])
        assert of(await watcher.look(), partition).verdict.state is LagState.OK


async def test_samples_of_others_show_a_rewind_and_the_rates_at_the_first_look(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(60)])
    await stand_at(session, group, partition, [30])

    async def sample(age_s: int, next_offset: int, log_end: int) -> None:
        await session.execute(
            "INSERT INTO consumer_lag_samples (time, consumer_group, topic, partition, next_offset, log_start_offset,"
            " log_end_offset, lag_messages) VALUES (now() - make_interval(secs => $1), $2, $3, $4, $5, 0, $6, 0)",
            *(age_s, group, *partition, next_offset, log_end),
        )

    await sample(60, 0, 0)
    async with member(kafka_settings, group):
        moving = of(await look(kafka_settings, database, group), partition)
        assert moving.rates.in_per_s == pytest.approx(1.0, rel=0.2)
        assert moving.rates.out_per_s == pytest.approx(0.5, rel=0.2)
        assert moving.catch_up_s is None
        await sample(30, 50, 55)
        back = of(await look(kafka_settings, database, group), partition)
    assert back.verdict.state is LagState.REWOUND
    assert "20 messages to read again" in back.verdict.reason


async def test_a_worker_that_does_not_move_is_stalled(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    kafka = await dated_topics(kafka_settings)
    partition = tools(kafka)
    await produce_at(kafka, partition, [(time.time() - HOUR_S, event(TOOL_USED))])
    await stand_at(session, group, partition, [0])
    async with member(kafka, group):
        fresh = of(await look(kafka, database, group), partition)
        assert fresh.verdict.state is LagState.LAGGING, "it moved a moment ago"
        await session.execute("UPDATE consumer_offsets SET updated_at = now() - INTERVAL '10 minutes'")
        found = of(await look(kafka, database, group), partition)
    assert found.verdict.state is LagState.STALLED
    assert "has read nothing for 10.0 min" in found.verdict.reason


async def test_a_topic_that_was_made_anew_is_said(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(3)])
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    await recreate_topic(kafka_settings, partition.topic)
    shorter = of(await look(kafka_settings, database, group), partition)
    assert shorter.verdict.state is LagState.STALLED
    assert "beyond the log's end" in shorter.verdict.reason
    assert shorter.lag_messages == 0, "never negative"
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(5)])
    longer = of(await look(kafka_settings, database, group), partition)
    assert longer.verdict.state is LagState.STALLED
    assert "holds another record" in longer.verdict.reason
    assert "topics accept" in (longer.verdict.next_step or "")


async def test_what_retention_took_is_lost(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    partition = tools(kafka_settings)
    await produce(kafka_settings, partition, [event(TOOL_USED) for _ in range(5)])
    await stand_at(session, group, partition, [1])
    await delete_records(kafka_settings, partition, before=3)
    found = of(await look(kafka_settings, database, group), partition)
    assert (found.verdict.state, found.lag.lost_messages, found.lag_messages) == (LagState.LOSING_DATA, 2, 2)


async def test_the_share_of_retention_that_is_used_up(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    kafka = await dated_topics(kafka_settings, retention_ms=str(int(4 * HOUR_S * 1000)))
    partition = tools(kafka)
    await produce_at(kafka, partition, [(time.time() - age_s, event(TOOL_USED)) for age_s in (3.5 * HOUR_S, HOUR_S)])
    await stand_at(session, group, partition, [0])
    soon = of(await look(kafka, database, group), partition)
    assert soon.verdict.state is LagState.LOSING_DATA
    assert soon.retention_share == pytest.approx(0.875, abs=0.02)
    assert "of the topic's retention" in soon.verdict.reason
    await stand_at(session, group, partition, [0, 1])
    later = of(await look(kafka, database, group), partition)
    assert later.verdict.state is LagState.STOPPED
    assert later.retention_share == pytest.approx(0.25, abs=0.02)


async def test_the_reader_may_look(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    async with await connect(database) as own:
        await own.execute("SET ROLE arc_eval_reader")
        async with LagWatcher(kafka_settings, database, group, [tools(kafka_settings).topic], LagSettings()) as watcher:
            watcher._session = own
            report = await watcher.look()
    assert (report.from_kafka, report.warnings, report.workers) == (False, (), 0)
