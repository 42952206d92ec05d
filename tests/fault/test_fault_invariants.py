"""The checker itself: it must object to whatever is not as it should be, and to nothing else."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from fault.evidence import Evidence, LogGap, Place, StoredDeadLetter, collect, install_audit, read_database
from fault.invariants import gaps_are_of_what_is_gone, no_marker_in, violations
from fault.ledger import read_ledgers
from fault.observers import CommitReader, Observer, RowReader
from fault.producers import LoadProducer
from support.databases import connect, temporary_database
from support.servers import Servers

pytestmark = [pytest.mark.database, pytest.mark.kafka]

EVENTS = 300
PREFIX = "fault-checker"
GROUP = "fault-checker"

ADD_A_ROW = """
INSERT INTO outcomes SELECT (jsonb_populate_record(o, jsonb_build_object(
    'event_id', gen_random_uuid(), 'log_offset', 999999))).* FROM outcomes AS o LIMIT 1
"""
ADD_A_GAP = """
INSERT INTO log_gaps (consumer_group, topic, partition, first_offset, end_offset, reason, consumer_version)
SELECT consumer_group, topic, partition, next_offset, next_offset + 1, 'retention', '1' FROM consumer_offsets LIMIT 1
"""
ADD_A_DEAD_LETTER = """
INSERT INTO dead_letters (topic, log_partition, log_offset, log_timestamp, reason, error_class, detail, event_id,
    headers, consumer_group, consumer_version)
SELECT topic, t.log_partition, t.log_offset, now(), 'invalid_data', 'x', 'x', t.event_id, '[]', consumer_group, '1'
FROM consumer_offsets, tool_usage AS t WHERE topic LIKE '%tool-usage' LIMIT 1
"""


@pytest.fixture(scope="module")
async def healthy(
    servers: Servers, database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[tuple[DatabaseSettings, Evidence]]:
    """The evidence of a run that went well, and its database."""
    kafka = KafkaSettings(bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=PREFIX)
    async with TopicsAdmin(kafka) as admin:
        await admin.create(partitions=2)
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    with tempfile.TemporaryDirectory() as directory:
        async with temporary_database(database_server, template=name) as database:
            await install_audit(database)
            producer = LoadProducer(kafka, Path(directory) / "ledger.jsonl", marker="planted")
            producer.emit(EVENTS)
            assert (await producer.stop()).sent == EVENTS
            await Worker(kafka, database, ConsumerSettings.load(group=GROUP), until_caught_up=True).run()
            yield database, await collect(kafka, database, GROUP, [producer.ledger_file])


class Run:
    """The run's database in a transaction that is rolled back: to be spoilt."""

    def __init__(self, session: Session, evidence: Evidence) -> None:
        self.session = session
        self.evidence = evidence

    async def objections(self) -> list[str]:
        await read_database(self.evidence, self.session, GROUP, TopicNames(PREFIX))
        return violations(self.evidence)


@pytest.fixture
async def run(healthy: tuple[DatabaseSettings, Evidence]) -> AsyncIterator[Run]:
    database, evidence = healthy
    async with await connect(database) as session:
        await session.execute("BEGIN")
        yield Run(session, copy.deepcopy(evidence))
        await session.execute("ROLLBACK")


@pytest.fixture
def reader(healthy: tuple[DatabaseSettings, Evidence]) -> RowReader:
    return RowReader(healthy[0], GROUP, PREFIX)


def names(objections: Iterable[str]) -> set[str]:
    return {objection[:2] for objection in objections}


async def test_a_run_that_went_well(run: Run) -> None:
    assert await run.objections() == []
    evidence = run.evidence
    assert len(evidence.rows) == len(evidence.log) == len(evidence.ledger) == EVENTS
    assert len(evidence.changes) >= len(evidence.next_offsets) == 6
    assert {row.table for row in evidence.rows} == {"execution_events", "failures", "outcomes", "tool_usage"}


@pytest.mark.parametrize(
    ("statement", "objections"),
    [
        ("DELETE FROM outcomes WHERE event_id = (SELECT min(event_id::text)::uuid FROM outcomes)", {"I1", "I3"}),
        (
            ADD_A_ROW,
            {"I3"},
        ),
        (
            "UPDATE tool_usage SET tool = tool || '!' WHERE sequence = 2",
            {"I4"},
        ),
        ("UPDATE failures SET simulation_id = NULL", {"I4"}),
        ("UPDATE execution_events SET data = '{}' WHERE type LIKE '%progressed%'", {"I4"}),
        ("UPDATE outcomes SET time = time + interval '1 microsecond'", {"I4"}),
        ("UPDATE consumer_offsets SET next_offset = next_offset - 1 WHERE next_offset > 0", {"I3", "I6"}),
        (
            ADD_A_DEAD_LETTER,
            {"I2"},
        ),
        ("DELETE FROM consumer_offsets", {"I3"}),
        (ADD_A_GAP, {"I3"}),
    ],
    ids=[
        "a deleted row",
        "an added row",
        "a changed column",
        "a null",
        "other JSON",
        "another microsecond",
        "an offset moved back",
        "a dead letter besides",
        "no offsets",
        "a gap of nothing",
    ],
)
async def test_objects_to(run: Run, statement: str, objections: set[str]) -> None:
    await run.session.execute(statement)
    assert names(await run.objections()) == objections


async def test_objects_to_a_doubled_row(run: Run, reader: RowReader) -> None:
    """With the unique indexes taken away, as nothing else lets it in."""
    await run.session.execute(
        """
        DO $$ DECLARE found record; BEGIN
            FOR found IN SELECT indexrelid::regclass AS name FROM pg_index
                WHERE indrelid = 'tool_usage'::regclass AND indisunique LOOP
                EXECUTE format('DROP INDEX %s', found.name);
            END LOOP;
        END $$
        """
    )
    await reader._look(run.session)
    assert reader.objections == set()
    await run.session.execute("INSERT INTO tool_usage SELECT * FROM tool_usage LIMIT 1")
    assert names(await run.objections()) == {"I2"}
    await reader._look(run.session)
    assert names(reader.objections) == {"I2"}


async def test_a_reader_objects_to_half_a_batch(run: Run, reader: RowReader) -> None:
    await run.session.execute("UPDATE consumer_offsets SET next_offset = 3 WHERE next_offset > 3")
    await reader._look(run.session)
    assert names(reader.objections) == {"I3"}


async def test_objects_to_a_commit_that_is_ahead(
    servers: Servers, healthy: tuple[DatabaseSettings, Evidence], run: Run
) -> None:
    """The worker told Kafka where it stands; the database then goes back behind that."""
    kafka = KafkaSettings(bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=PREFIX)
    reader = CommitReader(kafka, healthy[0], GROUP)
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        await reader._look(admin, run.session)
        assert reader.objections == set()
        await run.session.execute("UPDATE consumer_offsets SET next_offset = next_offset - 1 WHERE next_offset > 0")
        await reader._look(admin, run.session)
    finally:
        await admin.close()
    assert names(reader.objections) == {"I7"}
    assert len(reader.objections) == len(run.evidence.next_offsets)


class Blind(Observer):
    """Its server never answers."""

    async def _with_clients(self) -> None:
        raise OSError


async def test_an_observer_that_sees_nothing_does_not_pass_for_a_content_one() -> None:
    blind = Blind()
    async with blind.watching():
        with pytest.raises(AssertionError, match="Blind sees something"):
            await blind.sees_again(timeout_s=0.5)


@pytest.mark.parametrize(
    ("gaps", "dead_letters", "objections"),
    [
        ([(2, 5)], [], 0),
        ([(2, 3), (3, 5)], [1], 0),
        ([(2, None)], [3], 0),
        ([(2, 6)], [], 1),
        ([(2, 5)], [4], 1),
        ([(2, 4), (3, 5)], [], 1),
    ],
    ids=["exact", "two", "a topic made anew", "too long", "not lost", "twice"],
)
def test_gaps_are_of_what_the_log_no_longer_holds(
    gaps: list[tuple[int, int | None]], dead_letters: list[int], objections: int
) -> None:
    partition = TopicPartition("t", 0)
    evidence = Evidence(
        log_starts={partition: 5},
        gaps=[LogGap(partition, *gap) for gap in gaps],
        dead_letters=[StoredDeadLetter(Place("t", 0, offset), None, "") for offset in dead_letters],
    )
    assert len(gaps_are_of_what_is_gone(evidence)) == objections


async def test_objects_to_an_offset_that_has_forgotten_where_it_stood(run: Run) -> None:
    await run.session.execute(
        "CREATE TEMP TABLE kept AS SELECT * FROM consumer_offsets; DELETE FROM consumer_offsets;"
        "INSERT INTO consumer_offsets SELECT * FROM kept"
    )
    assert names(await run.objections()) == {"I6"}


async def test_only_what_was_acknowledged_must_be_there(run: Run) -> None:
    """A record of the log must be there in any case."""
    row = run.evidence.rows.pop()
    assert names(violations(run.evidence)) == {"I1", "I3"}
    run.evidence.ledger[row.event_id].outcome = "unknown"
    assert names(violations(run.evidence)) == {"I3"}
    run.evidence.log = [record for record in run.evidence.log if Place(*record[:3]) != row.place]
    assert violations(run.evidence) == []


async def test_refused_and_there_all_the_same(run: Run) -> None:
    run.evidence.ledger[run.evidence.rows[0].event_id].outcome = "refused"
    assert names(violations(run.evidence)) == {"I5"}


async def test_a_repeated_record_must_have_the_same_bytes(run: Run) -> None:
    evidence = run.evidence
    first = evidence.log[0]
    partition = first.topic_partition
    end = evidence.log_ends[partition]
    evidence.log.append(first._replace(offset=end))
    evidence.log_ends[partition] = evidence.next_offsets[partition] = end + 1
    assert violations(evidence) == []
    assert first.value is not None
    evidence.log[-1] = first._replace(offset=end, value=first.value.replace(b"}", b" }", 1))
    assert names(violations(evidence)) == {"I3"}


def test_markers_are_found() -> None:
    texts = [("a log", "password=hunter2"), ("metrics", "up 1")]
    assert no_marker_in(["absent"], texts) == []
    assert names(no_marker_in(["hunter2"], texts)) == {"I9"}


def test_a_torn_ledger_is_read_up_to_the_tear(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    event_id = b'{"event_id":"018f0000-0000-7000-8000-000000000001"'
    line = event_id + b',"sha256":"x","value":"{}","topic":"t","outcome":"unknown"}\n'
    path.write_bytes(line + event_id + b',"outcome":"acked"}\n' + line[:-9])
    assert [entry.outcome for entry in read_ledgers([path]).values()] == ["acked"]
