"""One contract for every transport: what is sent arrives, once, in order, as it was."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.errors import SettingsError
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings, execution
from arc_eval_db.producers.outbox import Importance, OutgoingRecord
from arc_eval_db.producers.transports import (
    FileTransport,
    MemoryTransport,
    StdoutTransport,
    Transport,
    TransportError,
    make_transport,
)
from arc_eval_db.producers.transports.kafka import KafkaTransport
from arc_eval_db.replay import read_all
from arc_eval_db.schemas.ids import new_execution_id
from arc_eval_db.schemas.topics import RECORD_BYTES_MAX, TopicNames
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.fake_transport import FakeTransport
from support.scripts import run_script
from support.servers import Servers

EXECUTIONS = [new_execution_id() for _ in range(3)]


def record(number: int, *, prefix: str = "arc-eval", size: int = 0) -> OutgoingRecord:
    execution = EXECUTIONS[number % len(EXECUTIONS)]
    value = json.dumps({"number": number, "text": "é\\u0001" + "x" * size}, ensure_ascii=False).encode()
    return OutgoingRecord(
        topic=f"{prefix}.executions",
        key=str(execution).encode(),
        value=value,
        headers=(("ce_type", b"t"), ("ce_id", str(number).encode())),
        timestamp_ms=1_770_000_000_000 + number,
        execution_id=execution,
        importance=Importance.ORDINARY,
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """A transport, and what has arrived at its other end."""

    transport: Transport
    received: Callable[[], Awaitable[list[OutgoingRecord]]]
    """Of the file and standard output only the value is comparable: they have no keys, headers and timestamps."""
    prefix: str = "arc-eval"
    has_envelope: bool = True


async def read_log(settings: KafkaSettings) -> list[OutgoingRecord]:
    """Everything that the topics hold, each key in its order."""
    found = []
    async for batch in read_all(settings, TopicNames(settings.topic_prefix).all):
        for item in batch:
            assert item.value is not None
            assert item.key is not None
            sample = record(int(dict(item.headers)["ce_id"]))
            assert sample.key == item.key
            found.append(
                OutgoingRecord(
                    # The broker stamps records itself.
                    item.topic,
                    item.key,
                    item.value,
                    item.headers,
                    sample.timestamp_ms,
                    sample.execution_id,
                    Importance.ORDINARY,
                )
            )
    return found


async def make_topics(servers: Servers) -> KafkaSettings:
    """As the fixture `kafka_settings`, for a test that does not always need a broker."""
    settings = KafkaSettings(
        bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=f"test-{new_execution_id().hex}"
    )
    async with TopicsAdmin(settings) as admin:
        await admin.create(partitions=2)
    return settings


@pytest.fixture(params=["memory", "file", "stdout", "fake", pytest.param("kafka", marks=pytest.mark.kafka)])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Subject]:
    async def lines_of(path: Path) -> list[OutgoingRecord]:
        numbers = [json.loads(line)["number"] for line in path.read_bytes().splitlines()]
        values = path.read_bytes().splitlines()
        return [record(number)._replace(value=value) for number, value in zip(numbers, values, strict=True)]

    if request.param in ("memory", "fake"):
        transport = MemoryTransport() if request.param == "memory" else FakeTransport()

        async def records() -> list[OutgoingRecord]:
            return transport.records

        yield Subject(transport, records)
    elif request.param == "file":
        path = tmp_path / "made" / "for it" / "events.jsonl"
        yield Subject(FileTransport(path), lambda: lines_of(path), has_envelope=False)
    elif request.param == "stdout":
        path = tmp_path / "stdout"
        with path.open("w") as stdout:
            monkeypatch.setattr(sys, "__stdout__", stdout)
            yield Subject(StdoutTransport(), lambda: lines_of(path), has_envelope=False)
    else:
        settings = await make_topics(request.getfixturevalue("servers"))
        made = make_transport(ProducerSettings(EmitterSettings(), settings, "/sandboxes/test", None))
        assert made is not None
        yield Subject(made, lambda: read_log(settings), prefix=settings.topic_prefix)
        await made.close()


def by_key(records: list[OutgoingRecord]) -> dict[bytes, list[OutgoingRecord]]:
    return {key: [item for item in records if item.key == key] for key in sorted({item.key for item in records})}


async def test_what_is_sent_arrives_once_and_in_order(subject: Subject) -> None:
    sent = [record(number, prefix=subject.prefix) for number in range(300)]
    await subject.transport.open()
    for start in range(0, 300, 100):
        assert not list(await subject.transport.send(sent[start : start + 100]))
    await subject.transport.close()
    received = await subject.received()
    assert len(received) == 300
    assert [item.value for items in by_key(received).values() for item in items] == [
        item.value for items in by_key(sent).values() for item in items
    ]
    if subject.has_envelope:
        assert by_key(received) == by_key(sent)


async def test_it_opens_again_after_close_and_closes_twice(subject: Subject) -> None:
    await subject.transport.close()
    for number in range(2):
        await subject.transport.open()
        await subject.transport.send([record(number, prefix=subject.prefix)])
        await subject.transport.close()
        await subject.transport.close()
    assert len(await subject.received()) == 2


async def test_nothing_is_fine_too(subject: Subject) -> None:
    await subject.transport.open()
    assert not list(await subject.transport.send([]))
    await subject.transport.close()


@pytest.mark.kafka
async def test_kafka_refuses_what_is_too_large_and_takes_the_rest(kafka_settings: KafkaSettings) -> None:
    transport = make_transport(ProducerSettings(EmitterSettings(), kafka_settings, "/sandboxes/test", None))
    assert transport is not None
    prefix = kafka_settings.topic_prefix
    sent = [record(0, prefix=prefix), record(1, prefix=prefix, size=RECORD_BYTES_MAX), record(2, prefix=prefix)]
    await transport.open()
    assert list(await transport.send(sent)) == [1]
    await transport.close()
    assert {item.value for item in await read_log(kafka_settings)} == {sent[0].value, sent[2].value}


@pytest.mark.kafka
async def test_kafka_fails_in_time_where_a_topic_is_missing(kafka_settings: KafkaSettings) -> None:
    settings = replace(kafka_settings, topic_prefix="no-such", request_timeout_ms=500)
    transport = make_transport(ProducerSettings(EmitterSettings(), settings, "/sandboxes/test", None))
    assert transport is not None
    await transport.open()
    started = time.monotonic()
    with pytest.raises(TransportError, match="Kafka did not take the events"):
        await transport.send([record(0, prefix="no-such")])
    assert time.monotonic() - started < 5
    await transport.close()


@pytest.mark.kafka
async def test_kafka_connections_are_closed_where_the_client_hangs(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = KafkaTransport(kafka_settings)
    await transport.open()
    await transport.send([record(0, prefix=kafka_settings.topic_prefix)])
    producer = transport._producer
    assert producer is not None
    monkeypatch.setattr(producer, "stop", asyncio.Event().wait)  # as while its broker is away
    connections = list(producer.client._conns.values())
    assert any(connection.connected() for connection in connections)
    await transport.close()
    assert not any(connection.connected() for connection in connections)
    monkeypatch.undo()
    await producer.stop()


@pytest.mark.kafka
async def test_a_whole_run_through_kafka(kafka_settings: KafkaSettings) -> None:
    settings = ProducerSettings(
        EmitterSettings(close_timeout_s=30),
        kafka_settings,
        "/sandboxes/test",
        "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    async with (
        EventEmitter(settings=settings) as emitter,
        execution("s", {"a": 1}, emitter=emitter) as run,
    ):
        for _ in range(20):
            run.tool_used("t", success=True)
        run.failure("k", "m")
    topics = TopicNames(kafka_settings.topic_prefix)
    found = [item async for batch in read_all(kafka_settings, topics.all) for item in batch]
    assert len(found) == 23
    for item in found:
        assert item.value is not None
        event = json.loads(item.value)
        assert item.topic == topics.of_type(event["type"])
        assert item.key == event["subject"].encode() == str(run.execution_id).encode()
        headers = dict(item.headers)
        assert headers["ce_type"] == event["type"].encode()
        assert headers["ce_id"] == event["id"].encode()
        assert headers["traceparent"] == event["traceparent"].encode()
    assert len({item.partition for item in found if item.topic.endswith("tool-usage")}) == 1


@pytest.mark.parametrize("broker", ["refuses", "is silent"])
async def test_kafka_gives_up_on_a_broker_in_time(broker: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if broker == "is silent":
            listener.listen(8)
        settings = KafkaSettings(f"127.0.0.1:{listener.getsockname()[1]}", request_timeout_ms=300)
        transport = make_transport(ProducerSettings(EmitterSettings(), settings, "/sandboxes/test", None))
        assert transport is not None
        started = time.monotonic()
        with pytest.raises(TransportError, match="cannot reach Kafka"):
            await transport.open()
        await transport.close()
        await transport.close()
        assert time.monotonic() - started < 5


def test_the_settings_choose_the_transport(tmp_path: Path) -> None:
    def made(**settings: object) -> str:
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
        emitter = EmitterSettings(**settings)  # type: ignore[arg-type]  # each as the test gives it
        return type(make_transport(ProducerSettings(emitter, kafka, "/s", None))).__name__

    assert made() == "KafkaTransport"
    assert made(transport="none") == "NoneType"
    assert made(transport="memory") == "MemoryTransport"
    assert made(transport="stdout") == "StdoutTransport"
    assert made(transport="file", events_file=tmp_path / "x") == "FileTransport"
    with pytest.raises(SettingsError, match="ARC_EVAL_EVENTS_FILE"):
        made(transport="file")


def test_processes_share_a_file_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = """
from arc_eval_db.producers import EventEmitter, execution
with EventEmitter() as emitter, execution("s", {}, emitter=emitter) as run:
    for number in range(1500):
        run.tool_used("t", success=True, arguments={"text": "x" * (number % 700)})
"""
    environment = {**os.environ, "ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(path)}
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len(events) == len({event["id"] for event in events}) == 2 * 1502
    sequences: dict[str, list[int]] = {}
    for event in events:
        sequences.setdefault(event["subject"], []).append(int(event["sequence"]))
    assert list(sequences.values()) == [list(range(1, 1503))] * 2


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("a file stands where the folder should be")
    path = blocked / "events.jsonl"
    emitter = EventEmitter(transport=FileTransport(path))
    async with execution("s", {}, emitter=emitter) as run:
        await eventually(lambda: "cannot append" in caplog.text, "the failure is logged")
        blocked.unlink()
        run.progress("the way is free")
        assert (await emitter.flush_async(timeout=30)).complete
    emitter.close()
    assert len(path.read_text().splitlines()) == 3


async def test_a_full_disk_tears_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes half a line and is then full; later there is room again."""
    path = tmp_path / "events.jsonl"
    transport = FileTransport(path)
    write = os.write
    outcomes = iter(["half", "full"])

    def write_until_full(descriptor: int, data: memoryview) -> int:
        match next(outcomes, None):
            case "half":
                return write(descriptor, data[: len(data) // 2])
            case "full":
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_until_full)
        await transport.open()
        with pytest.raises(TransportError, match="No space left"):
            await transport.send([record(1)])
        await transport.close()
        await transport.open()
        await transport.send([record(1), record(2)])
        await transport.send([record(3)])
        await transport.close()
    torn, *whole = path.read_bytes().splitlines()
    assert [json.loads(line)["number"] for line in whole] == [1, 2, 3]
    with contextlib.suppress(ValueError):
        pytest.fail(f"a whole line where half of one was written: {json.loads(torn)}")


async def test_a_file_may_be_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    transport = FileTransport(path)
    await transport.open()
    await transport.send([record(1)])
    await transport.close()
    assert os.read(reader, 10_000) == record(1).value + b"\n"
    os.close(reader)


STDOUT_SCRIPT = """
import contextlib, io
from arc_eval_db.producers import execution
caught = io.StringIO()
with execution("s", {}) as run:
    print("the agent's own line")
    with contextlib.redirect_stdout(caught):
        print("a tool's output")
        run.progress("caf\\u00e9")
        run._emitter.flush(timeout=30)
assert caught.getvalue() == "a tool's output\\n", caught.getvalue()
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_standard_output_has_whole_lines_and_keeps_out_of_what_is_redirected(encoding: str) -> None:
    ended = run_script(STDOUT_SCRIPT, {"ARC_EVAL_TRANSPORT": "stdout", "PYTHONIOENCODING": encoding})
    assert (ended.code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "the agent's own line" in lines
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert [event["type"].split(".")[-2] for event in events] == ["started", "progressed", "completed"]
    assert len(lines) == 4


def test_no_standard_output_is_counted_as_loss() -> None:
    script = """
import sys
sys.__stdout__.close()
sys.stdout = sys.__stdout__ = None
from arc_eval_db.producers import execution
with execution("s", {}):
    pass
"""
    ended = run_script(script, {"ARC_EVAL_TRANSPORT": "stdout", "ARC_EVAL_CLOSE_TIMEOUT_S": "0.3"})
    assert ended.code == 0
    assert "there is no standard output" in ended.stderr
    assert "2 events could not be delivered and are lost" in ended.stderr
