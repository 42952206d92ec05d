"""The brake on dead letters: what it lets through, and that nothing is written when it bites."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from arc_eval_db.consumers import ConsumerSettings, ExecutionEventHandler, Worker
from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit, DeadLetterLimitError
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import DeadLetter, TopicPartition
from support.events import event, record
from support.log import send_values

TOPIC = TopicNames().of_type(TOOL_USED)
[LETTER] = ExecutionEventHandler(TopicNames()).handle([record(b"no event", topic=TOPIC)]).dead_letters


def letters(count: int, topic: str = TOPIC) -> list[DeadLetter]:
    return [dataclasses.replace(LETTER, partition=TopicPartition(topic, 0))] * count


def passes(limit: DeadLetterLimit, read: int, refused: int, topic: str = TOPIC) -> None:
    limit.check(Counter({topic: read}), letters(refused, topic))
    limit.note(Counter({topic: read}), letters(refused, topic))


def test_up_to_the_share_all_is_well() -> None:
    limit = DeadLetterLimit(0.5, 100)
    for _ in range(5):
        passes(limit, 100, 50)
    with pytest.raises(DeadLetterLimitError):
        limit.check(Counter({TOPIC: 100}), letters(51))


def test_few_records_prove_nothing_until_there_are_enough() -> None:
    limit = DeadLetterLimit(0.5, 100)
    for _ in range(99):
        passes(limit, 1, 1)
    with pytest.raises(DeadLetterLimitError, match=f"100 of the last 100 records of {TOPIC}.*SHARE_MAX=1"):
        limit.check(Counter({TOPIC: 1}), letters(1))


def test_what_lies_further_back_than_the_window_is_forgotten() -> None:
    limit = DeadLetterLimit(0.5, 100)
    passes(limit, 10_000, 0)
    passes(limit, 50, 50)
    passes(limit, 50, 50)
    with pytest.raises(DeadLetterLimitError):
        passes(limit, 50, 50)


def test_a_bad_topic_does_not_hide_among_good_ones() -> None:
    limit = DeadLetterLimit(0.5, 100)
    with pytest.raises(DeadLetterLimitError, match="bad"):
        limit.check(Counter({"good": 10_000, "bad": 100}), letters(100, "bad"))


def test_checking_changes_nothing() -> None:
    """A batch that is tried again must not be counted again."""
    limit = DeadLetterLimit(0.5, 100)
    for _ in range(10):
        limit.check(Counter({TOPIC: 60}), letters(60))


def test_a_share_of_one_is_no_limit() -> None:
    passes(DeadLetterLimit(1, 1), 5_000, 5_000)


@pytest.mark.database
@pytest.mark.kafka
@pytest.mark.parametrize(("bad", "stops"), [(20, False), (60, True), (200, True)])
async def test_a_worker_stops_before_it_drains_a_topic_into_the_dead_letters(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, bad: int, stops: bool
) -> None:
    """As after a deploy of producers, or of a consumer, that made a part of all events unreadable."""
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    good = [event(TOOL_USED) for _ in range(40)]
    await send_values(kafka_settings, topic, [*good, *[b"not an event"] * bad], partition=0)
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, dead_letter_window_records=50)
    worker = Worker(kafka_settings, database, settings, until_caught_up=True)
    if stops:
        with pytest.raises(DeadLetterLimitError, match=topic):
            await worker.run()
    else:
        assert (await worker.run()).dead_letters == bad
    written = await session.fetch_value("SELECT count(*) FROM dead_letters")
    assert written == (0 if stops else bad)
    offset = await session.fetch_value("SELECT max(next_offset) FROM consumer_offsets WHERE topic = $1", topic)
    rows = await session.fetch_value("SELECT count(*) FROM tool_usage")
    assert (rows, offset) == ((0, 0) if stops else (40, 40 + bad))
    if stops:
        raised = settings.model_copy(update={"dead_letter_share_max": 1.0})
        report = await Worker(kafka_settings, database, raised, until_caught_up=True).run()
        assert (report.inserted, report.dead_letters) == (40, bad)


@pytest.mark.database
@pytest.mark.kafka
async def test_a_worker_that_is_started_again_and_again_does_not_drain_a_topic_bit_by_bit(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """As what supervises it would, after each end."""
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    await send_values(
        kafka_settings, topic, [*[event(TOOL_USED) for _ in range(100)], *[b"not an event"] * 200], partition=0
    )
    settings = ConsumerSettings.load(
        group=group, poll_timeout_s=0.1, dead_letter_window_records=60, batch_records_max=10, session_timeout_s=6
    )
    written = []
    for _ in range(3):
        with pytest.raises(DeadLetterLimitError):
            await Worker(kafka_settings, database, settings, until_caught_up=True).run()
        written.append(await session.fetch_value("SELECT count(*) FROM dead_letters"))
    assert written == [30, 30, 30]
