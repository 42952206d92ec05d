"""The spool of one emitter: events on the disk until the broker has them. The disk may be full, slow, or dead."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from arc_eval_db.producers.bridge import start_in_daemon_thread
from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.spool_format import to_lines
from arc_eval_db.producers.spool_segments import Segment, SpoolPlace, directory_bytes

logger = logging.getLogger("arc_eval_db.producers")

T = TypeVar("T")

_SEGMENT_BYTES_MAX = 4 * 1024 * 1024

# A disk that takes longer does not hold up the sending: the events travel without having been written.
_WRITE_TIMEOUT_S = 1.0
_READ_TIMEOUT_S = 5.0

_BACKOFF_S_MIN = 1.0
_BACKOFF_S_MAX = 60.0

# Other processes fill and empty the same directory. It is measured again when so much was written, or when it was full.
_MEASURE_EVERY_BYTES = 1024 * 1024
_MEASURE_AGAIN_S = 1.0

_RESERVE_DIVISOR = 8
"""The last eighth of the room is for lifecycle events."""


class Room(Enum):
    """What the spool takes just now."""

    ALL = "all"
    LIFECYCLE = "lifecycle"
    NONE = "none"


class _Rest:
    """How long the disk is left alone after it failed: a second, then longer, until it works again. Said once."""

    def __init__(self, consequence: str) -> None:
        self._consequence = consequence
        self._next_s = _BACKOFF_S_MIN
        self._until = 0.0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    def begin(self, reason: str) -> None:
        level = logging.WARNING if self._next_s == _BACKOFF_S_MIN else logging.DEBUG
        logger.log(level, "%s: %s", self._consequence, reason)
        self._until = time.monotonic() + self._next_s
        self._next_s = min(2 * self._next_s, _BACKOFF_S_MAX)

    def forget(self) -> None:
        self._next_s = _BACKOFF_S_MIN


class Spool:
    """Writes batches to segments, reads them back, and deletes segments whose records were all acknowledged.

    Used on the sender's event loop. No call raises, or takes longer than a second (five to read): after an error or a
    time-out the disk is left alone for a while, which is logged once, and events travel without it.
    """

    def __init__(self, directory: Path, bytes_max: int, batch_bytes_max: int) -> None:
        """Nothing is opened before the first batch, of at most `batch_bytes_max`."""
        self._directory = directory
        self._bytes_max = bytes_max
        self._batch_bytes_max = batch_bytes_max
        self._segment_bytes_max = min(_SEGMENT_BYTES_MAX, bytes_max // _RESERVE_DIVISOR)
        self._segments: set[Segment] = set()
        self._segment: Segment | None = None
        self._used = 0
        self._written_since_measured = 0
        self._measure_at = 0.0
        self._no_writing = _Rest(f"events go without the spool {directory} for now")
        self._no_reading = _Rest(f"events in the spool {directory} cannot be read back for now")
        self._stuck: asyncio.Future[Any] | None = None
        self._removals: set[asyncio.Future[None]] = set()

    async def room(self) -> Room:
        """What the next batch may consist of."""
        if not self._no_writing.is_over or self._stuck is not None:
            return Room.NONE
        room = self._room()
        is_due = time.monotonic() >= self._measure_at and (room is not Room.ALL or not self._measure_at)
        if is_due or self._written_since_measured >= _MEASURE_EVERY_BYTES:
            used = await self._call(partial(directory_bytes, self._directory), _WRITE_TIMEOUT_S, self._no_writing)
            if used is None:
                return Room.NONE
            self._used, self._written_since_measured = used, 0
            self._measure_at = time.monotonic() + _MEASURE_AGAIN_S
            room = self._room()
        return room

    async def append(self, records: Sequence[OutgoingRecord]) -> SpoolPlace | None:
        """Write the records and wait until the disk has them; None when it has not."""
        segment = self._segment
        if segment is not None and segment.size >= self._segment_bytes_max:
            segment = None
        place = await self._call(partial(self._write, segment, records), _WRITE_TIMEOUT_S, self._no_writing)
        if place is None:
            self._seal()
            self._remove_what_is_done()
            return None
        if place.segment is not self._segment:
            self._seal()
            self._segment = place.segment
        place.segment.unsettled += len(records)
        self._used += place.end - place.start
        self._written_since_measured += place.end - place.start
        self._no_writing.forget()
        return place

    @property
    def can_be_read(self) -> bool:
        """Whether the disk is to be asked: it has not just failed."""
        return self._no_reading.is_over and self._stuck is None

    async def read(self, place: SpoolPlace) -> tuple[list[OutgoingRecord], SpoolPlace] | None:
        """The first records at a place, about a batch, and where they are.

        There are no records where they are damaged; None where the disk does not give them, which may pass.
        """
        call = partial(place.segment.read, place, self._batch_bytes_max)
        found = await self._call(call, _READ_TIMEOUT_S, self._no_reading)
        if found is None:
            return None
        self._no_reading.forget()
        content, read = found
        return (content.records if content.is_whole else []), read

    def settle(self, place: SpoolPlace, count: int) -> None:
        """So many records there need no spool any more."""
        place.segment.unsettled -= count
        self._remove_if_done(place.segment)

    async def close(self) -> None:
        """Let go of all files; those in which nothing is left to send are deleted."""
        self._seal()
        if self._stuck is None:
            for segment in self._segments:
                self._start(segment.close)
            if self._removals:
                await asyncio.wait(self._removals, timeout=_WRITE_TIMEOUT_S)

    def abandon(self) -> None:
        """In a child process: let go of the files, which are the parent's. Its locks must end with it."""
        for segment in list(self._segments):
            segment.close()

    def _room(self) -> Room:
        after_next_batch = self._used + self._batch_bytes_max
        if after_next_batch <= self._bytes_max - self._bytes_max // _RESERVE_DIVISOR:
            return Room.ALL
        return Room.LIFECYCLE if after_next_batch <= self._bytes_max else Room.NONE

    def _write(self, segment: Segment | None, records: Sequence[OutgoingRecord]) -> SpoolPlace:
        if segment is None:
            segment = Segment(self._directory)
            self._segments.add(segment)
        return segment.append(to_lines(records))

    def _seal(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._remove_if_done(segment)

    def _remove_what_is_done(self) -> None:
        for segment in list(self._segments):
            self._remove_if_done(segment)

    def _remove_if_done(self, segment: Segment) -> None:
        if segment is self._segment or segment.unsettled or segment not in self._segments:
            return
        if self._stuck is not None:  # it may be this one that the disk hangs on
            return
        self._segments.discard(segment)
        self._used -= segment.size
        self._start(segment.remove)

    def _start(self, call: Callable[[], None]) -> None:
        try:
            future = start_in_daemon_thread(asyncio.get_running_loop(), call)
        except RuntimeError:  # no more threads
            call()
            return
        self._removals.add(future)
        future.add_done_callback(self._removals.discard)

    async def _call(self, call: Callable[[], T], timeout_s: float, rest: _Rest) -> T | None:
        try:
            future = start_in_daemon_thread(asyncio.get_running_loop(), call)
            done, _ = await asyncio.wait({future}, timeout=timeout_s)
            if done:
                return future.result()
            self._stuck = future
            future.add_done_callback(self._unstick)
            rest.begin(f"the disk did not answer within {timeout_s:g} s")
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            rest.begin(getattr(error, "strerror", None) or str(error))
        return None

    def _unstick(self, future: asyncio.Future[Any]) -> None:
        self._stuck = None
        if not future.cancelled():
            future.exception()
        # What was written too late travels without the spool.
        self._remove_what_is_done()
