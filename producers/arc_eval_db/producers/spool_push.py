"""What dead processes left in a spool directory: list it, and send it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.spool_format import SpoolContent, from_lines
from arc_eval_db.producers.spool_segments import DAMAGED_SUFFIX, SUFFIX, lock, synchronise_directory
from arc_eval_db.producers.transports.base import Transport, TransportError

_BATCH_RECORDS_MAX = 500
_BATCH_BYTES_MAX = 1_000_000


@dataclass(slots=True)
class PushReport:
    """What became of a directory's segments."""

    segments: int = 0
    """Sent, acknowledged and deleted (or set aside)."""
    events: int = 0
    """Sent and acknowledged."""
    refused: int = 0
    """Events that the broker will never take, too large ones for instance."""
    damaged_lines: int = 0
    """Lines that are not what was written; what they held is lost."""
    torn_lines: int = 0
    """Last lines without an end: their writer was killed while it wrote them."""
    in_use: int = 0
    """Segments left alone: a living process holds them, or their file system knows no locks."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """What could not be opened, read or deleted, and why. It is where it was."""
    set_aside: list[Path] = field(default_factory=list)
    """Where segments with damaged lines or refused events are kept, for people to look at."""


@dataclass(frozen=True, slots=True)
class SegmentState:
    """One segment of a directory."""

    path: Path
    size: int
    in_use: bool
    content: SpoolContent
    error: str | None = None
    """Why it cannot be opened or read; None when it can."""


class ClaimedSegment:
    """A dead process's segment, locked."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        text = _read(descriptor)
        self._size = len(text)
        self.content = from_lines(text)

    def has_grown(self) -> bool:
        """Whether somebody has written to it since it was read."""
        return os.fstat(self._descriptor).st_size != self._size

    def finish(self, *, set_aside: bool) -> Path | None:
        """Delete the file, or give it another name, which is returned."""
        kept = self.path.with_name(self.path.name + DAMAGED_SUFFIX) if set_aside else None
        if kept is None:
            self.path.unlink()
        else:
            self.path.rename(kept)
        synchronise_directory(self.path.parent)
        return kept


def segment_paths(directory: Path) -> list[Path]:
    """The segments in the directory and below it, oldest first; then directories that cannot be listed."""
    unlistable: list[OSError] = []
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(directory, onerror=unlistable.append)
        for name in names
        if name.endswith(SUFFIX)
    ]
    return sorted(found, key=lambda path: (path.name, path)) + [Path(error.filename) for error in unlistable]


def list_segments(directory: Path) -> list[SegmentState]:
    """Every segment, and what can be read in it at this moment."""
    states = []
    for path in segment_paths(directory):
        try:
            states.append(_state(path))
        except FileNotFoundError:  # sent or pushed meanwhile
            continue
        except OSError as error:
            states.append(SegmentState(path, 0, False, from_lines(b""), _reason(error)))
    return states


def _state(path: Path) -> SegmentState:
    descriptor = _open(path)
    try:
        text = _read(descriptor)
        return SegmentState(path, len(text), lock(descriptor) is not True, from_lines(text))
    finally:
        os.close(descriptor)


@contextmanager
def claim(path: Path) -> Iterator[ClaimedSegment | None]:
    """The segment, locked for as long as the block; None where somebody else has it or it is gone.

    Raises:
        OSError: it cannot be opened or read.
    """
    try:
        descriptor = _open(path)
    except FileNotFoundError:
        yield None
        return
    try:
        # Another push may have finished with it between the two calls.
        is_ours = lock(descriptor) is True and _names(path, descriptor)
        yield ClaimedSegment(path, descriptor) if is_ours else None
    finally:
        os.close(descriptor)


async def push(
    directory: Path, transport: Transport, on_segment: Callable[[PushReport], None] | None = None
) -> PushReport:
    """Send every segment of a dead process; delete each only when all of its records were acknowledged.

    Directories below are looked into as well. A segment that cannot be read is reported, and holds up no other.
    Running it twice, or twice at the same time, is harmless: an event that is sent twice is stored once.

    Args:
        directory: where the segments are.
        transport: carries them; opened and closed here.
        on_segment: called after each segment with the report so far.

    Raises:
        TransportError: nothing was deleted that was not sent.
    """
    report = PushReport()
    sending = _OpenedWhenNeeded(transport)
    try:
        for path in segment_paths(directory):
            try:
                await _push_one(path, sending, report)
            except OSError as error:
                report.unreadable[path] = _reason(error)
            if on_segment is not None:
                on_segment(report)
    except TransportError as error:
        sent = f"{report.segments} segments were sent" if report.segments else "nothing was sent"
        raise TransportError(f"{error}; {sent}, and what was not is still in {directory}") from error
    finally:
        await transport.close()
    return report


async def _push_one(path: Path, sending: _OpenedWhenNeeded, report: PushReport) -> None:
    with claim(path) as segment:
        if segment is None:
            report.in_use += _exists(path)
            return
        refused = await sending.send(segment.content.records)
        if segment.has_grown():
            report.in_use += 1
            return
        kept = segment.finish(set_aside=bool(refused or segment.content.damaged_lines))
    report.segments += 1
    report.events += len(segment.content.records) - refused
    report.refused += refused
    report.damaged_lines += segment.content.damaged_lines
    report.torn_lines += segment.content.has_torn_tail
    report.set_aside += [kept] if kept else []


class _OpenedWhenNeeded:
    """A transport that is opened for the first record."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._is_open = False

    async def send(self, records: Sequence[OutgoingRecord]) -> int:
        """Send all; how many were refused."""
        refused = 0
        try:
            for batch in _batches(records):
                if not self._is_open:
                    await self._transport.open()
                    self._is_open = True
                refused += len(await self._transport.send(batch))
        except OSError as error:  # not the segment's
            raise TransportError(str(error) or type(error).__name__) from error
        return refused


def _batches(records: Sequence[OutgoingRecord]) -> Iterator[list[OutgoingRecord]]:
    batch: list[OutgoingRecord] = []
    size = 0
    for record in records:
        if batch and (len(batch) >= _BATCH_RECORDS_MAX or size + len(record.value) > _BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record.value)
    if batch:
        yield batch


def _open(path: Path) -> int:
    if path.is_dir():  # one that could not be listed: say why
        next(path.iterdir(), None)
    return os.open(path, os.O_RDWR)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _exists(path: Path) -> bool:
    return path.exists()


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
