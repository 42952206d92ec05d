"""What a worker process says to the one that started it: once a second, over a pipe that it has inherited.

Not over a network, which may be slow or taken, and from the event loop, so that one that is blocked says nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson

from arc_eval_db.consumers.pulse import Pulse

INTERVAL_S = 1.0

# A line of ours has some 200 bytes. Without a line's end in so many, it is not ours.
_LINE_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker, as it sees itself."""

    doing: str
    overdue_s: float
    """For how much longer than it may it has been doing that; 0 while it moves."""
    is_paused: bool
    unready: str | None
    """Why it is not ready for work."""

    @classmethod
    def of(cls, pulse: Pulse) -> Heartbeat:
        """From the pulse."""
        beat = pulse.beat()
        return cls(beat.doing, beat.overdue_s, beat.is_paused, beat.unready)


async def send_heartbeats(file: int, pulse: Pulse, interval_s: float = INTERVAL_S) -> None:
    """Until cancelled, or nobody reads any more. Never waits for a reader that is slow: that beat is left out."""
    os.set_inheritable(file, False)
    os.set_blocking(file, False)
    while True:
        try:
            os.write(file, orjson.dumps(asdict(Heartbeat.of(pulse))) + b"\n")
        except BlockingIOError:
            pass
        except OSError:
            return
        await asyncio.sleep(interval_s)


class HeartbeatReader:
    """The other end of the pipe, on the event loop of this process."""

    def __init__(self, on_heartbeat: Callable[[Heartbeat], None]) -> None:
        self._on_heartbeat = on_heartbeat
        self._unfinished = b""
        self._file, self.other_end = os.pipe()
        """`other_end` is for the child, and to be closed here once it has it."""
        os.set_blocking(self._file, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._file, self._read)

    def close(self) -> None:
        """Read no more."""
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _read(self) -> None:
        try:
            read = os.read(self._file, 65_536)
        except BlockingIOError:
            return
        if not read:
            self.close()
            return
        *lines, rest = (self._unfinished + read).split(b"\n")
        self._unfinished = rest[:_LINE_BYTES_MAX]
        if lines:  # the newest says it all
            self._say(lines[-1])

    def _say(self, line: bytes) -> None:
        try:
            heartbeat = Heartbeat(**orjson.loads(line))
        except (ValueError, TypeError):
            return  # not ours; a worker that says nothing else is one that says nothing
        self._on_heartbeat(heartbeat)
