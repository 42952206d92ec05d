"""`arc-eval-db replay`: what it shows, asks for, and leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.bench import wire
from arc_eval_db.bench.kafka import fill
from arc_eval_db.bench.workloads import LIFECYCLE, Workload
from arc_eval_db.cli import replay_output
from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.replay import EventFilter, HeldJob, JobPlan, JobStatus, JobStore, RenewedSession, ReplayProgress
from arc_eval_db.schemas.topics import COMPLETED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from conftest import TEST_PARTITIONS
from support.conditions import eventually
from support.events import event
from support.replays import whole
from support.tables import EVENT_TABLES, contents
from support.topics import delete_records, produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]

Command = Callable[..., Result]


def environment(kafka: KafkaSettings, database: DatabaseSettings) -> dict[str, str]:
    assert kafka.bootstrap_servers is not None
    return {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ARC_EVAL_TOPIC_PREFIX": kafka.topic_prefix,
        "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
    }


@pytest.fixture
def partition(kafka_settings: KafkaSettings) -> TopicPartition:
    return TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)


NOWHERE = {
    "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "ARC_EVAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
}


@pytest.fixture(autouse=True)
def _signals_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `replay` does to them would outlive it in this process."""
    monkeypatch.setattr("arc_eval_db.cli.replay.end_like_ctrl_c", lambda: None)


@pytest.fixture
def run(kafka_settings: KafkaSettings, database: DatabaseSettings) -> Command:
    """Runs `replay` with these arguments."""

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["replay", *arguments], env=environment(kafka_settings, database))

    return invoke


def put(settings: KafkaSettings, partition: TopicPartition, *events: dict[str, Any]) -> None:
    asyncio.run(produce(settings, partition, events))


def test_records_as_json_lines(run: Command, kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    put(kafka_settings, partition, event(COMPLETED), event(COMPLETED, {"score": 0.75}), event(COMPLETED))
    shown = run(f"{partition}=1:2", "--json")
    assert shown.exit_code == 0, shown.output
    (line,) = map(json.loads, shown.stdout.splitlines())
    assert (line["partition"], line["offset"], line["value"]["data"]["score"]) == (0, 1, 0.75)
    assert line["key"] == line["value"]["subject"]
    assert shown.stderr == ""


def test_records_for_people(run: Command, kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    """The plan goes to standard error; nothing in an event steers the terminal."""
    put(kafka_settings, partition, event(COMPLETED, {"error_message": "\x1b[31mred"}))
    shown = run(partition.topic)
    assert shown.exit_code == 0, shown.output
    assert f" {partition}@0 execution.completed.v1 " in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "first offset" in shown.stderr
    assert "1 records at the most" in shown.stderr


def test_a_plan_reads_nothing(run: Command, kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    put(kafka_settings, partition, event(COMPLETED), event(COMPLETED))
    shown = run(partition.topic, "-r", "-1", "--plan", "--json")
    document = json.loads(shown.stdout)
    assert (document["records_max"], document["truncated"]) == (1, 0)
    assert document["partitions"][0]["topic"] == partition.topic
    assert (document["partitions"][0]["first"], document["partitions"][0]["end"]) == (1, 2)
    table = run(partition.topic, "--plan")
    assert "2 records at the most" in table.stdout


def test_what_retention_took_is_not_passed_over(
    run: Command, kafka_settings: KafkaSettings, partition: TopicPartition
) -> None:
    put(kafka_settings, partition, event(COMPLETED), event(COMPLETED))
    asyncio.run(delete_records(kafka_settings, partition, before=1))
    refused = run(f"{partition}=0:2", "--json")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--allow-truncated" in refused.stderr
    read = run(f"{partition}=0:2", "--json", "--allow-truncated")
    assert [json.loads(line)["offset"] for line in read.stdout.splitlines()] == [1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage"),
        (("--to", "file", "t"), "--to file needs --file FILE"),
        (("--file", "x", "t"), "--file is for --to file"),
        (("--to", "topic", "t"), "--to topic needs --target-topic TOPIC"),
        (("--target-topic", "x", "t"), "--target-topic is for --to topic"),
        (("--dry-run", "t"), "--dry-run is for --to database"),
        (("--yield-to-lag", "1", "t"), "--yield-to-lag is for --to database and --to topic"),
        (("--plan",), "name a topic"),
        (("--from-file", __file__, "t"), "name one or the other"),
        (("--from-file", __file__, "--to", "topic", "--target-topic", "x"), "--from-file goes to"),
        (("--rate", "0", "t"), "--rate"),
        (("--keep", "t"), "--keep is for --to shadow"),
        (("--from-file", __file__, "--plan"), "--plan and --allow-truncated are for topics"),
        (("--verify", "--rate", "5", "t"), "--rate is not for --verify"),
        (("--verify", "--to", "database", "t"), "--verify compares topics with the tables"),
        (("--verify", "--type", "completed", "t"), "--verify compares whole ranges"),
        (("--from-file", __file__, "--to", "shadow"), "--from-file goes to"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: tuple[str, ...], said: str) -> None:
    """Before any server is asked."""
    refused = CliRunner().invoke(cli, ["replay", *arguments], env=NOWHERE)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such-topic",), "the topic no-such-topic does not exist"),
        (("t", "-r", "1h"), "a time needs @"),
        (("a b",), "is no topic"),
        (("t", "--type", "finished"), "no event type is called 'finished'"),
        (("t", "--where", "a ="), "is no JMESPath expression"),
        (("resume", "00000000-0000-0000-0000-000000000000"), "arc-eval-db replay jobs"),
        (("--from-file", __file__), "line 1 is not a record"),
    ],
)
def test_errors_say_what_to_do(run: Command, arguments: tuple[str, ...], said: str) -> None:
    failed = run(*arguments)
    assert failed.exit_code == 1
    assert said in failed.stderr
    assert "Traceback" not in failed.output


def test_help_is_that_of_a_replay(run: Command) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    for expected in ("Usage: cli replay [OPTIONS] [TOPIC[/PARTITION][=RANGE]]...", "--yield-to-lag", "resume", "jobs"):
        assert expected in shown.stdout
    assert run().exit_code in (0, 2)


async def test_into_the_database(
    run: Command, kafka_settings: KafkaSettings, partition: TopicPartition, session: Session
) -> None:
    await produce(kafka_settings, partition, [event(COMPLETED), event(COMPLETED, {"score": "x"})])
    tried = await asyncio.to_thread(run, partition.topic, "--to", "database", "--dry-run")
    assert tried.exit_code == 3, "something would be refused"
    assert "dry run, nothing was changed: of 2 records 1 would be inserted" in tried.stdout
    assert "refused, invalid_data: 1" in tried.stdout
    assert await session.fetch_value("SELECT count(*) FROM outcomes") == 0
    done = await asyncio.to_thread(run, partition.topic, "--to", "database", "--json", "--by", "me@there")
    document = json.loads(done.stdout)
    assert (document["records"], document["inserted"], document["refused"]) == (2, 1, {"invalid_data": 1})
    assert f"arc-eval-db replay resume {document['job']}" in done.stderr
    again = await asyncio.to_thread(run, partition.topic, "--to", "database")
    assert "no row and no aggregate has changed" in again.stdout
    listed = json.loads((await asyncio.to_thread(run, "jobs", "--json")).stdout)["jobs"]
    assert [(job["status"], job["left"]) for job in listed] == [("completed", 0)] * 2
    assert listed[1]["requested_by"] == "me@there"
    assert document["job"] in (await asyncio.to_thread(run, "jobs")).stdout


async def test_to_a_file_and_from_it(
    run: Command, kafka_settings: KafkaSettings, partition: TopicPartition, session: Session, tmp_path: Path
) -> None:
    await produce(kafka_settings, partition, [event(COMPLETED), event(COMPLETED)])
    file = str(tmp_path / "log.jsonl.gz")
    written = await asyncio.to_thread(run, partition.topic, "--to", "file", "--file", file)
    assert (written.exit_code, written.stdout) == (0, f"2 of 2 records written to {file}\n")
    again = await asyncio.to_thread(run, partition.topic, "--to", "file", "--file", file)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    shown = await asyncio.to_thread(run, "--from-file", file, "--json", "--where", "data.status")
    assert len(shown.stdout.splitlines()) == 2
    stored = await asyncio.to_thread(run, "--from-file", file, "--to", "database")
    assert stored.exit_code == 0, stored.output
    assert await session.fetch_value("SELECT count(*) FROM outcomes") == 2


async def test_the_log_is_compared_with_the_tables(
    run: Command,
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    partition: TopicPartition,
    session: Session,
    group: str,
) -> None:
    """Exactly the rows that were deleted, changed and added behind its back are named."""
    await produce(kafka_settings, partition, [event(COMPLETED) for _ in range(6)])
    report = await Worker(kafka_settings, database, ConsumerSettings(group=group), until_caught_up=True).run()
    assert report.inserted == 6
    await produce(kafka_settings, partition, [event(COMPLETED)])
    verify = (partition.topic, "--verify", "--group", group)
    agrees = await asyncio.to_thread(run, *verify)
    assert agrees.exit_code == 0, agrees.output
    assert "the tables hold what the log says: 6 records in 1 windows, 6 rows" in agrees.stdout
    assert "1 offsets are not consumed yet, and were left out" in agrees.stdout
    wrong = await asyncio.to_thread(run, partition.topic, "--verify", "--group", "nobody")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "the group nobody has consumed none of this" in wrong.stderr
    at = {row["log_offset"]: str(row["event_id"]) for row in await session.fetch("SELECT * FROM outcomes")}
    added = "01a21225-d906-7b67-a0d3-7f8165b2f86e"
    await session.execute("DELETE FROM outcomes WHERE log_offset = 1")
    await session.execute("UPDATE outcomes SET score = 0.75 WHERE log_offset = 3")
    await session.execute(
        "INSERT INTO outcomes SELECT (jsonb_populate_record(each, jsonb_build_object('event_id', "
        f"'{added}'))).* FROM outcomes AS each WHERE log_offset = 5"
    )
    differs = await asyncio.to_thread(run, *verify, "--json")
    assert differs.exit_code == 3, differs.output
    document = json.loads(differs.stdout)
    (window,) = document["differing_windows"]
    assert (window["partition"], window["first"], window["end"]) == (0, 0, 6)
    found = {(each["kind"], each["event_id"], tuple(each["columns"])) for each in window["differences"]}
    assert found == {("missing", at[1], ()), ("changed", at[3], ("score",)), ("extra", added, ())}
    shown = await asyncio.to_thread(run, *verify)
    assert "1 of 1 windows differ" in shown.stdout
    for event_id in (at[1], at[3], added):
        assert event_id in shown.stdout
    before = await contents(session)
    shadow = await asyncio.to_thread(run, f"{partition}=:6", "--to", "shadow", "--json")
    assert shadow.exit_code == 3, shadow.output
    kinds = {(each["kind"], each["event_id"]) for each in json.loads(shadow.stdout)["differences"]}
    assert kinds == {("only_in_shadow", at[1]), ("changed", at[3]), ("only_live", added)}
    assert await contents(session) == before
    assert await session.fetch_value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'arc_eval_shadow%'") == 0
    kept = await asyncio.to_thread(run, f"{partition}=:1", "--to", "shadow", "--keep")
    assert kept.exit_code == 0, kept.output
    assert "today's code makes of the log what is live" in kept.stdout
    assert "arc-eval-db replay shadows --drop" in kept.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_a_backfill_that_ends_in_the_middle_is_gone_on_with(
    run: Command, kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, number: signal.Signals
) -> None:
    """The result is the same as without."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    work = Workload(LIFECYCLE, 750, TEST_PARTITIONS, 1, begin.isoformat())
    await fill(kafka_settings, wire.records(work))
    topics = TopicNames(kafka_settings.topic_prefix).all
    command = [sys.executable, "-m", "arc_eval_db.cli", "replay", *topics, "--to", "database", "--rate", "300"]
    variables = {**os.environ, **environment(kafka_settings, database)}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    counted = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in EVENT_TABLES)
    try:

        async def is_begun() -> bool:
            return bool(await session.fetch_value("SELECT (progress ->> 'batches')::int > 0 FROM replay_jobs"))

        await eventually(is_begun, "a batch was committed", timeout_s=60)
        process.send_signal(number)
        code = await asyncio.to_thread(process.wait, 30)
    finally:
        process.kill()
        process.wait()
    store = JobStore(session)
    (job,) = await store.list(10)
    if number is signal.SIGKILL:
        assert (code, job.status) == (-9, JobStatus.RUNNING)
    else:
        assert (code, job.status) == (130, JobStatus.PAUSED)
    assert 0 < await session.fetch_value(counted) < 750
    resumed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "arc_eval_db.cli", "replay", "resume", str(job.id), "--json"],
        env=variables,
        capture_output=True,
        check=True,
        timeout=60,
    )
    document = json.loads(resumed.stdout)
    assert (document["records"], document["inserted"], document["already_there"]) == (750, 750, 0)
    after = await contents(session)
    whole = await asyncio.to_thread(run, *topics, "--to", "database", "--json")
    assert json.loads(whole.stdout)["inserted"] == 0
    assert await contents(session) == after


def test_progress_tells_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    progress = ReplayProgress(1_000_000, read=10_000, began_at=90.0)
    assert replay_output.progress_text(progress) == "10,000 of 1,000,000 (1%), 1,000 a second, 16 min 30 s left"
    assert replay_output.progress_text(ReplayProgress(0, read=7)) == "7 read"
    assert progress.seconds_left == pytest.approx(990)


def test_a_tool_use_is_no_outcome(run: Command, kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    """Filters on the command line reach the records."""
    tools = TopicPartition(TopicNames(kafka_settings.topic_prefix).all[1], 0)
    put(kafka_settings, partition, event(COMPLETED))
    put(kafka_settings, tools, event(TOOL_USED), event(TOOL_USED, {"tool": "refund"}))
    both = (partition.topic, tools.topic, "--json")
    assert len(run(*both, "--type", "tool.used").stdout.splitlines()) == 2
    assert len(run(*both, "--where", "data.tool == 'refund'").stdout.splitlines()) == 1
    assert len(run(*both, "--since", "1h").stdout.splitlines()) == 3
    assert len(run(*both, "--until", "1h").stdout.splitlines()) == 0
    assert len(run(*both, "--scenario", "refund-flow").stdout.splitlines()) == 3
    assert len(run(*both, "--header", "h=v").stdout.splitlines()) == 0


def test_shadows_that_were_kept_are_listed_and_dropped(
    run: Command, kafka_settings: KafkaSettings, partition: TopicPartition
) -> None:
    put(kafka_settings, partition, event(COMPLETED))
    assert run("shadows").stdout == "no shadow tables\n"
    kept = json.loads(run(partition.topic, "--to", "shadow", "--keep", "--json").stdout)["schema"]
    assert json.loads(run("shadows", "--json").stdout) == {"shadows": [kept]}
    assert run("shadows", "--drop").stdout == f"dropped {kept}\n"
    assert json.loads(run("shadows", "--drop", "--json").stdout) == {"dropped": []}


def test_what_retention_took_is_asked_for_when_a_job_goes_on(
    run: Command, kafka_settings: KafkaSettings, partition: TopicPartition, database: DatabaseSettings
) -> None:
    put(kafka_settings, partition, *(event(COMPLETED) for _ in range(4)))

    async def begin() -> str:
        async with RenewedSession(database) as session:
            plan = JobPlan("database", await whole(kafka_settings, partition.topic), EventFilter())
            return str((await HeldJob.create(session, plan, "tests")).id)

    job_id = asyncio.run(begin())
    asyncio.run(delete_records(kafka_settings, partition, before=3))
    refused = run("resume", job_id)
    assert refused.exit_code == 1
    assert "add --allow-truncated" in refused.stderr
    done = run("resume", job_id, "--allow-truncated", "--json")
    assert json.loads(done.stdout)["inserted"] == 1
