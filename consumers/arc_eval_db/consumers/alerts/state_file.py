"""What outlives a restart: the alerts that are open, and the messages that no receiver has taken yet."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from arc_eval_db.consumers.alerts.alert import Alert, Message
from arc_eval_db.consumers.alerts.evaluating import Tracked
from arc_eval_db.consumers.alerts.standings import Phase, Standing
from arc_eval_db.errors import SettingsError

_VERSION = 1
_BYTES_MAX = 64 * 1024 * 1024


class StateUnreadableError(SettingsError):
    """The file holds no state of alerts."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """What a runner knows that its successor needs."""

    tracked: Sequence[Tracked] = ()
    waiting: Mapping[str, Sequence[Message]] = field(default_factory=dict)
    """By receiver."""
    recent: Sequence[Alert] = ()
    """The latest that are resolved."""

    def to_bytes(self) -> bytes:
        """As JSON."""
        return orjson.dumps(
            {
                "version": _VERSION,
                "open": [
                    {"phase": each.standing.phase.value, "since": each.standing.since, "alert": each.alert.fields()}
                    for each in self.tracked
                    if each.standing.is_open
                ],
                "waiting": {name: [each.fields() for each in messages] for name, messages in self.waiting.items()},
                "recent": [alert.fields() for alert in self.recent],
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The reverse.

        Raises:
            StateUnreadableError: it is something else, or damaged.
        """
        try:
            document: Any = orjson.loads(content)
            if document["version"] != _VERSION:
                raise StateUnreadableError("it was written by another release")
            tracked = [
                Tracked(Standing(Phase(each["phase"]), float(each["since"])), Alert.from_fields(each["alert"]))
                for each in document["open"]
            ]
            waiting = {
                str(name): [Message.from_fields(each) for each in messages]
                for name, messages in document["waiting"].items()
            }
            return cls(tracked, waiting, [Alert.from_fields(each) for each in document["recent"]])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateUnreadableError(f"it is damaged ({type(error).__name__})") from None


class StateFile:
    """A file that one process at a time has. It is replaced as a whole: a crash leaves the old one or the new."""

    def __init__(self, directory: Path, name: str) -> None:
        """Take the file.

        Raises:
            SettingsError: the directory cannot be written to, or another process has the file.
        """
        self._path = directory / f"{name}.json"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"ARC_EVAL_ALERT_STATE_DIR: {directory}: {os.strerror(error.errno or 0)}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SettingsError(
                f"ARC_EVAL_ALERT_STATE_DIR: another process keeps {self._path}; give each its own directory"
            ) from None

    def read(self) -> AlertState:
        """What was written last; nothing where nothing was. A file that cannot be read is kept beside, as `.bad`.

        Raises:
            StateUnreadableError: there is one, and it cannot be read.
            OSError: the disk does not give it.
        """
        if not self._path.exists():
            return AlertState()
        try:
            if self._path.stat().st_size > _BYTES_MAX:
                raise StateUnreadableError("it is too large")
            return AlertState.from_bytes(self._path.read_bytes())
        except StateUnreadableError as error:
            bad = self._path.with_suffix(".bad")
            self._path.replace(bad)
            raise StateUnreadableError(
                f"{self._path}: {error}; it is {bad} now, and what was open is not known"
            ) from None

    def write(self, content: bytes) -> None:
        """Replace the file. Blocks for as long as the disk takes.

        Raises:
            OSError: it could not be written; the old one is still there.
        """
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)
