"""What groups of processes use: memory, processor time, threads, descriptors. Looked at once a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psutil

from fault.servers import MeasuredServers

_INTERVAL_S = 1.0

Pids = Callable[[], Sequence[int | None]]


@dataclass(slots=True)
class _Group:
    name: str
    pids: Pids
    memory_most: int = 0
    threads_most: int = 0
    descriptors_most: int = 0
    cpu_s: dict[int, float] = field(default_factory=dict)
    """By process, also those that are gone."""


class ResourceWatch:
    """Follows groups of processes as long as the block. Of memory that processes share, each counts its part (PSS)."""

    def __init__(self, servers: MeasuredServers) -> None:
        self._groups: list[_Group] = []
        self.follow("broker", lambda: [servers.broker.pid])
        self.follow("database", lambda: _family(servers.database_server.pid))
        self._watching: asyncio.Task[None] | None = None

    def follow(self, name: str, pids: Pids) -> None:
        """Watch these processes too; asked for again at each look."""
        self._groups.append(_Group(name, pids))

    def figures(self) -> list[dict[str, Any]]:
        """The most that each group held at a time, and all the processor time it used."""
        return [
            {
                "processes of": group.name,
                "memory, MB": group.memory_most // 2**20,
                "threads": group.threads_most,
                "descriptors": group.descriptors_most,
                "processor, s": round(sum(group.cpu_s.values()), 1),
            }
            for group in self._groups
        ]

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        while True:
            for group in self._groups:
                with contextlib.suppress(AssertionError, psutil.Error):  # a server that is being restarted
                    await asyncio.to_thread(_look, group)
            await asyncio.sleep(_INTERVAL_S)


def _look(group: _Group) -> None:
    memory = threads = descriptors = 0
    for pid in group.pids():
        if pid is None:
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            memory += process.memory_full_info().pss
            threads += process.num_threads()
            descriptors += process.num_fds()
            times = process.cpu_times()
            group.cpu_s[pid] = times.user + times.system
    group.memory_most = max(group.memory_most, memory)
    group.threads_most = max(group.threads_most, threads)
    group.descriptors_most = max(group.descriptors_most, descriptors)


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
