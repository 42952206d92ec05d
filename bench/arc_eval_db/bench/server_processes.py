"""What the servers' processes cost, where they run on this machine."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from arc_eval_db.settings import LOOPBACK_HOSTS

psutil: Any
try:
    import psutil
except ImportError:  # the extra `local` brings it; without it, costs are not known
    psutil = None


class ServerProcess:
    """The process that listens on a port of this machine, and its children. Elsewhere it costs nothing that shows."""

    def __init__(self, host: str | None, port: int | None) -> None:
        self._process = _listener(port) if port is not None and (host or "localhost") in LOOPBACK_HOSTS else None

    @classmethod
    def of_database(cls, url: str) -> ServerProcess:
        """The server of a database URL."""
        parts = urlsplit(url)
        return cls(parts.hostname, parts.port or 5432)

    @classmethod
    def of_broker(cls, bootstrap_servers: str) -> ServerProcess:
        """The first of the bootstrap servers."""
        host, _, port = bootstrap_servers.partition(",")[0].strip().rpartition(":")
        return cls(host, int(port))

    def cpu_s(self) -> float | None:
        """CPU seconds so far, those of children that have ended included; None where nobody can tell."""
        if self._process is None:
            return None
        try:
            used = _cpu_s(self._process.cpu_times())
            for child in self._process.children(recursive=True):
                used += _child_cpu_s(child)
        except psutil.Error:
            return None
        return used


def _child_cpu_s(process: Any) -> float:
    try:
        return _cpu_s(process.cpu_times())
    except psutil.Error:
        return 0.0  # it has just ended, and is among its parent's


def _cpu_s(times: Any) -> float:
    used: float = times.user + times.system
    if hasattr(times, "children_user"):
        used += times.children_user + times.children_system
    return used


def _listener(port: int) -> Any:
    if psutil is None:
        return None
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return None
    pids = [
        connection.pid
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
    ]
    return psutil.Process(min(pids)) if pids else None
