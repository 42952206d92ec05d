"""Jobs: one process at a time, each batch once, whatever is lost on the way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import BatchTooLargeError, DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.errors import SettingsError
from arc_eval_db.replay import (
    Backfill,
    BackfillResult,
    EventFilter,
    HeldJob,
    JobError,
    JobPlan,
    JobStatus,
    JobStore,
    PlanError,
    Progress,
    RenewedSession,
    ReplayBatch,
    ReplayPlan,
    ReplayProgress,
    batches_of_file,
    batches_of_log,
    open_log,
    replay_file_into_database,
    replay_into_database,
    run_replay,
)
from arc_eval_db.replay import runner as runner_module
from arc_eval_db.replay.sessions import APPLICATION_NAME
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas.topics import COMPLETED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.events import event, record
from support.proxy import TcpProxy
from support.replays import EVENTS, OPTIONS, whole
from support.tables import contents
from support.topics import delete_records, produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = $2"


async def resume(kafka: KafkaSettings, database: DatabaseSettings, job_id: UUID, **options: Any) -> BackfillResult:
    return await replay_into_database(kafka, database, ReplayPlan(()), replace(OPTIONS, **options), resume=job_id)


async def test_what_a_job_counted_is_what_was_committed(
    filled: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    """Interrupted, resumed and killed: what the interruption wrote down is not what the kill left."""
    store = JobStore(session)
    async with RenewedSession(database) as link:
        held = await HeldJob.create(link, JobPlan("database", await whole(filled), EventFilter()), "tests@here")
        await held.note(session, Progress({}, {"records": 3}))
        await held.end(session, JobStatus.PAUSED, {"records": 2})
    assert (await store.read(held.id)).counts == {"records": 3}
    async with RenewedSession(database) as link:
        again = await HeldJob.resume(link, held.id)
        assert await again.noted(session) is None
        await again.note(session, Progress({}, {"records": 7}))
        assert (await store.read(held.id)).counts == {"records": 7}
        await again.end(session, JobStatus.COMPLETED, {"records": 9})
    assert (await store.read(held.id)).counts == {"records": 9}


async def test_a_job_that_is_at_work_is_left_alone(
    filled: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    held = asyncio.Event()
    begun = asyncio.Event()
    jobs: list[UUID] = []

    async def stand_still(self: Backfill, *_: Any) -> None:
        begun.set()
        await held.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backfill, "write", stand_still)
        plan = await whole(filled)
        options = replace(OPTIONS, on_job=jobs.append)
        task = asyncio.create_task(replay_into_database(filled, database, plan, options))
        await asyncio.wait_for(begun.wait(), 30)
        with pytest.raises(JobError, match="another process is at work on the job"):
            await resume(filled, database, jobs[0])
        held.set()
        await task
    with pytest.raises(JobError, match=r"no job 0{8}-"):
        await resume(filled, database, UUID(int=0))


async def test_a_job_that_was_taken_over_writes_nothing_more(
    filled: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    """Its connection was lost, and with it the lock, while it was waiting; whoever came then has the job."""
    taken = asyncio.Event()
    waiting = asyncio.Event()
    jobs: list[UUID] = []

    def on_progress(progress: ReplayProgress) -> None:
        if not waiting.is_set():
            waiting.set()

    class Stop:
        async def wait(self, _records: int) -> None:
            if waiting.is_set():
                await taken.wait()

    options = replace(OPTIONS, records_per_s=500, on_job=jobs.append, on_progress=on_progress)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(options), "paces", lambda _: [Stop()])
        first = asyncio.create_task(replay_into_database(filled, database, await whole(filled), options))
        await asyncio.wait_for(waiting.wait(), 30)
        name = await session.fetch_value("SELECT current_database()")
        await session.fetch(TERMINATE, APPLICATION_NAME, name)
        patch.undo()
        second = await resume(filled, database, jobs[0])
        before = await contents(session)
        taken.set()
        with pytest.raises(JobError, match="another process has taken over the job"):
            await first
    assert second.report.inserted == EVENTS
    assert await contents(session) == before
    (job,) = await JobStore(session).list(1)
    assert (job.status, job.counts["inserted"]) == (JobStatus.COMPLETED, EVENTS), "the second one's word"


async def test_a_commit_whose_answer_is_lost_counts_once(
    filled: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    """What it inserted is not "there already", and the aggregates of its window are refreshed."""
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = DatabaseSettings(database_url=proxy.url)
        trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
        result = await replay_into_database(filled, through, await whole(filled), OPTIONS)
        assert trap.caught.is_set()
    assert (result.report.records, result.report.inserted, result.report.already_there) == (EVENTS + 2, EVENTS, 0)
    assert result.report.first_time is not None
    (job,) = await JobStore(session).list(1)
    assert (job.status, job.counts["inserted"]) == (JobStatus.COMPLETED, EVENTS)


async def test_without_a_job_a_lost_answer_leaves_the_window_to_be_refreshed(
    kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    records = [record(event(COMPLETED), offset=offset) for offset in range(3)]
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = DatabaseSettings(database_url=proxy.url)
        trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
        batches = batches_of_file([records], EventFilter())
        kafka = replace(kafka_settings, topic_prefix="arc-eval")
        result = await replay_file_into_database(kafka, through, batches, OPTIONS)
        assert trap.caught.is_set()
    assert (result.report.inserted, result.report.already_there) == (0, 3)
    assert result.report.first_time is not None


async def test_the_halves_of_what_is_too_much_count_once(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the first half and the second one."""
    original = Backfill.write
    calls = 0

    async def too_much_then_gone(self: Backfill, its_session: Session, batch: Any, positions: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise BatchTooLargeError("too much")
        if calls == 3:
            raise SettingsError("as good as killed")
        await original(self, its_session, batch, positions)

    monkeypatch.setattr(Backfill, "write", too_much_then_gone)
    with pytest.raises(SettingsError):
        await replay_into_database(filled, database, await whole(filled), OPTIONS)
    (job,) = await JobStore(session).list(1)
    assert job.counts["records"] == (EVENTS + 2) // 2
    assert sum(offsets.end - offsets.first for offsets in job.left().values()) == EVENTS + 2 - job.counts["records"]
    result = await resume(filled, database, job.id)
    assert (result.report.records, result.report.inserted) == (EVENTS + 2, EVENTS)
    assert result.report.already_there == 0


def test_halves_know_where_the_second_one_begins() -> None:
    a, b = TopicPartition("t", 0), TopicPartition("t", 1)
    records = [LogRecord("t", partition, offset, 0, None, b"", ()) for partition in (0, 1) for offset in (3, 5, 9)]
    first, second = ReplayBatch(records, 20, {a: 12, b: 15}).halves()
    assert (len(first.records), first.positions) == (3, {a: 12, b: 3})
    assert (len(second.records), second.positions) == (3, {a: 12, b: 15})
    first, second = ReplayBatch(records[:2], 2, {a: 12}).halves()
    assert (first.positions, second.positions) == ({a: 5}, {a: 12})


async def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "BATCH_BYTES_MAX", 1_000)
    found = [[LogRecord("t", 0, offset, 0, b"k", b"x" * 399, ())] for offset in range(7)]
    sizes: list[int] = []

    class Target:
        async def take(self, batch: ReplayBatch) -> None:
            sizes.append(len(batch.records))

    await run_replay(batches_of_file(found, EventFilter()), Target(), progress=ReplayProgress(7))
    assert sizes == [3, 3, 1]


async def test_a_restart_of_the_database_is_waited_for_by_all_its_connections(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """The one that writes and the one that looks at the lag; the job is done, and says so."""
    await session.execute(
        "INSERT INTO consumer_offsets (consumer_group, topic, partition, next_offset)"
        f" SELECT '{group}', '{TopicNames(filled.topic_prefix).all[0]}', 0, 1000000"
    )
    name = await session.fetch_value("SELECT current_database()")
    batches = 0

    def on_progress(_: ReplayProgress) -> None:
        nonlocal batches
        batches += 1

    class Cut:
        async def wait(self, _records: int) -> None:
            if batches in (1, 2):
                await session.fetch(TERMINATE, APPLICATION_NAME, name)

    options = replace(OPTIONS, records_per_s=1_000, lag_s_max=1e9, group=group, on_progress=on_progress)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(options), "paces", lambda _: [Cut()])
        patch.setattr("arc_eval_db.replay.pacing._LOOK_INTERVAL_S", 0.0)
        result = await replay_into_database(filled, database, await whole(filled), options)
    assert batches >= 3
    assert (result.report.records, result.report.inserted) == (EVENTS + 2, EVENTS)
    (job,) = await JobStore(session).list(1)
    assert job.status is JobStatus.COMPLETED


async def test_a_database_that_stays_away_leaves_the_error_as_it_was(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written down any more does not take the place of what happened."""
    soon = RetryPolicy(attempts_max=2, deadline_s=5.0, backoff_s_min=0.01, backoff_s_max=0.01)
    monkeypatch.setattr("arc_eval_db.replay.recorded.LAST_WORD", soon)

    async def gone(*_: Any) -> None:
        raise DatabaseUnavailableError("no more")

    async def fails(*_: Any) -> None:
        monkeypatch.setattr(HeldJob, "end", gone)
        raise SettingsError("what happened")

    monkeypatch.setattr(Backfill, "write", fails)
    with pytest.raises(SettingsError, match="what happened"):
        await replay_into_database(filled, database, await whole(filled), OPTIONS)
    (job,) = await JobStore(session).list(1)
    assert job.status is JobStatus.RUNNING, "as after a kill: it can be resumed"


async def test_retention_that_takes_what_was_planned_is_said(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    topic = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)
    await produce(kafka_settings, topic, [event(COMPLETED) for _ in range(10)])
    plan = await whole(kafka_settings)
    await delete_records(kafka_settings, topic, before=4)
    with pytest.raises(PlanError, match=rf"{topic} begins at 4: 4 offsets that were planned are gone .* --allow-trunc"):
        await replay_into_database(kafka_settings, database, plan, OPTIONS)
    (job,) = await JobStore(session).list(1)
    assert job.status is JobStatus.FAILED
    with pytest.raises(PlanError):
        await resume(kafka_settings, database, job.id)
    result = await resume(kafka_settings, database, job.id, allow_truncated=True)
    assert (result.report.records, result.report.inserted) == (6, 6)


async def test_settings_that_are_wrong_leave_no_job(
    filled: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARC_EVAL_CONSUMER_DEAD_LETTER_SHARE_MAX", "many")
    with pytest.raises(SettingsError):
        await replay_into_database(filled, database, await whole(filled), OPTIONS)
    assert await JobStore(session).list(1) == []


async def test_an_answer_that_is_lost_and_a_statement_that_is_cancelled_then_count_once(
    filled: KafkaSettings, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was cancelled was the waiting for the job's row: the batch is not too large, and not to be halved."""
    original = Session.fetch_value
    cancelled = 0

    async def cancels_once(self: Session, statement: str, *arguments: Any) -> Any:
        nonlocal cancelled
        if "FOR UPDATE" in statement and trap.caught.is_set() and not cancelled:
            cancelled += 1
            raise BatchTooLargeError("canceling statement due to user request")
        return await original(self, statement, *arguments)

    monkeypatch.setattr(Session, "fetch_value", cancels_once)
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = DatabaseSettings(database_url=proxy.url)
        trap = proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
        result = await replay_into_database(filled, through, await whole(filled), OPTIONS)
    assert cancelled == 1
    assert (result.report.records, result.report.inserted, result.report.already_there) == (EVENTS + 2, EVENTS, 0)


async def test_without_a_job_the_halves_of_what_may_be_there_are_all_refreshed(
    kafka_settings: KafkaSettings, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record(event(COMPLETED), offset=offset) for offset in range(4)]
    original = Backfill.write
    batches: list[int] = []

    async def too_much_at_the_second_attempt(self: Backfill, its_session: Session, batch: Any, positions: Any) -> None:
        batches.append(len(batch.rows))
        if len(batches) == 2:
            raise BatchTooLargeError("too much")
        await original(self, its_session, batch, positions)

    monkeypatch.setattr(Backfill, "write", too_much_at_the_second_attempt)
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = DatabaseSettings(database_url=proxy.url)
        proxy.trap("up", lambda chunk: b"COMMIT" in chunk, "lose_answer")
        kafka = replace(kafka_settings, topic_prefix="arc-eval")
        found = batches_of_file([records], EventFilter())
        result = await replay_file_into_database(kafka, through, found, OPTIONS)
    assert batches == [4, 4, 2, 2]
    times = sorted(event_time(one) for one in records)
    assert (result.report.first_time, result.report.last_time) == (times[0], times[-1])


def event_time(one: LogRecord) -> datetime:
    return datetime.fromisoformat(orjson.loads(one.value or b"")["time"])


async def test_a_target_that_fails_ends_a_reader_that_is_at_work(filled: KafkaSettings) -> None:
    """A reader that did not notice that it is cancelled would wait for ever to hand its next batch over."""

    @dataclass
    class Fails:
        turns: int

        async def take(self, batch: ReplayBatch) -> None:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            raise SettingsError("at the first batch")

    plan = await whole(filled)
    for turns in range(5):
        async with open_log(filled) as reader, asyncio.timeout(20):
            with pytest.raises(SettingsError):
                batches = batches_of_log(reader, plan.ranges(), EventFilter(), 10)
                await run_replay(batches, Fails(turns), progress=ReplayProgress(plan.records_max))
