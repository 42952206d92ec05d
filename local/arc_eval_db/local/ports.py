"""Choosing TCP ports on the loopback interface."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable

from arc_eval_db.local.errors import StackSetupError

HOST = "127.0.0.1"
"""The servers have no encryption and Kafka has no login: they must not be reachable from other machines."""

FIRST_PORT = 15_000
PORT_COUNT = 17_000
"""Below 32768, where Linux starts to hand out ports to outgoing connections: a stopped server's port stays free."""

CANDIDATES_MAX = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # Connections that were closed a moment ago (TIME_WAIT) must not cost a restarted server its port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        # On macOS the bind above succeeds although somebody listens on the wildcard address.
        client.settimeout(1)
        return client.connect_ex((HOST, port)) != 0


def choose(preferred: Iterable[int | None], seed: str, avoid: Iterable[int] = ()) -> int:
    """The first free port of `preferred`, or else one that depends on `seed`: the same stack gets the same port.

    Raises:
        StackSetupError: no candidate is free.
    """
    taken = set(avoid)
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    derived = (FIRST_PORT + (start + step) % PORT_COUNT for step in range(CANDIDATES_MAX))
    for port in (*(port for port in preferred if port), *derived):
        if port not in taken and is_free(port):
            return port
    raise StackSetupError(
        f"none of {CANDIDATES_MAX} ports on {HOST} is free; "
        "next: stop what listens there, or ask for a port you know is free"
    )
