"""Workloads: the same every time, what the SDK would send, and exactly the rows that are expected of them."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from arc_eval_db.bench import expected, wire
from arc_eval_db.bench.checks import WrongRowsError, check_offsets, check_rows, expected_sums
from arc_eval_db.bench.kafka import count_records, fill
from arc_eval_db.bench.workloads import (
    DUPLICATE_DISTANCE_MAX,
    DUPLICATES,
    LIFECYCLE,
    OUTCOMES,
    Workload,
    happenings,
)
from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.producers.encoding import encode
from arc_eval_db.schemas import TopicNames, parse_event
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED
from arc_eval_db.settings import KafkaSettings
from conftest import TEST_PARTITIONS

NAMES = (OUTCOMES, LIFECYCLE, DUPLICATES)


def workload(name: str, events: int = 600, seed: int = 1) -> Workload:
    return Workload(name, events, TEST_PARTITIONS, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_workload_is_the_same_every_time(name: str) -> None:
    first = list(wire.records(workload(name)))
    assert first == list(wire.records(workload(name)))
    assert first != list(wire.records(workload(name, seed=2)))
    assert len(first) == workload(name).records


@pytest.mark.parametrize("name", NAMES)
def test_records_are_what_the_sdk_would_send(name: str) -> None:
    names = TopicNames()
    for record in wire.records(workload(name)):
        event = parse_event(record.value)
        assert encode(orjson.loads(record.value)) == record.value
        assert names.of_type(event.type) == f"{names.prefix}.{record.topic}"
        assert record.key == str(event.subject).encode()
        assert dict(record.headers)["ce_id"] == str(event.id).encode()
        assert dict(record.headers)["ce_type"] == event.type.encode()


@pytest.mark.parametrize("name", NAMES)
def test_an_execution_keeps_its_partition_and_its_order(name: str) -> None:
    seen: dict[str, tuple[int, int]] = {}
    for happening, is_copy in happenings(workload(name)):
        partition, sequence = seen.get(happening.execution.text, (happening.execution.partition, 0))
        assert happening.execution.partition == partition
        assert is_copy or happening.sequence > sequence
        seen[happening.execution.text] = partition, max(sequence, happening.sequence)


def test_a_lifecycle_has_what_an_execution_has() -> None:
    kinds: dict[str, list[str]] = {}
    for happening, _ in happenings(workload(LIFECYCLE, 4_000)):
        kinds.setdefault(happening.execution.text, []).append(happening.type)
    whole = [of_one for of_one in kinds.values() if of_one[-1] == COMPLETED]
    assert all(of_one[0] == STARTED for of_one in kinds.values())
    assert all(Counter(of_one)[PROGRESSED] == 5 and Counter(of_one)[TOOL_USED] == 10 for of_one in whole)
    failed = sum(FAILURE_RECORDED in of_one for of_one in whole)
    assert len(whole) > 50
    assert 0.3 < failed / len(whole) < 0.7


def test_one_in_a_thousand_comes_twice_in_its_partition() -> None:
    placed = [
        (happening.event_id, happening.execution.partition, is_copy)
        for happening, is_copy in happenings(workload(DUPLICATES, 5_000))
    ]
    copies = [(event_id, partition) for event_id, partition, is_copy in placed if is_copy]
    assert len(copies) == workload(DUPLICATES, 5_000).copies == 5
    for event_id, partition in copies:
        of_partition = [each for each, number, _ in placed if number == partition]
        first = of_partition.index(event_id)
        again = of_partition.index(event_id, first + 1)
        assert again - first <= DUPLICATE_DISTANCE_MAX


async def consume(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    report = await Worker(kafka, database, ConsumerSettings(group=group), until_caught_up=True).run()
    assert report.caught_up


@pytest.mark.kafka
@pytest.mark.parametrize("name", NAMES)
async def test_the_worker_makes_exactly_the_expected_rows(
    name: str, kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    work = workload(name, 2_000)
    expectation = await expected_sums(session, work)
    assert await fill(kafka_settings, wire.records(work)) == work.records
    assert await count_records(kafka_settings, TEST_PARTITIONS) == work.records
    await consume(kafka_settings, database, group)
    await check_rows(session, expectation)
    await check_offsets(session, group, work.records)
    assert sum(of_table.rows for table, of_table in expectation.items() if table != "executions") == work.events


@pytest.mark.database
async def test_the_check_sees_every_difference(session: Session) -> None:
    work = workload(LIFECYCLE)
    expectation = await expected_sums(session, work)
    for table, row in expected.event_rows(work):
        await session.copy(table, expected.EVENT_COLUMNS[table], [row])
    tables = list(expected.EVENT_COLUMNS)
    await check_rows(session, expectation, tables)
    for change in (
        "UPDATE outcomes SET score = score + 0.0001 WHERE event_id = (SELECT event_id FROM outcomes LIMIT 1)",
        "DELETE FROM failures WHERE event_id = (SELECT event_id FROM failures LIMIT 1)",
        "UPDATE tool_usage SET arguments = NULL WHERE event_id = (SELECT event_id FROM tool_usage LIMIT 1)",
        "UPDATE execution_events SET time = time + INTERVAL '1 microsecond'",
    ):
        with pytest.raises(WrongRowsError):
            async with session.transaction():
                await session.execute(change)
                await check_rows(session, expectation, tables)
    await check_rows(session, expectation, tables)
    with pytest.raises(WrongRowsError, match="executions"):
        await check_rows(session, expectation)
    with pytest.raises(WrongRowsError, match="dead letters"):
        await check_offsets(session, "nobody", 600)
