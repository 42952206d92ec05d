"""Asking a small HTTP server, also for what no decent client would ask."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from arc_eval_db.consumers.http import Access, BackgroundMonitor, HttpServer, Routes, Subject, WorkerProbe
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.monitoring import MonitorSettings, PipelineMonitor
from arc_eval_db.consumers.pulse import Pulse
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings

TIMEOUT_S = 20.0

NO_KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_ms=500)
NO_DATABASE = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/none")


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


def get(port: int, path: str, method: str = "GET", host: str = "127.0.0.1", **headers: str) -> Got:
    """Ask, as a decent client does."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ask(port, "\r\n".join([*lines, "", ""]).encode())


def ask(port: int, request: bytes) -> Got:
    """Send these bytes, and read the answer to its end."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Got:
    """The answer, to the end of the connection."""
    with connection.makefile("rb") as answer:
        status, headers = read_head(answer)
        return Got(status, headers, answer.read())


def read_head(answer: Any) -> tuple[int, dict[str, str]]:
    """Status and headers."""
    status = int(answer.readline().split()[1])
    headers = {}
    while line := answer.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers


@contextlib.contextmanager
def listening(port: int, path: str = "/api/stream") -> Iterator[Iterator[tuple[str, Any]]]:
    """Listen to a stream: its events, by name and value."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            status, headers = read_head(answer)
            assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            yield _events(answer)


def _events(answer: Any) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer:
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            yield name, json.loads(line[6:])


class Server:
    """A worker's server, without the worker; Kafka and the database are away."""

    def __init__(self) -> None:
        self.pulse = Pulse()
        self.metrics = WorkerMetrics()
        self.monitors: list[PipelineMonitor] = []
        self.port = 0

    @contextlib.contextmanager
    def running(
        self,
        *,
        host: str = "127.0.0.1",
        token: str | None = None,
        read_timeout_s: float = 5.0,
        listeners_max: int = 2,
        subject: Subject | None = None,
    ) -> Iterator[int]:
        """Serve; gives the port. It always listens on loopback.

        Args:
            host: where it believes to listen.
        """

        def monitor() -> PipelineMonitor:
            settings = MonitorSettings.load(lag_interval_s=1)
            made = PipelineMonitor(NO_KAFKA, NO_DATABASE, "g", settings=settings, only_when_followed=True)
            self.monitors.append(made)
            return made

        routes = Routes(
            subject or WorkerProbe(self.pulse, 30, lambda: 5),
            [self.metrics.registry],
            Access(host, token if token is None else SecretStr(token)),
            BackgroundMonitor(monitor),
            listeners_max=listeners_max,
        )
        with HttpServer(routes, "127.0.0.1", 0, read_timeout_s=read_timeout_s) as server:
            yield server.port
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("arc-eval-db")]
        for thread in ours:
            thread.join(TIMEOUT_S)
        assert not [thread for thread in ours if thread.is_alive()]
