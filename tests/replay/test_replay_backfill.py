"""Replays into the database: nothing twice, everything again, also when it was killed, also beside the living."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimitError
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, SchemaMismatchError, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.replay import (
    BackfillResult,
    EventFilter,
    FileTarget,
    HeldJob,
    JobError,
    JobStatus,
    JobStore,
    NobodyToYieldToError,
    ReplayPlan,
    ReplayProgress,
    batches_of_file,
    batches_of_log,
    open_log,
    read_file,
    replay_file_into_database,
    replay_into_database,
    run_replay,
)
from arc_eval_db.replay.backfill import Backfill
from arc_eval_db.schemas.topics import COMPLETED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import BatchWriter, TopicPartition
from support.databases import connect
from support.events import event
from support.replays import EVENTS, OPTIONS, whole
from support.roles import as_role
from support.tables import EVENT_TABLES, contents, empty, expected_views, view_values
from support.topics import produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]


async def consume(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    report = await Worker(kafka, database, ConsumerSettings(group=group), until_caught_up=True).run()
    assert report.caught_up


async def replay(kafka: KafkaSettings, database: DatabaseSettings, **options: Any) -> BackfillResult:
    return await replay_into_database(kafka, database, await whole(kafka), replace(OPTIONS, **options))


async def test_into_a_full_database_changes_nothing(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await consume(filled, database, group)
    before = await contents(session), await expected_views(session)
    offsets = await session.fetch("SELECT * FROM consumer_offsets ORDER BY topic, partition")
    result = await replay(filled, database)
    assert (result.report.records, result.report.inserted, result.report.already_there) == (EVENTS + 2, 0, EVENTS)
    assert dict(result.report.refused) == {"invalid_data": 2}
    assert result.after.refreshed == []
    assert await contents(session) == before[0]
    assert await view_values(session) == before[1]
    assert await session.fetch("SELECT * FROM consumer_offsets ORDER BY topic, partition") == offsets


async def test_into_an_emptied_database_restores_the_same_rows(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str, edition: Edition
) -> None:
    await consume(filled, database, group)
    before = await contents(session), await expected_views(session)
    await empty(session)
    result = await replay(filled, database)
    assert (result.report.inserted, result.report.already_there) == (EVENTS, 0)
    assert await contents(session) == before[0]
    assert (await view_values(session)) == before[1]
    assert bool(result.after.refreshed) == (edition is Edition.TIMESCALEDB)
    assert result.after.not_refreshed == []
    assert sum(result.report.tables.values()) == EVENTS


@pytest.mark.usefixtures("timescaledb")
async def test_into_compressed_chunks_too(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await consume(filled, database, group)
    before = await contents(session)
    for table in EVENT_TABLES:
        await session.execute(f"SELECT compress_chunk(each) FROM show_chunks('{table}') AS each")
    again = await replay(filled, database)
    assert (again.report.inserted, again.report.already_there) == (0, EVENTS)
    assert await contents(session) == before
    for table in EVENT_TABLES:
        await session.execute(f"DELETE FROM {table} WHERE sequence % 2 = 0")
    assert await contents(session) != before
    for table in EVENT_TABLES:
        await session.execute(
            f"SELECT compress_chunk(each, if_not_compressed => true) FROM show_chunks('{table}') AS each"
        )
    result = await replay(filled, database)
    assert result.report.inserted > EVENTS // 3
    assert await contents(session) == before
    assert result.after.compressed_chunks >= len(EVENT_TABLES)
    assert {"outcomes_hourly", "outcomes_daily"} <= set(result.after.refreshed)


async def test_a_dry_run_says_what_would_be_and_changes_nothing(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    topic = TopicPartition(TopicNames(filled.topic_prefix).all[0], 0)
    twice = event(COMPLETED)
    await produce(filled, topic, [twice, twice])
    empty_before = await contents(session)
    first = await replay(filled, database, dry_run=True, records_per_s=1_000_000)
    assert (first.report.inserted, first.report.already_there) == (EVENTS + 1, 1)
    assert dict(first.report.refused) == {"invalid_data": 2}
    assert first.job_id is None
    assert await contents(session) == empty_before
    await consume(filled, database, group)
    full_before = await contents(session)
    second = await replay(filled, database, dry_run=True)
    assert (second.report.inserted, second.report.already_there) == (0, EVENTS + 2)
    assert await contents(session) == full_before
    assert await session.fetch_value("SELECT count(*) FROM replay_jobs") == 0


async def test_what_comes_twice_in_a_dry_run_is_counted_once(
    kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    """Also where each stands in a batch of its own, and each batch is taken back."""
    topic = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    twice = event(COMPLETED)
    await produce(kafka_settings, topic, [twice, event(COMPLETED), twice])
    result = await replay(kafka_settings, database, dry_run=True, records_per_s=1)
    assert (result.report.inserted, result.report.already_there) == (2, 1)


@pytest.mark.parametrize("kind", ["cancelled", "lost"])
async def test_a_job_goes_on_where_it_was(
    filled: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    await consume(filled, database, group)
    before = await contents(session)
    await empty(session)
    jobs: list[UUID] = []
    batches = 0

    def on_progress(_: ReplayProgress) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            if kind == "cancelled":
                task.cancel()
            else:
                raise DatabaseUnavailableError("away for good")

    async def work() -> None:
        await replay(filled, database, records_per_s=500, on_job=jobs.append, on_progress=on_progress)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError if kind == "cancelled" else DatabaseUnavailableError):
        await task
    store = JobStore(session)
    (job,) = await store.list(10)
    assert job.status is (JobStatus.PAUSED if kind == "cancelled" else JobStatus.FAILED)
    assert (job.id, job.requested_by) == (jobs[0], "tests@here")
    done = job.counts["records"]
    assert 0 < done < EVENTS
    left = sum(offsets.end - offsets.first for offsets in job.left().values())
    assert done + left == EVENTS + 2
    result = await replay_into_database(filled, database, ReplayPlan(()), OPTIONS, resume=job.id)
    assert result.report.records == EVENTS + 2
    assert result.report.inserted == EVENTS
    assert await contents(session) == before
    assert (await store.read(job.id)).status is JobStatus.COMPLETED
    with pytest.raises(JobError, match="is completed; to do it once more"):
        await replay_into_database(filled, database, ReplayPlan(()), OPTIONS, resume=job.id)


async def test_a_dry_run_that_is_tried_again_counts_once(
    kafka_settings: KafkaSettings, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, topic, [event(COMPLETED), event(COMPLETED)])
    original = BatchWriter.write_batch
    calls = 0

    async def fails_once(self: BatchWriter, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise DatabaseUnavailableError("for a moment")
        return await original(self, *arguments)

    monkeypatch.setattr(BatchWriter, "write_batch", fails_once)
    result = await replay(kafka_settings, database, dry_run=True)
    assert (calls, result.report.inserted, result.report.already_there) == (2, 2, 0)


async def test_rows_and_how_far_a_job_is_are_one_transaction(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before the note fails is taken back with it."""
    original = HeldJob.note

    async def fails(self: HeldJob, *arguments: Any) -> None:
        await original(self, *arguments)
        raise SchemaMismatchError("in between")

    monkeypatch.setattr(HeldJob, "note", fails)
    with pytest.raises(SchemaMismatchError):
        await replay(filled, database)
    assert (await contents(session, ("outcomes",)))["outcomes"][0] == 0
    (job,) = await JobStore(session).list(1)
    assert (job.status, job.error, job.positions) == (JobStatus.FAILED, "in between", {})


async def test_a_database_that_is_away_is_waited_for(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are cut at the second batch."""
    original = Backfill.write
    calls = 0

    async def cut(self: Backfill, its_session: Session, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            pid = await its_session.fetch_value("SELECT pg_backend_pid()")
            await session.fetch("SELECT pg_terminate_backend($1)", pid)
        await original(self, its_session, *arguments)

    monkeypatch.setattr(Backfill, "write", cut)
    result = await replay(filled, database, records_per_s=1_000)
    assert calls >= 4
    assert (result.report.records, result.report.inserted) == (EVENTS + 2, EVENTS)


async def test_a_bad_deploy_ends_a_replay_before_it_fills_the_dead_letters(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    topic = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, topic, [event(COMPLETED, {"status": "unheard of"}) for _ in range(1_100)])
    with pytest.raises(DeadLetterLimitError):
        await replay(kafka_settings, database)
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 0


async def test_only_what_is_meant_is_written(
    filled: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    chosen = EventFilter(types=(COMPLETED,), where="data.status == 'succeeded'")
    result = await replay_into_database(filled, database, await whole(filled), OPTIONS, chosen)
    assert 0 < result.report.inserted == result.report.records < EVENTS / 10
    assert (
        await session.fetch_value("SELECT count(*) FROM outcomes WHERE status = 'succeeded'") == result.report.inserted
    )
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 0


async def test_the_admins_rights_are_enough(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, edition: Edition
) -> None:
    """But for continuous aggregates, which their owner refreshes, or their policy."""
    login = await as_role(database, "arc_eval_admin")
    result = await replay_into_database(filled, login, await whole(filled), OPTIONS)
    assert result.report.inserted == EVENTS
    assert result.after.refreshed == []
    assert bool(result.after.not_refreshed) == (edition is Edition.TIMESCALEDB)


async def test_to_a_file_and_back(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str, tmp_path: Any
) -> None:
    await consume(filled, database, group)
    before = await contents(session)
    await empty(session)
    plan = await whole(filled)
    with FileTarget(tmp_path / "log.jsonl.gz") as target:
        async with open_log(filled) as reader:
            batches = batches_of_log(reader, plan.ranges(), EventFilter())
            await run_replay(batches, target, progress=ReplayProgress(plan.records_max))
    found = batches_of_file(read_file(tmp_path / "log.jsonl.gz"), EventFilter())
    result = await replay_file_into_database(filled, database, found, OPTIONS)
    assert result.report.inserted == EVENTS
    assert await contents(session) == before


async def test_it_waits_while_the_living_are_behind(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    with pytest.raises(NobodyToYieldToError, match=r"has never consumed .* --group"):
        await replay(filled, database, lag_s_max=5.0, group=group)
    await consume(filled, database, group)
    topic = TopicPartition(TopicNames(filled.topic_prefix).all[0], 0)
    await produce(filled, topic, [event(COMPLETED)])
    waited = asyncio.Event()
    lags: list[float] = []

    def on_wait(lag_s: float) -> None:
        lags.append(lag_s)
        waited.set()

    task = asyncio.create_task(replay(filled, database, lag_s_max=0.0, group=group, on_wait=on_wait))
    await asyncio.wait_for(waited.wait(), 30)
    assert lags[0] > 0
    await consume(filled, database, group)
    result = await asyncio.wait_for(task, 60)
    assert result.waited_s > 0
    assert (result.report.inserted, result.report.already_there) == (0, EVENTS + 1)


async def test_other_connections_see_each_batch_whole_or_not_at_all(
    filled: KafkaSettings, database: DatabaseSettings
) -> None:
    async with await connect(database) as other:
        counts: list[int] = []
        counted = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in EVENT_TABLES)

        async def look() -> None:
            while True:
                counts.append(await other.fetch_value(counted))
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await replay(filled, database)
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
    assert set(counts) <= {0, EVENTS}
