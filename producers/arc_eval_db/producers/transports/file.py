"""Appends events to a file: one JSON event a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports.base import TransportError


class FileTransport:
    """Each batch is one append, so that processes can share a file, and is on the disk before it counts as sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def open(self) -> None:
        """Open for appending; folders are made."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise TransportError(f"cannot append to {self._path}: {error.strerror}") from error

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Append and synchronise."""
        assert self._descriptor is not None, "send before open"
        lines = memoryview(b"".join(record.value + b"\n" for record in records))
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise TransportError(f"cannot append to {self._path}: {error.strerror}") from error
        return ()

    async def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
