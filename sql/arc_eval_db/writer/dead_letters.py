"""Records that could not become rows, kept raw, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from arc_eval_db.database import Session
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.text import replace_nul, truncate
from arc_eval_db.sql import queries
from arc_eval_db.writer.offsets import TopicPartition

_DETAIL_BYTES_MAX = 2000
_TYPE_BYTES_MAX = 200


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record set aside."""

    partition: TopicPartition
    offset: int
    timestamp: datetime
    reason: RefusalReason
    error_class: str
    detail: str
    """Where and what; never a value from the record."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    sqlstate: str | None = None
    event_id: UUID | None = None

    def header(self, name: str) -> str | None:
        """The first header of this name, as text that PostgreSQL can store."""
        for key, value in self.headers:
            if key == name and value is not None:
                return truncate(_text(value), _TYPE_BYTES_MAX)
        return None


async def insert_dead_letters(session: Session, letters: Sequence[DeadLetter], *, group: str, version: str) -> None:
    """Store dead letters; one that is stored already (same topic, partition, offset and time) stays as it is."""
    if not letters:
        return
    await session.execute(
        queries("dead_letters")["insert_dead_letters"],
        group,
        version,
        [letter.partition.topic for letter in letters],
        [letter.partition.partition for letter in letters],
        [letter.offset for letter in letters],
        [letter.timestamp for letter in letters],
        [letter.reason.value for letter in letters],
        [letter.error_class for letter in letters],
        [letter.sqlstate for letter in letters],
        [truncate(letter.detail, _DETAIL_BYTES_MAX) for letter in letters],
        [letter.event_id for letter in letters],
        [letter.header("ce_type") for letter in letters],
        [letter.key for letter in letters],
        [letter.value for letter in letters],
        [_headers_json(letter.headers) for letter in letters],
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _headers_json(headers: Sequence[tuple[str, bytes]]) -> str:
    """Headers in their order; a name may stand more than once."""
    pairs = [[key, None if value is None else _text(value)] for key, value in headers]
    return replace_nul(orjson.dumps(pairs))[0].decode()
