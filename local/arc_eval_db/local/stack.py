"""The embedded stack: Kafka and PostgreSQL as background processes, without Docker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from arc_eval_db.local import ports, processes
from arc_eval_db.local.errors import (
    ServerDiedError,
    ServerTimeoutError,
    StackNotRunningError,
    log_tail,
)
from arc_eval_db.local.kafka_jars import class_path
from arc_eval_db.local.kafka_server import KafkaServer
from arc_eval_db.local.options import StackOptions
from arc_eval_db.local.postgres_server import PostgresServer
from arc_eval_db.local.processes import ProcessId
from arc_eval_db.local.state import ServerRecord, StateFile, exclusive

PROBE_TIMEOUT_S = 2.0
"""A server that runs answers within milliseconds; one that does not answer in this time is unhealthy."""

UNHEALTHY_TIMEOUT_S = 15.0
"""A server that was found but does not answer may be starting (its command was killed): it gets this long."""

STOP_TIMEOUT_S = 30.0
"""Kafka takes 0.6 s (2.8 s when it archives its classes); PostgreSQL's last checkpoint after a benchmark longer."""

PORT_ATTEMPTS = 3
"""A port may be taken between being found free and the server's own bind."""

ServerState = Literal["running", "unhealthy", "stopped"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server, as it is now."""

    name: str
    """ "kafka" or "postgres"."""
    state: ServerState
    """running: it answers; unhealthy: the process is there but does not answer; stopped: there is no process."""
    pid: int | None
    port: int | None
    """The port on 127.0.0.1; of a stopped server the one it will use again, if it is free then."""
    version: str | None
    log_file: Path


@dataclass(frozen=True, slots=True)
class StackStatus:
    """Both servers, as they are now."""

    directory: Path
    kafka: ServerStatus
    postgres: ServerStatus
    edition: str | None
    """ "timescaledb" or "postgresql"; None before the first start."""

    @property
    def running(self) -> bool:
        """Whether both servers answer."""
        return self.kafka.state == self.postgres.state == "running"


class Server(Protocol):
    """One server of the stack. No method waits for readiness, and none but `prepare` and `finalize` blocks for long."""

    name: str
    title: str
    stop_signal: signal.Signals
    log_file: Path
    requested_port: int | None

    def choose_ports(self, record: ServerRecord) -> ServerRecord:
        """A new record with ports that are free now."""

    def prepare(self, report: Callable[[str], None]) -> None:
        """Bring storage and programs into a state to start from; idempotent, and safe to interrupt."""

    def spawn(self, record: ServerRecord) -> ProcessId:
        """Start the process, and return at once."""

    def probe(self, record: ServerRecord, timeout_s: float) -> bool:
        """Whether the server gives a real answer in its protocol. Never raises."""

    def finalize(self, record: ServerRecord) -> ServerRecord:
        """Do what needs a running server; returns the record of a ready one. Idempotent."""

    def matches(self, command: Sequence[str]) -> bool:
        """Whether a command line belongs to any process of this server."""

    def is_main(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of the process to send signals to."""

    def recover(self) -> ServerRecord | None:
        """The ports of a running server that is not recorded."""

    def stopped(self, *, graceful: bool) -> None:
        """Clean up after the process. Never raises."""


def ignore(_message: str) -> None:
    """Report progress to nobody."""


class LocalStack:
    """Kafka and PostgreSQL under one directory.

    The process table is the truth: every method finds the servers of this directory by their command lines, so a stale
    or missing `state.json` changes nothing but the ports. The servers outlive this object and its process; as a
    context manager it stops them at the end.

        with LocalStack(Path(".arc-eval-db")) as stack:
            environment = stack.environment()

    Not for use from several threads at once. Several processes are fine: `up` and `down` hold a file lock.
    """

    def __init__(self, directory: Path, options: StackOptions | None = None) -> None:
        self.directory = directory.expanduser().resolve()
        self.options = options or StackOptions()
        logs = self.directory / "logs"
        self._kafka = KafkaServer(self.directory / "kafka", logs / "kafka.log", self.options)
        self._postgres = PostgresServer(self.directory / "postgres", logs / "postgres.log", self.options)
        self._servers: tuple[Server, ...] = (self._kafka, self._postgres)
        self._state = StateFile(self.directory / "state.json")

    def up(self, report: Callable[[str], None] = ignore) -> StackStatus:
        """Start what does not run, wait until both servers answer, and return their status. A second `up` is a no-op.

        If it fails or is interrupted, what it has started is stopped again.

        Args:
            report: called with a line for a person at each step that takes time.

        Raises:
            MissingExtraError: packages are missing.
            JarsUnavailableError, JarChecksumError: Kafka could not be fetched.
            StackSetupError: the machine does not allow it.
            StackBusyError: another command is at work here.
            ServerDiedError, ServerTimeoutError: a server did not start; the message ends with its log.
        """
        self._create_directory()
        with exclusive(self.directory / "lock"):
            missing = [server for server in self._servers if not self._is_up(server)]
            try:
                for server in missing:
                    server.prepare(report)
                    self._launch(server, report)
                for server in reversed(missing):
                    self._settle(server, report)
            except BaseException:
                self._stop(missing)
                raise
        return self.status()

    def down(self) -> bool:
        """Stop both servers, gracefully if they let us; True if there was anything to stop. The data stays.

        Raises:
            StackSetupError: a process cannot be ended, because it belongs to another user.
            StackBusyError: another command is at work here.
        """
        if not self.directory.is_dir():
            # Somebody deleted it under the running servers: they are still found by their command lines.
            return self._stop(self._servers)
        with exclusive(self.directory / "lock"):
            return self._stop(self._servers)

    def status(self) -> StackStatus:
        """The state of both servers, after asking them."""
        edition = self._record(self._postgres).edition
        return StackStatus(self.directory, self._status(self._kafka), self._status(self._postgres), edition)

    def environment(self) -> dict[str, str]:
        """The variables that make everything else use this stack; the URL holds the password.

        Raises:
            StackNotRunningError: a server does not run.
        """
        kafka, postgres = (self._running_record(server) for server in self._servers)
        if kafka is None or postgres is None:
            raise StackNotRunningError(
                f"the embedded stack in {self.directory} is not running; next: arc-eval-db local up"
            )
        return {
            "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": f"{ports.HOST}:{kafka.port}",
            "ARC_EVAL_DATABASE_URL": self._postgres.url(postgres),
        }

    def psql_command(self) -> tuple[Path, dict[str, str]]:
        """PostgreSQL's own client, and the variables that lead it to the database; one of them is the password.

        Raises:
            StackNotRunningError: the database does not run.
        """
        record = self._running_record(self._postgres)
        if record is None:
            raise StackNotRunningError(
                f"the embedded PostgreSQL in {self.directory} is not running; next: arc-eval-db local up"
            )
        return self._postgres.bindir() / "psql", self._postgres.client_environment(record)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.down()

    def _create_directory(self) -> None:
        self.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        if not any(self.directory.iterdir()):
            # Passwords and data do not belong into anybody's repository.
            (self.directory / ".gitignore").write_text("*\n")
        (self.directory / "logs").mkdir(mode=0o700, exist_ok=True)

    def _record(self, server: Server) -> ServerRecord:
        return self._state.read().get(server.name, ServerRecord())

    def _running_record(self, server: Server) -> ServerRecord | None:
        """The record of a server that has a process; if `state.json` lost it, ports come from the server's files."""
        record = self._record(server)
        process = record.process()
        if process and processes.matches(process, server.is_main):
            return record
        found = processes.find(server.is_main)
        recovered = server.recover() if found else None
        if recovered is None:
            return None
        return replace(recovered, pid=found[0].pid, created=found[0].created)

    def _status(self, server: Server) -> ServerStatus:
        running = self._running_record(server)
        record = running or self._record(server)
        state: ServerState = "stopped"
        if running:
            state = "running" if server.probe(running, PROBE_TIMEOUT_S) else "unhealthy"
        pid = running.pid if running else None
        return ServerStatus(server.name, state, pid, record.port, record.version, server.log_file)

    def _is_up(self, server: Server) -> bool:
        """Whether `server` answers. One that is half-way up is waited for; what then remains of it is stopped."""
        record = self._running_record(server)
        if record and self._wait_ready(server, record, UNHEALTHY_TIMEOUT_S):
            if not record.ready:
                self._state.write(server.name, server.finalize(record))
            return True
        self._stop([server])
        return False

    def _launch(self, server: Server, report: Callable[[str], None]) -> None:
        old = self._record(server)
        record = server.choose_ports(old)
        wanted = server.requested_port or old.port
        if wanted not in (None, record.port):
            report(f"port {wanted} is taken: {server.title} uses {record.port}")
        report(f"starting {server.title}")
        processes.rotate_log(server.log_file)
        process = server.spawn(record)
        self._state.write(server.name, replace(record, pid=process.pid, created=process.created))

    def _settle(self, server: Server, report: Callable[[str], None]) -> None:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            record = self._record(server)
            if self._wait_ready(server, record, self.options.start_timeout_s):
                self._state.write(server.name, server.finalize(record))
                return
            if processes.find(server.is_main):
                raise ServerTimeoutError(
                    f"{server.title} did not answer within {self.options.start_timeout_s:g} s; next: see what its "
                    f"log says, or give it longer (StackOptions.start_timeout_s)\n{log_tail(server.log_file)}"
                )
            taken = [port for port in (record.port, record.controller_port) if port and not ports.is_free(port)]
            if not taken or attempt == PORT_ATTEMPTS:
                break
            self._launch(server, report)
        raise ServerDiedError(
            f"{server.title} ended before it was ready; next: see what its log says\n{log_tail(server.log_file)}"
        )

    def _wait_ready(self, server: Server, record: ServerRecord, timeout_s: float) -> bool:
        """True once `server` answers, False if its process ends or the time is over."""
        process = record.process()
        assert process is not None
        processes.wait_until(
            lambda: not processes.is_alive(process) or server.probe(record, PROBE_TIMEOUT_S), timeout_s
        )
        return processes.is_alive(process) and server.probe(record, PROBE_TIMEOUT_S)

    def _stop(self, servers: Sequence[Server]) -> bool:
        """End all processes of `servers`: all get their signal first, so that they end at the same time."""
        found = {server.name: processes.find(server.matches) for server in servers}
        mains = {
            server.name: [each for each in found[server.name] if processes.matches(each, server.is_main)]
            for server in servers
        }
        for server in servers:
            processes.send(mains[server.name], server.stop_signal)
            # A process that was stopped (SIGSTOP) does not see its signal before it goes on.
            processes.send(found[server.name], signal.SIGCONT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for server in servers:
            graceful = bool(mains[server.name]) and processes.wait_gone(
                mains[server.name], max(0.0, deadline - time.monotonic())
            )
            processes.kill(processes.find(server.matches))
            if found[server.name]:
                server.stopped(graceful=graceful)
            self._forget_process(server)
        return any(found.values())

    def _forget_process(self, server: Server) -> None:
        record = self._record(server)
        if record.pid is not None and os.access(self.directory, os.W_OK):
            self._state.write(server.name, replace(record, pid=None, created=None, ready=False))


def fetch_programs(options: StackOptions, report: Callable[[str], None] = ignore) -> None:
    """Fetch what is not part of the Python packages (Kafka's jars), so that `up` needs no network.

    Raises:
        JarsUnavailableError, JarChecksumError: Kafka could not be fetched.
    """
    class_path(options.cache_directory(), report)
