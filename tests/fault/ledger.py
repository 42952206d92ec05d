"""What producers sent, written down beside them: the truth that rows are compared with.

A file of JSON lines, each flushed: a killed producer's lines are all there but the last, which may be torn.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import orjson

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports import Transport

Outcome = Literal["unknown", "acked", "refused"]


@dataclass(slots=True)
class LedgerEntry:
    """One event."""

    event_id: UUID
    sha256: str
    value: bytes
    topic: str
    outcome: Outcome


class Ledger:
    """Writes one file. Used by one sender's thread at a time; read by anybody at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def before(self, records: Iterable[OutgoingRecord]) -> None:
        """These are about to be sent: from here on it is unknown what became of them."""
        lines = []
        for record in records:
            event_id = _event_id(record)
            if event_id not in self._known:
                self._known.add(event_id)
                line = {
                    "event_id": event_id,
                    "sha256": hashlib.sha256(record.value).hexdigest(),
                    "value": record.value.decode(),
                    "topic": record.topic,
                    "outcome": "unknown",
                }
                lines.append(orjson.dumps(line) + b"\n")
        self._write(lines)

    def after(self, records: Iterable[OutgoingRecord], outcome: Outcome) -> None:
        """What became of these is known."""
        self._write([orjson.dumps({"event_id": _event_id(record), "outcome": outcome}) + b"\n" for record in records])

    def close(self) -> None:
        """No more is written."""
        self._file.close()

    def _write(self, lines: Sequence[bytes]) -> None:
        with self._lock:
            self._file.write(b"".join(lines))


class LedgerTransport:
    """A transport that keeps a ledger of what another one carries."""

    def __init__(self, inner: Transport, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    async def open(self) -> None:
        """Connect."""
        await self._inner.open()

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Deliver, and write down what is known of it."""
        self._ledger.before(records)
        refused = await self._inner.send(records)
        self._ledger.after([record for number, record in enumerate(records) if number not in refused], "acked")
        self._ledger.after([records[number] for number in refused], "refused")
        return refused

    async def close(self) -> None:
        """Let go of everything."""
        await self._inner.close()


def read_ledgers(paths: Iterable[Path]) -> dict[UUID, LedgerEntry]:
    """All entries of some files, by event id."""
    entries: dict[UUID, LedgerEntry] = {}
    for path in paths:
        for line in path.read_bytes().split(b"\n"):
            try:
                fields = orjson.loads(line)
            except ValueError:
                continue  # the end of the file, or of a killed producer
            event_id = UUID(fields["event_id"])
            if "value" in fields:
                value = fields["value"].encode()
                entries[event_id] = LedgerEntry(event_id, fields["sha256"], value, fields["topic"], "unknown")
            else:
                entries[event_id].outcome = fields["outcome"]
    return entries


def _event_id(record: OutgoingRecord) -> str:
    return next(value.decode() for name, value in record.headers if name == "ce_id")
