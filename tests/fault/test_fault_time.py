"""Clocks and zones must not matter: order of arrival, wrong clocks, other time zones, the far past and future."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiokafka
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTimestampError

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session, TransactionConflictError
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings
from arc_eval_db.producers.clock import Clock
from arc_eval_db.retries import RetryPolicy, retry
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import COMPLETED, PROGRESSED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import BatchWriter, LoggedEvent
from support.conditions import eventually
from support.databases import connect, temporary_database
from support.events import CONFIGURATION, event, lifecycle
from support.log import send_events

pytestmark = [pytest.mark.database, pytest.mark.kafka]

EVENT_TABLES = ("outcomes", "tool_usage", "failures", "execution_events")
ALL_TABLES = (
    *EVENT_TABLES,
    "executions",
    "configurations",
    "configuration_versions",
    "scenarios",
    "simulations",
    "failure_patterns",
    "dead_letters",
)


async def rows_of(session: Session) -> dict[str, list[str]]:
    """Every row as text, without what says when this database saw it."""
    unlike = "'created_at' - 'updated_at' - 'dead_lettered_at' - 'id' - 'consumer_group' - 'log_timestamp'"
    statement = "SELECT (to_jsonb(t) - {unlike})::text AS text FROM {table} AS t ORDER BY 1"
    return {
        table: [row["text"] for row in await session.fetch(statement.format(unlike=unlike, table=table))]
        for table in ALL_TABLES
    }


async def test_neither_the_order_of_events_nor_their_clocks_matter(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """Each sandbox's clock is wrong by up to an hour, and everything comes in any order: ends before starts."""
    generator = random.Random(16)
    now = datetime.now(UTC)
    events, skews = [], {}
    for _ in range(50):
        subject = ids.uuid7()
        skews[subject] = timedelta(seconds=generator.uniform(-3600, 3600))
        for number, content in enumerate(lifecycle(subject)):
            content["time"] = (now + skews[subject] + timedelta(seconds=number)).isoformat()
            events.append(content)
    generator.shuffle(events)
    await send_events(kafka_settings, events)

    settings = ConsumerSettings.load(group=group, batch_records_max=20)
    report = await Worker(kafka_settings, database, settings, until_caught_up=True).run()

    assert (report.inserted, report.duplicates, report.dead_letters) == (250, 0, 0)
    executions = await session.fetch("SELECT id, started_at, ended_at FROM executions")
    assert {row["id"]: (row["started_at"], row["ended_at"]) for row in executions} == {
        subject: (now + skew, now + skew + timedelta(seconds=4)) for subject, skew in skews.items()
    }
    in_order = await session.fetch(
        "SELECT execution_id, array_agg(sequence ORDER BY time) AS sequences FROM ("
        + " UNION ALL ".join(f"SELECT execution_id, time, sequence FROM {table}" for table in EVENT_TABLES)
        + ") AS event GROUP BY 1"
    )
    assert {row["execution_id"] for row in in_order} == skews.keys()
    assert all(row["sequences"] == [1, 2, 3, 4, 5] for row in in_order)


def wrong_by(**hours: float) -> Clock:
    return Clock(now=lambda: datetime.now(UTC) + timedelta(**hours))


async def emit_with(settings: KafkaSettings, clock: Clock) -> EventEmitter:
    producer = ProducerSettings(EmitterSettings(transport="kafka"), settings, "/sandboxes/wrong", None)
    emitter = EventEmitter(settings=producer, clock=clock)
    subject = ids.uuid7()
    context = {
        "configuration_version_id": str(ids.configuration_version_id(CONFIGURATION)),
        "scenario_id": str(ids.scenario_id("refund-flow")),
    }
    for number in range(3):
        emitter.emit(PROGRESSED, ids.ExecutionId(subject), {**context, "step": number})
    return emitter


async def by_the_producers_clock(settings: KafkaSettings) -> None:
    """A topic that somebody else made: the broker takes the producer's time, and refuses what is an hour ahead."""
    topic = TopicNames(settings.topic_prefix).of_type(PROGRESSED)
    admin = AIOKafkaAdminClient(**settings.client_options())
    producer = aiokafka.AIOKafkaProducer(**settings.client_options())
    await admin.start()
    await producer.start()

    async def refuses() -> bool:
        """The broker takes a moment to follow."""
        ahead = int((datetime.now(UTC) + timedelta(hours=2)).timestamp() * 1000)
        try:
            await producer.send_and_wait(topic, b"", timestamp_ms=ahead)
        except InvalidTimestampError:
            return True
        return False

    try:
        config = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
        await eventually(refuses, "the broker refuses times ahead")
    finally:
        await producer.stop()
        await admin.close()


@pytest.mark.parametrize("hours", [-48, 2])
async def test_a_sandbox_with_a_wrong_clock_is_heard_all_the_same(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, hours: float
) -> None:
    emitter = await emit_with(kafka_settings, wrong_by(hours=hours))
    delivery = await emitter.close_async(timeout=20)
    assert (delivery.sent, delivery.pending, delivery.dropped) == (3, 0, {})
    report = await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    assert (report.inserted, report.dead_letters) == (3, 0)


async def test_what_the_broker_refuses_for_its_time_is_counted_as_refused(kafka_settings: KafkaSettings) -> None:
    """Not as undelivered or pending: trying again would be in vain, and would hold up what comes after."""
    await by_the_producers_clock(kafka_settings)
    emitter = await emit_with(kafka_settings, wrong_by(hours=2))
    delivery = await emitter.flush_async(timeout=20)
    assert (delivery.sent, delivery.pending, delivery.dropped) == (0, 0, {"refused_by_broker": 3})
    await emitter.close_async(timeout=20)
    right = await emit_with(kafka_settings, wrong_by(hours=0))
    assert (await right.close_async(timeout=20)).sent == 3


FAR = {
    "year 1": "0001-01-01T00:00:00Z",
    "year 1, ahead of UTC": "0001-01-01T00:00:00+14:00",
    "1970": "1970-01-01T00:00:00Z",
    "a moment too early": "2019-12-31T23:59:59.999999Z",
    "too far ahead": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
    "year 9999": "9999-12-31T23:59:59.999999Z",
    "year 9999, behind UTC": "9999-12-31T23:59:59.999999-14:00",
}
"""datetime.max would be stored as infinity."""


async def chunks(session: Session) -> int:
    """How many there are; none without TimescaleDB."""
    if not await session.fetch_value("SELECT to_regclass('timescaledb_information.chunks') IS NOT NULL"):
        return 0
    return int(await session.fetch_value("SELECT count(*) FROM timescaledb_information.chunks"))


async def test_times_outside_of_the_window_are_dead_letters(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, lifecycle())
    await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    before = await chunks(session)
    kinds = (STARTED, COMPLETED, TOOL_USED)
    far = [event(kinds[number % 3], time=time) for number, time in enumerate(FAR.values())]
    edge = [event(TOOL_USED, time=(datetime.now(UTC) + timedelta(hours=-1)).isoformat())]
    await send_events(kafka_settings, [*far, *edge])

    report = await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()

    assert (report.inserted, report.dead_letters) == (1, len(FAR))
    letters = await session.fetch("SELECT reason, event_id FROM dead_letters")
    assert {row["reason"] for row in letters} == {"time_out_of_range"}
    assert {row["event_id"] for row in letters} == {UUID(content["id"]) for content in far}
    for table in EVENT_TABLES:
        assert await session.fetch_value(f"SELECT count(*) FROM {table} WHERE NOT isfinite(time)") == 0
    far_ones = "SELECT count(*) FROM executions WHERE started_at < '2020-01-01' OR ended_at > now() + interval '2 days'"
    assert await session.fetch_value(far_ones) == 0
    assert await chunks(session) == before


async def consume_in(zone: str, kafka: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    """A consumer as operators run it, on a machine in that zone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "consume", "--group", group, "--until-caught-up"),
        env={
            **os.environ,
            "TZ": zone,
            "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
            "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
            "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()


def events_of_all_zones() -> list[dict[str, object]]:
    """Times in many notations, among them hours that do not exist or exist twice where clocks are put forward."""
    times = (
        "2026-03-29T02:30:00Z",
        "2026-03-29T01:30:00+01:00",
        "2025-10-26T02:30:00.123456+02:00",
        "2025-10-26T02:30:00.123456+01:00",
        "2026-03-08T02:15:00-03:30",
        "2025-12-31T23:59:59.999999Z",
        "2026-01-01T05:29:59.999999+05:30",
    )
    events = []
    for time in times:
        events += [content | {"time": time} for content in lifecycle()]
    # These are dead letters: a time without a zone has no meaning here.
    return [*events, event(TOOL_USED, time="2026-03-29T02:30:00"), event(TOOL_USED, time="2026-03-29")]


@pytest.mark.parametrize("server_zone", ["UTC", "Asia/Kolkata"])
async def test_rows_are_the_same_in_every_time_zone(
    kafka_settings: KafkaSettings,
    database_server: DatabaseSettings,
    database: DatabaseSettings,
    session: Session,
    template: tuple[DatabaseSettings, object],
    group: str,
    server_zone: str,
) -> None:
    await send_events(kafka_settings, events_of_all_zones())
    await Worker(kafka_settings, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    expected = await rows_of(session)
    assert (len(expected["tool_usage"]), len(expected["dead_letters"])) == (7, 2)
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    for zone in ("Europe/Berlin", "America/St_Johns"):
        async with temporary_database(database_server, template=name) as elsewhere:
            async with await connect(elsewhere) as other:
                own = await other.fetch_value("SELECT current_database()")
                await other.execute(f"ALTER DATABASE {own} SET timezone = '{server_zone}'")
            await consume_in(zone, kafka_settings, elsewhere, f"{group}-{zone.rpartition('/')[2]}")
            async with await connect(elsewhere) as other:
                assert await rows_of(other) == expected


async def write_with_retries(database: DatabaseSettings, batches: Sequence[list[LoggedEvent]]) -> int:
    """Batch after batch, each until it is in; how often one had to be tried again."""
    conflicts: list[TransactionConflictError] = []

    def note(error: Exception, *_: object) -> None:
        assert isinstance(error, TransactionConflictError), error
        conflicts.append(error)

    async with await connect(database) as session:
        for batch in batches:

            async def write(batch: list[LoggedEvent] = batch) -> None:
                async with session.transaction():
                    await BatchWriter().write(session, batch)

            await retry(write, RetryPolicy(attempts_max=20, deadline_s=60), on_retry=note)
    return len(conflicts)


@pytest.mark.usefixtures("timescaledb")
async def test_writers_that_make_chunks_in_opposite_order_all_end(database: DatabaseSettings, session: Session) -> None:
    for table in ("tool_usage", "outcomes"):
        await session.execute(f"SELECT set_chunk_time_interval('{table}', INTERVAL '1 second')")
    first = datetime(2026, 6, 1, tzinfo=UTC)
    batches: list[list[list[LoggedEvent]]] = [[], [], [], []]
    for number, of_writer in enumerate(batches):
        for batch in range(4):
            seconds = list(range(5 * batch, 5 * batch + 5))
            kinds = [TOOL_USED, COMPLETED]
            if number % 2:
                seconds.reverse()
                kinds.reverse()
            contents = [
                event(kind, time=(first + timedelta(seconds=second)).isoformat())
                for second in seconds
                for kind in kinds
            ]
            of_writer.append([LoggedEvent(parse_event(orjson.dumps(content))) for content in contents])
        if number % 2:
            of_writer.reverse()
    await asyncio.gather(*(write_with_retries(database, of_writer) for of_writer in batches))
    for table in ("tool_usage", "outcomes"):
        assert await session.fetch_value(f"SELECT count(*) FROM {table}") == 4 * 20
        assert await session.fetch_value(f"SELECT count(*) FROM show_chunks('{table}')") == 20
