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
    set_aside: list[Path] = field(default_factory=list)
    """Where segments with damaged lines or refused events are kept, for people to look at."""


@dataclass(frozen=True, slots=True)
class SegmentState:
    """One segment of a directory."""

    path: Path
    size: int
    in_use: bool
    content: SpoolContent


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
    """The segments, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def list_segments(directory: Path) -> list[SegmentState]:
    """Every segment, and what can be read in it at this moment."""
    states = []
    for path in segment_paths(directory):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # sent or pushed meanwhile
            continue
        try:
            text = _read(descriptor)
            states.append(SegmentState(path, len(text), lock(descriptor) is not True, from_lines(text)))
        finally:
            os.close(descriptor)
    return states


@contextmanager
def claim(path: Path) -> Iterator[ClaimedSegment | None]:
    """The segment, locked for as long as the block; None where somebody else has it or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
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

    Running it twice, or twice at the same time, is harmless: an event that is sent twice is stored once.

    Args:
        directory: where the segments are.
        transport: carries them; opened and closed here.
        on_segment: called after each segment with the report so far.

    Raises:
        TransportError: nothing was deleted that was not sent.
        OSError: a segment cannot be read or deleted.
    """
    report = PushReport()
    is_open = False
    try:
        for path in segment_paths(directory):
            with claim(path) as segment:
                if segment is None:
                    report.in_use += _exists(path)
                    continue
                if segment.content.records and not is_open:
                    await transport.open()
                    is_open = True
                refused = await _send(segment.content.records, transport)
                if segment.has_grown():
                    report.in_use += 1
                    continue
                kept = segment.finish(set_aside=bool(refused or segment.content.damaged_lines))
            report.segments += 1
            report.events += len(segment.content.records) - refused
            report.refused += refused
            report.damaged_lines += segment.content.damaged_lines
            report.torn_lines += segment.content.has_torn_tail
            report.set_aside += [kept] if kept else []
            if on_segment is not None:
                on_segment(report)
    except TransportError as error:
        sent = f"{report.segments} segments were sent" if report.segments else "nothing was sent"
        raise TransportError(f"{error}; {sent}, and what was not is still in {directory}") from error
    finally:
        await transport.close()
    return report


async def _send(records: Sequence[OutgoingRecord], transport: Transport) -> int:
    """Send all; how many were refused."""
    refused = 0
    for batch in _batches(records):
        refused += len(await transport.send(batch))
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
