"""The spool's files: each belongs to one process while it lives, and is only ever appended to. Every call blocks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from arc_eval_db.producers.spool_format import SpoolContent, from_lines
from arc_eval_db.schemas import ids

SUFFIX = ".spool"
DAMAGED_SUFFIX = ".damaged"
"""What could not be read, or what the broker refused, is set aside under this name."""

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_ATTEMPTS_MAX = 5

# macOS has no fdatasync.
_synchronise = getattr(os, "fdatasync", os.fsync)


class Segment:
    """One file, open and locked: as long as it is, `spool push` leaves it alone.

    The lock belongs to the open file, so that it ends with the process however that ends.
    """

    def __init__(self, directory: Path) -> None:
        """Make a new file in the directory, which is made too.

        Raises:
            OSError: no file could be made there.
        """
        _make(directory)
        for _ in range(_ATTEMPTS_MAX):
            self.path = directory / f"{ids.uuid7().hex}{SUFFIX}"
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, _FILE_MODE)
            # Between the two calls a `spool push` may have found the empty file, and taken it away.
            if lock(self.descriptor) is not False and os.fstat(self.descriptor).st_nlink:
                break
            os.close(self.descriptor)
        else:
            raise FileExistsError("somebody else takes every new file")
        synchronise_directory(directory)
        self.size = 0
        self.unsettled = 0
        """Records in it that have not been acknowledged."""

    def append(self, lines: bytes) -> SpoolPlace:
        """Write, and wait until the disk has it.

        Raises:
            OSError: it has not; the file ends where it ended before, as far as the disk allows.
        """
        start = self.size
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
            _synchronise(self.descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, start)
            raise
        self.size = start + len(lines)
        return SpoolPlace(self, start, self.size)

    def read(self, place: SpoolPlace, bytes_max: int) -> tuple[SpoolContent, SpoolPlace]:
        """The records at the beginning of a place, as many as fit into `bytes_max`, and where these are.

        Raises:
            OSError: the disk does not give them.
        """
        text = os.pread(self.descriptor, min(place.end - place.start, bytes_max), place.start)
        whole = text[: text.rfind(b"\n") + 1]
        return from_lines(whole), SpoolPlace(self, place.start, place.start + len(whole))

    def remove(self) -> None:
        """Delete the file: whatever was in it is where it should be."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file, and of its lock."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class SpoolPlace:
    """A stretch of a segment, from a line's beginning to a line's end."""

    segment: Segment
    start: int
    end: int

    def goes_on_in(self, other: SpoolPlace) -> bool:
        """Whether the other begins where this one ends."""
        return self.segment is other.segment and self.end == other.start

    def joined_with(self, following: SpoolPlace) -> SpoolPlace:
        """Both in one."""
        return SpoolPlace(self.segment, self.start, following.end)

    def after(self, part: SpoolPlace) -> SpoolPlace:
        """What is left without a part at the beginning."""
        return SpoolPlace(self.segment, part.end, self.end)


def _make(directory: Path) -> None:
    """Make the directory and those above it, so that their names outlive a power cut."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
    for path in reversed(missing):
        synchronise_directory(path.parent)


def directory_bytes(directory: Path) -> int:
    """Size of everything in the directory, whoever wrote it. 0 where there is none yet."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # deleted by its owner meanwhile
                total += entry.stat(follow_symlinks=False).st_size
    return total


def lock(descriptor: int) -> bool | None:
    """Lock an open file against other processes: False where one has it, None where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def synchronise_directory(directory: Path) -> None:
    """Make sure that names in the directory outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
