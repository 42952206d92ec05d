"""The embedded stack with real servers: start, no-op, healing, stopping."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from arc_eval_db.local import LocalStack, StackOptions, StackStatus, ports
from arc_eval_db.local.errors import ServerDiedError, ServerTimeoutError, StackNotRunningError

pytestmark = pytest.mark.stack


def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def pids(status: StackStatus) -> tuple[int, int]:
    assert status.kafka.pid is not None
    assert status.postgres.pid is not None
    return status.kafka.pid, status.postgres.pid


def listening_ports(status: StackStatus) -> tuple[int, int]:
    assert status.kafka.port is not None
    assert status.postgres.port is not None
    return status.kafka.port, status.postgres.port


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("stack") / "state")
    try:
        yield stack
    finally:
        stack.down()


@pytest.fixture
def stack(shared: LocalStack) -> LocalStack:
    """The module's stack, running: each test may leave it in any state."""
    shared.up()
    return shared


def test_a_second_up_changes_nothing(stack: LocalStack) -> None:
    before = stack.status()
    state = (stack.directory / "state.json").read_bytes()
    messages: list[str] = []

    assert stack.up(messages.append) == before

    assert messages == []
    assert (stack.directory / "state.json").read_bytes() == state


def test_status_tells_what_runs(stack: LocalStack) -> None:
    status = stack.status()

    assert status.running
    assert status.edition == "postgresql"
    assert (status.kafka.name, status.kafka.state, status.kafka.version) == ("kafka", "running", "4.2.0")
    assert (status.postgres.name, status.postgres.state) == ("postgres", "running")
    assert (status.postgres.version or "").startswith("18.")
    for server in (status.kafka, status.postgres):
        assert server.pid is not None
        os.kill(server.pid, 0)
        assert server.port is not None
        assert server.log_file.parent == stack.directory / "logs"
        assert server.log_file.stat().st_size > 0


def test_servers_listen_on_the_loopback_interface_only(stack: LocalStack) -> None:
    hexadecimal = {f"{port:04X}" for port in listening_ports(stack.status())}
    listeners = [
        line.split()[1].split(":")
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    addresses = {address for address, port in listeners if port in hexadecimal}

    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert addresses


async def test_kafka_answers_and_creates_no_topic_by_itself(stack: LocalStack) -> None:
    servers = stack.environment()["ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("created", num_partitions=3, replication_factor=1)])
        assert "created" in await admin.list_topics()
        async with AIOKafkaProducer(bootstrap_servers=servers, request_timeout_ms=500) as hasty:
            with pytest.raises(KafkaError):
                await hasty.send_and_wait("misspelt", b"x")
        assert "misspelt" not in await admin.list_topics()
    finally:
        await admin.close()

    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=8_000_000)
    await producer.start()
    try:
        await producer.send_and_wait("created", b"x" * 900_000)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait("created", b"x" * 1_100_000)
    finally:
        await producer.stop()


async def test_postgres_has_what_migrations_need(stack: LocalStack) -> None:
    connection = await asyncpg.connect(stack.environment()["ARC_EVAL_DATABASE_URL"], timeout=10)
    try:
        assert await connection.fetchval("SELECT current_database()") == "arc_eval"
        assert await connection.fetchval("SHOW timezone") == "UTC"
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SELECT upper('é') = 'É' AND 'B' < 'a'")
        await connection.execute("CREATE EXTENSION vector")
    finally:
        await connection.close()


async def test_postgres_wants_the_password(stack: LocalStack) -> None:
    url = stack.environment()["ARC_EVAL_DATABASE_URL"]
    password = (stack.directory / "postgres-password").read_text()
    assert (stack.directory / "postgres-password").stat().st_mode & 0o777 == 0o600

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(password, "wrong"), timeout=10)


def test_no_secret_is_shown(stack: LocalStack) -> None:
    password = (stack.directory / "postgres-password").read_text()
    shown = [repr(stack.status()), (stack.directory / "state.json").read_text()]
    shown += [path.read_text() for path in (stack.directory / "logs").iterdir()]
    shown += [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids(stack.status())]

    assert not any(password in text for text in shown)


def test_two_ups_at_once_start_one_stack(stack: LocalStack) -> None:
    stack.down()
    stacks = [LocalStack(stack.directory) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(LocalStack.up, stacks)

    assert first == second
    assert first.running


async def test_up_heals_after_sigkill_and_keeps_the_data(stack: LocalStack) -> None:
    before = stack.status()
    connection = await asyncpg.connect(stack.environment()["ARC_EVAL_DATABASE_URL"], timeout=10)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for pid in pids(before):
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: (stack.status().kafka.state, stack.status().postgres.state) == ("stopped", "stopped"))
    connection.terminate()

    after = stack.up()

    assert after.running
    assert not set(pids(after)) & set(pids(before))
    assert listening_ports(after) == listening_ports(before)
    connection = await asyncpg.connect(stack.environment()["ARC_EVAL_DATABASE_URL"], timeout=10)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()
    assert (stack.directory / "logs" / "postgres.log.1").exists()


def test_a_server_that_does_not_answer_is_unhealthy(stack: LocalStack) -> None:
    postmaster = pids(stack.status())[1]
    os.kill(postmaster, signal.SIGSTOP)
    try:
        assert stack.status().postgres.state == "unhealthy"
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert eventually(lambda: stack.status().running)


def test_down_stops_even_a_frozen_server(stack: LocalStack) -> None:
    os.kill(pids(stack.status())[0], signal.SIGSTOP)

    assert stack.down() is True

    assert stack.status().kafka.state == "stopped"
    assert (stack.directory / "kafka" / "data" / ".kafka_cleanshutdown").exists(), "it was killed"


def test_servers_are_found_without_state_json(stack: LocalStack) -> None:
    before = stack.status()
    (stack.directory / "state.json").write_text("{half")
    assert (pids(stack.status()), listening_ports(stack.status())) == (pids(before), listening_ports(before))
    (stack.directory / "state.json").unlink()
    assert stack.up() == before
    (stack.directory / "state.json").unlink()

    assert stack.down() is True

    assert (stack.status().kafka.state, stack.status().postgres.state) == ("stopped", "stopped")
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids(before)))


def test_down_twice_and_environment_when_down(stack: LocalStack) -> None:
    assert stack.down() is True
    assert stack.down() is False
    with pytest.raises(StackNotRunningError, match="arc-eval-db local up"):
        stack.environment()


def test_ports_that_are_taken_are_replaced(stack: LocalStack) -> None:
    remembered = listening_ports(stack.status())
    stack.down()
    messages: list[str] = []
    with contextlib.ExitStack() as occupied:
        for port in remembered:
            occupied.enter_context(socket.create_server(("127.0.0.1", port)))
        chosen = listening_ports(stack.up(messages.append))

    assert not set(chosen) & set(remembered)
    assert any(f"port {remembered[0]} is taken" in message for message in messages)
    stack.down()
    assert listening_ports(stack.status()) == chosen


def test_ctrl_c_during_up_leaves_nothing_running(shared: LocalStack) -> None:
    shared.down()

    def interrupt(message: str) -> None:
        if message == "starting PostgreSQL":
            assert shared.status().kafka.pid is not None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared.up(interrupt)

    assert (shared.status().kafka.pid, shared.status().postgres.pid) == (None, None)


def test_early_death_shows_the_log(shared: LocalStack) -> None:
    shared.down()
    stack = LocalStack(shared.directory, StackOptions(kafka_properties={"log.retention.hours": "nonsense"}))

    with pytest.raises(ServerDiedError) as caught:
        stack.up()

    assert "Apache Kafka ended before it was ready" in str(caught.value)
    assert "nonsense for configuration log.retention.hours" in str(caught.value)
    assert str(stack.directory / "logs" / "kafka.log") in str(caught.value)
    assert (stack.status().kafka.pid, stack.status().postgres.pid) == (None, None)


def test_a_port_taken_in_the_last_moment_costs_one_attempt(shared: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.down()
    is_free, asked = ports.is_free, []

    def lie_once(port: int) -> bool:
        asked.append(port)
        return is_free(port) or asked == [port]

    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        stack = LocalStack(shared.directory, StackOptions(kafka_port=port))
        monkeypatch.setattr(ports, "is_free", lie_once)
        status = stack.up()

    assert asked[0] == port
    assert status.running
    assert status.kafka.port != port


def test_a_server_that_is_too_slow_is_stopped(shared: LocalStack) -> None:
    shared.down()
    stack = LocalStack(shared.directory, StackOptions(start_timeout_s=0.01))

    with pytest.raises(ServerTimeoutError, match=r"did not answer within 0\.01 s; next:"):
        stack.up()

    assert (stack.status().kafka.pid, stack.status().postgres.pid) == (None, None)


def test_as_a_context_manager_even_if_the_directory_is_deleted(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "short", StackOptions(postgres_settings={"max_connections": "17"})) as stack:
        running = pids(stack.status())
        shutil.rmtree(stack.directory)

    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in running))
    assert stack.down() is False
