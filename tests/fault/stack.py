"""A broker and a database of the fault tests' own, which can be killed, stopped and started again.

Kafka advertises the port of a proxy, so that no client can go around it. Each test puts a proxy of its own before the
database. SIGKILL of a server never loses what it wrote to the page cache: this does not test fsync.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import psutil

from arc_eval_db.database import DatabaseSettings
from arc_eval_db.local import LocalStack, StackOptions, ports
from arc_eval_db.local.stack import Server
from support.proxy import TcpProxy

GIVEN_DATABASE = "ARC_EVAL_TEST_DATABASE_URL"
"""Names a database server that the tests use in place of the stack's own, and may not kill."""

_BROKER_SETTINGS = {
    # What is left of a killed consumer's group must not wait for anybody.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Retention by size or time would take records behind a test's back.
    "log.retention.hours": "-1",
}


class FaultServer:
    """One server of the stack, by its main process."""

    def __init__(self, stack: LocalStack, server: Server) -> None:
        self._stack = stack
        self._server = server
        self._is_stopped = False

    @property
    def pid(self) -> int:
        """The main process; fails when there is none."""
        record = self._stack._running_record(self._server)
        assert record is not None, f"{self._server.title} does not run"
        assert record.pid is not None
        return record.pid

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._stack._running_record(self._server) is not None

    def kill9(self) -> None:
        """SIGKILL to the main process alone: no other process of the server is told."""
        os.kill(self.pid, signal.SIGKILL)
        self._is_stopped = False

    def stop(self) -> None:
        """Freeze the server with all its processes."""
        for process in self._processes():
            process.suspend()
        self._is_stopped = True

    def cont(self) -> None:
        """Let it go on."""
        for process in self._processes():
            process.resume()
        self._is_stopped = False

    async def shut_down(self) -> None:
        """End it in an orderly way: the broker cleanly, the database in fast mode."""
        await asyncio.to_thread(self._stack._stop, [self._server])
        self._is_stopped = False

    async def start(self) -> None:
        """Start it, and return once it answers. What is left of a killed one is ended first."""
        await asyncio.to_thread(self._start)

    async def restart(self) -> None:
        """Shut it down and start it."""
        await self.shut_down()
        await self.start()

    async def heal(self) -> None:
        """Whatever was done to it: afterwards it answers."""
        if self._is_stopped:
            self.cont()
        if not self.runs:
            await self.start()

    def _processes(self) -> list[psutil.Process]:
        main = psutil.Process(self.pid)
        return [main, *main.children(recursive=True)]

    def _start(self) -> None:
        self._stack._stop([self._server])
        self._server.prepare(lambda line: None)
        self._stack._launch(self._server, lambda line: None)
        self._stack._settle(self._server, lambda line: None)


class FaultStack:
    """Both servers, and the proxy before the broker. Use with `async with`; start it once a session."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        proxy_port = ports.choose((), f"{directory}#proxy")
        options = replace(
            StackOptions.from_environment(environment),
            kafka_advertised_port=proxy_port,
            kafka_properties=_BROKER_SETTINGS,
            # The many short-lived connections of killed clients must never be what a test fails on.
            postgres_settings={"fsync": "on", "synchronous_commit": "on", "max_connections": "300"},
        )
        self._stack = LocalStack(directory, options)
        self.kafka = FaultServer(self._stack, self._stack._kafka)
        self.postgres = FaultServer(self._stack, self._stack._postgres)
        self.kafka_proxy = TcpProxy("127.0.0.1", 0, listen_port=proxy_port)

    @property
    def bootstrap_servers(self) -> str:
        """The broker, through its proxy."""
        return f"127.0.0.1:{self.kafka_proxy.port}"

    @property
    def database(self) -> DatabaseSettings:
        """The database server, without any proxy; its user may do everything."""
        return DatabaseSettings.load(database_url=self._stack.environment()["ARC_EVAL_DATABASE_URL"])

    async def heal(self) -> None:
        """Undo everything: afterwards both servers answer, and the proxy carries."""
        await self.kafka_proxy.heal()
        await asyncio.gather(self.kafka.heal(), self.postgres.heal())

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._stack.up)
        port = self._stack.status().kafka.port
        assert port is not None
        self.kafka_proxy.target = ("127.0.0.1", port)
        await self.kafka_proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kafka_proxy.__aexit__()
        await asyncio.to_thread(self._stack.down)


def kill_backend(pid: int) -> None:
    """SIGKILL one process of the database, which then ends all others and recovers."""
    os.kill(pid, signal.SIGKILL)


def ports_of(pid: int) -> Callable[[int], bool]:
    """Whether a local port is one of a process's connections: for what shall befall one client only."""
    known: dict[int, bool] = {}

    def is_its(port: int) -> bool:
        if port not in known:
            connections = psutil.Process(pid).net_connections(kind="tcp")
            known[port] = any(connection.laddr.port == port for connection in connections)
        return known[port]

    return is_its
