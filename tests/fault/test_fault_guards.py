"""Guards that show only when two things meet, or where something else fails first: one test each."""

from __future__ import annotations

import asyncio
import secrets
from uuid import UUID

import aiokafka
import asyncpg
import orjson
import pytest

from arc_eval_db.consumers import ConsumerSettings, ExactlyOnceSink, Worker
from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, SchemaMismatchError, Session
from arc_eval_db.database.errors import translated_errors
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import BatchWriter, LoggedEvent, OffsetRange, OffsetStore, TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.events import event, record
from support.log import send_events

PARTITION = TopicPartition("arc-eval.tool-usage", 0)


def tool_use(subject: UUID) -> LoggedEvent:
    return LoggedEvent(parse_event(orjson.dumps(event(TOOL_USED, subject=subject))))


@pytest.mark.database
async def test_writers_that_meet_the_same_executions_in_opposite_order_take_turns(
    database: DatabaseSettings, session: Session
) -> None:
    # Each row takes a while, so that each writer has its first one when it comes to its second.
    await session.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END'"
    )
    await session.execute("CREATE TRIGGER dawdle BEFORE INSERT ON executions FOR EACH ROW EXECUTE FUNCTION dawdle()")
    # What all events share is there already, so that nothing else makes the writers take turns.
    await write(session, [tool_use(ids.uuid7())])
    both = [ids.uuid7(), ids.uuid7()]
    async with await connect(database) as other:
        for each in (session, other):
            # A plan that sorts by accident would hide what is tried here.
            await each.execute("SET enable_mergejoin = off; SET enable_hashjoin = off")
        await asyncio.gather(
            write(session, [tool_use(subject) for subject in both]),
            write(other, [tool_use(subject) for subject in reversed(both)]),
        )
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 5


async def write(session: Session, events: list[LoggedEvent]) -> None:
    async with session.transaction():
        await BatchWriter().write(session, events)


@pytest.mark.database
async def test_a_dead_letter_that_cannot_be_written_holds_the_whole_batch(session: Session) -> None:
    """Neither the rows beside it nor the offset may be kept without it."""
    offsets = OffsetStore("g")
    await offsets.start_at(session, {PARTITION: 0})
    await session.execute("ALTER TABLE dead_letters RENAME TO elsewhere")
    records = [record(event(TOOL_USED), offset=0), record(b"{", offset=1, topic=PARTITION.topic)]
    batch = ExecutionEventHandler(TopicNames()).handle(records)
    with pytest.raises(Exception, match="42P01"):
        await ExactlyOnceSink(offsets).write(session, batch, {PARTITION: OffsetRange(0, 2)})
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 0
    assert await session.fetch_value("SELECT next_offset FROM consumer_offsets") == 0


@pytest.mark.database
@pytest.mark.parametrize(
    "error", [TypeError("no"), RuntimeError("closed"), AttributeError("None"), asyncpg.DataError("no")]
)
async def test_an_exception_of_a_lost_connection_is_no_refused_row(
    database: DatabaseSettings, error: Exception
) -> None:
    """asyncpg and event loops then raise whatever they stumble over."""
    session = await connect(database)
    session.terminate()
    with pytest.raises(DatabaseUnavailableError), translated_errors(session._connection):
        raise error


REFUSE_TWICE = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What a sequence gave is not taken back with the transaction.
    IF nextval('refusals') <= 2 THEN
        RAISE EXCEPTION 'as the test wants it' USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON tool_usage FOR EACH STATEMENT EXECUTE FUNCTION refuse('{sqlstate}');
"""


@pytest.mark.database
@pytest.mark.kafka
@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("40001", "TransactionConflictError"),
        ("55P03", "TransactionConflictError"),
        ("53200", "BatchTooLargeError"),
        ("57014", "BatchTooLargeError"),
    ],
)
async def test_what_a_worker_tries_again(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, sqlstate: str, cause: str
) -> None:
    await session.execute(REFUSE_TWICE.format(sqlstate=sqlstate))
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(20)])
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, retry_backoff_s_max=0.1)
    worker = Worker(kafka_settings, database, settings, until_caught_up=True)
    report = await asyncio.wait_for(worker.run(), 60)
    assert (report.inserted, report.dead_letters) == (20, 0)
    assert worker.metrics.value("arc_eval_consumer_retries_total", cause=cause) == 2
    assert worker.metrics.value("arc_eval_consumer_retries_total", cause="DatabaseUnavailableError") == 0


@pytest.mark.database
@pytest.mark.kafka
async def test_a_right_that_is_missing_stops_a_worker(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await session.execute(REFUSE_TWICE.format(sqlstate="42501"))
    await send_events(kafka_settings, [event(TOOL_USED)])
    worker = Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True)
    with pytest.raises(SchemaMismatchError, match="42501"):
        await asyncio.wait_for(worker.run(), 60)
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.database
async def test_a_servers_time_zone_does_not_reach_a_session(database: DatabaseSettings, session: Session) -> None:
    """A time without a zone, as people write them in SQL, means UTC everywhere."""
    name = await session.fetch_value("SELECT current_database()")
    await session.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    async with await connect(database) as other:
        assert await other.fetch_value("SELECT current_setting('timezone')") == "UTC"
        assert await other.fetch_value("SELECT timestamptz '2026-01-01 12:00' = '2026-01-01T12:00Z'")


@pytest.mark.kafka
async def test_records_of_a_partition_without_a_position_are_not_handed_out(
    kafka_settings: KafkaSettings, group: str
) -> None:
    """A client may have fetched them before the rebalance, or before anybody asked the database."""
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(20)])
    settings = ConsumerSettings.load(group=group, session_timeout_s=6)
    source = GroupSource(kafka_settings, settings, TopicNames(kafka_settings.topic_prefix).all)
    await source.start()
    try:
        await eventually(lambda: len(source.unpositioned()) == 6, "all partitions assigned")
        consumer = source._consumer
        for partition in consumer.assignment():
            consumer.seek(partition, 0)
            consumer.resume(partition)
        handed_out: list[object] = []

        async def all_fetched() -> bool:
            handed_out.extend((await source.poll(100, 0.1)).values())
            positions: list[int] = [await consumer.position(partition) for partition in consumer.assignment()]
            return sum(positions) == 20

        await eventually(all_fetched, "the client has taken all records")
        assert handed_out == []
    finally:
        await source.close()


@pytest.mark.database
@pytest.mark.kafka
async def test_what_a_producer_took_back_becomes_no_row(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    producer = aiokafka.AIOKafkaProducer(**kafka_settings.client_options(), transactional_id=secrets.token_hex(4))
    await producer.start()
    try:
        for taken_back in (False, True, False):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, orjson.dumps(event(TOOL_USED)), partition=0)
            await (producer.abort_transaction() if taken_back else producer.commit_transaction())
    finally:
        await producer.stop()
    worker = Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True)
    report = await asyncio.wait_for(worker.run(), 60)
    assert (report.records, report.inserted, report.caught_up) == (2, 2, True)
