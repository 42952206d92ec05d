"""Appends events to a file: one JSON event a line."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports.base import TransportError

if TYPE_CHECKING:
    from pathlib import Path


class FileTransport:
    """Each batch is one append, so that processes can share a file, and is on the disk before it counts as sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._is_regular = True
        self._is_torn = False
        """The last line has no end: its writer was killed or the disk was full. What follows must not join it."""

    async def open(self) -> None:
        """Open for appending; folders are made."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            status = os.fstat(self._descriptor)
            self._is_regular = stat.S_ISREG(status.st_mode)
            self._is_torn = (
                self._is_regular and status.st_size > 0 and os.pread(self._descriptor, 1, status.st_size - 1) != b"\n"
            )
        except OSError as error:
            raise TransportError(f"cannot append to {self._path}: {error.strerror}") from error

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Append and synchronise."""
        assert self._descriptor is not None, "send before open"
        text = b"".join(record.value + b"\n" for record in records)
        lines = memoryview(b"\n" + text if self._is_torn else text)
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            if self._is_regular:
                os.fsync(self._descriptor)
        except OSError as error:
            raise TransportError(f"cannot append to {self._path}: {error.strerror}") from error
        self._is_torn = False
        return ()

    async def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
