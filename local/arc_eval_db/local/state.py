"""What the stack remembers between commands: `state.json`, and the lock that keeps two commands apart."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from arc_eval_db.local.errors import StackBusyError
from arc_eval_db.local.processes import ProcessId, wait_until

LOCK_TIMEOUT_S = 180.0
"""Longer than a first `up` takes: resolving the jars took 28 s."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server, as far as it was known when the file was written. Ports outlive the process: they are used again."""

    pid: int | None = None
    created: float | None = None
    """When the process was created, seconds since 1970: tells a recycled pid."""
    ready: bool = False
    """Whether it has been seen to answer, with everything set up."""
    port: int | None = None
    controller_port: int | None = None
    version: str | None = None
    edition: str | None = None

    def process(self) -> ProcessId | None:
        """The recorded process, which may be gone."""
        return ProcessId(self.pid, self.created) if self.pid and self.created else None


class StateFile:
    """`state.json`: a record for each server. A missing or damaged file reads as empty, and `up` writes it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, ServerRecord]:
        """All records."""
        try:
            content = json.loads(self.path.read_bytes())
            return {name: ServerRecord(**record) for name, record in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def write(self, name: str, record: ServerRecord) -> None:
        """Replace one server's record; a reader sees the old file or the new one, never half of it."""
        content = {key: asdict(value) for key, value in {**self.read(), name: record}.items()}
        temporary = self.path.with_name(self.path.name + ".new")
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(self.path)


@contextlib.contextmanager
def exclusive(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the file lock `path`. The kernel lets go of it when the process ends, however it ends.

    Raises:
        StackBusyError: somebody else holds it for `timeout_s`.
    """
    with path.open("ab") as file:
        if not wait_until(lambda: _try_lock(file.fileno()), timeout_s):
            raise StackBusyError(
                f"another `arc-eval-db local` command has held {path} for {timeout_s:.0f} s; "
                "next: wait for it, or end it, then try again"
            )
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
