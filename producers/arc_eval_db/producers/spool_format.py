"""How an event is written in the spool: one line each, so that damage costs no more than the lines it touches.

    <CRC-32 of the rest, 8 hexadecimal digits> <topic> <milliseconds of Unix time> <event as JSON>

Keys and headers are not written: they follow from the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from arc_eval_db.producers.headers import common_headers, id_header, type_header
from arc_eval_db.producers.outbox import OutgoingRecord, importance_of


class SpoolContent(NamedTuple):
    """What a stretch of a spool file holds."""

    records: list[OutgoingRecord]
    damaged_lines: int
    """Lines with an end that are not what was written."""
    has_torn_tail: bool
    """The last line has no end: its writer was killed, or the disk was full, while it was written."""

    @property
    def is_whole(self) -> bool:
        """Whether everything in it could be read."""
        return not (self.damaged_lines or self.has_torn_tail)


def to_lines(records: Sequence[OutgoingRecord]) -> bytes:
    """The lines of some records."""
    lines = []
    for record in records:
        # JSON writes a line's end as an escape, so there is none in it.
        rest = b"%s %d %s" % (record.topic.encode(), record.timestamp_ms, record.value)
        lines.append(b"%08x %s\n" % (crc32(rest), rest))
    return b"".join(lines)


def from_lines(text: bytes) -> SpoolContent:
    """What was written, whatever has become of it since."""
    *lines, tail = text.split(b"\n")
    found = [_record(line) for line in lines]
    records = [record for record in found if record is not None]
    return SpoolContent(records, len(found) - len(records), bool(tail))


def _record(line: bytes) -> OutgoingRecord | None:
    checksum, _, rest = line.partition(b" ")
    if checksum != b"%08x" % crc32(rest):
        return None
    try:
        topic, timestamp_ms, value = rest.split(b" ", 2)
        event = orjson.loads(value)
        return OutgoingRecord(
            topic.decode(),
            event["partitionkey"].encode(),
            value,
            (id_header(event["id"]), type_header(event["type"]), *common_headers(event.get("traceparent"))),
            int(timestamp_ms),
            UUID(event["subject"]),
            importance_of(event["type"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError):  # the sum is right, and yet no emitter wrote it
        return None
