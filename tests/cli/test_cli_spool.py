"""`arc-eval-db spool`: what sandboxes left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.producers import MemoryTransport, execution
from arc_eval_db.producers.emitter import EventEmitter
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.spool_format import to_lines
from arc_eval_db.producers.spool_segments import Segment
from arc_eval_db.settings import KafkaSettings

UNREACHABLE = {"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS": "1000"}


def segment(directory: Path, tools: int = 1, *, living: bool = False, prefix: str = "arc-eval") -> Segment:
    """One execution's events, as a process leaves them that was killed; or as one holds them that is not."""
    memory = MemoryTransport()
    settings = ProducerSettings.from_environment({"ARC_EVAL_TOPIC_PREFIX": prefix}, hostname="h", pid=7)
    with EventEmitter(transport=memory, settings=settings) as emitter, execution("s", {}, emitter=emitter) as run:
        for _ in range(tools):
            run.tool_used("t", success=True)
    made = Segment(directory)
    made.append(to_lines(memory.records))
    if not living:
        made.close()
    return made


def command(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["spool", *map(str, arguments)], env=environment, prog_name="arc-eval-db")


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    for name in ("push", "list"):
        empty = command(name, tmp_path, **UNREACHABLE)
        assert (empty.exit_code, "holds no segments" in empty.output) == (0, True)
        missing = command(name, tmp_path / "missing", **UNREACHABLE)
        assert (missing.exit_code, "does not exist" in missing.output) == (2, True)
    living = segment(tmp_path, 7, living=True)
    assert "the 1 segments in" in command("push", tmp_path, **UNREACHABLE).output
    segment(tmp_path)
    listed = orjson.loads(command("list", tmp_path, "--json").output)
    assert [(item["events"], item["in_use"]) for item in listed] == [(9, True), (3, False)]
    assert "in use" in command("list", ARC_EVAL_SPOOL_DIR=str(tmp_path)).output
    living.close()


def test_the_command_without_kafka(tmp_path: Path) -> None:
    path = segment(tmp_path).path
    ended = command("push", tmp_path, **UNREACHABLE)
    assert ended.exit_code == 1
    assert "cannot reach Kafka" in ended.output
    assert "nothing was sent" in ended.output
    assert path.exists()
    assert "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set" in command("push", tmp_path).output


def test_ctrl_c_ends_the_command_quietly(tmp_path: Path) -> None:
    path = segment(tmp_path).path
    environment = {**os.environ, **UNREACHABLE, "ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS": "60000"}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environment["ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "arc_eval_db.cli", "spool", "push", str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            connection.close()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert path.exists()


def test_what_cannot_be_opened_is_named_and_makes_the_exit_code_3(tmp_path: Path) -> None:
    bad = tmp_path / "sandbox" / "bad.spool"
    bad.parent.mkdir()
    bad.symlink_to(bad)
    ended = command("push", tmp_path, **UNREACHABLE)
    assert (ended.exit_code, ended.stderr) == (3, "")
    reason = "Too many levels of symbolic links"
    assert ended.output == f"sent 0 events of 0 segments\ncannot read {bad}: {reason}\n"
    ended = command("push", tmp_path, "--json", **UNREACHABLE)
    assert (ended.exit_code, orjson.loads(ended.output)["unreadable"]) == (3, {str(bad): reason})
    (listed,) = orjson.loads(command("list", tmp_path, "--json").output)
    assert (listed["segment"], listed["error"]) == ("sandbox/bad.spool", reason)
    assert f"unreadable: {reason}" in command("list", tmp_path).output


@pytest.mark.kafka
def test_what_cannot_be_read_is_kept_and_makes_the_exit_code_3(tmp_path: Path, kafka_settings: KafkaSettings) -> None:
    environment = {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": str(kafka_settings.bootstrap_servers),
        "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    healthy, damaged = (
        segment(tmp_path / name, prefix=kafka_settings.topic_prefix).path for name in ("healthy", "damaged")
    )
    damaged.write_bytes(damaged.read_bytes().replace(b'"tool":"t"', b'"tool":"T"'))
    ended = command("push", tmp_path / "healthy", **environment)
    assert (ended.exit_code, ended.output) == (0, "sent 3 events of 1 segments\n")
    ended = command("push", tmp_path / "damaged", "--json", **environment)
    kept = damaged.with_name(damaged.name + ".damaged")
    assert ended.exit_code == 3
    assert orjson.loads(ended.output) == {
        "segments": 1,
        "events": 2,
        "refused": 0,
        "damaged_lines": 1,
        "torn_lines": 0,
        "in_use": 0,
        "unreadable": {},
        "set_aside": [str(kept)],
    }
    assert kept.exists()
    assert list(healthy.parent.iterdir()) == []
