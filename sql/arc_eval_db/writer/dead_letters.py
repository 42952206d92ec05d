"""Records that could not become rows, kept raw, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from arc_eval_db.database import DuplicateRowError, SchemaMismatchError, Session
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.text import replace_nul, truncate
from arc_eval_db.sql import queries
from arc_eval_db.writer.offsets import OffsetRange, TopicPartition

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
    """Store dead letters; one that is stored already (same topic, partition, offset and time) stays as it is.

    Raises:
        SchemaMismatchError: a letter of an older topic of this name stands at the same place, and the schema still has
            the key that allows one only.
    """
    if not letters:
        return
    statement = queries("dead_letters")["insert_dead_letters"]
    arguments = (
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
    try:
        await session.execute(statement, *arguments)
    except DuplicateRowError as error:
        raise SchemaMismatchError(
            "a dead letter of a topic that was made anew meets one of the old topic at the same offset, and the older "
            "key of dead_letters, without the record's time, still stands; run: arc-eval-db migrate up"
        ) from error


async def count_dead_letters(session: Session, ranges: Mapping[TopicPartition, OffsetRange]) -> dict[str, int]:
    """How many records of these ranges were set aside, by topic; topics without any are left out."""
    rows = await session.fetch(
        queries("dead_letters")["count_dead_letters"],
        [partition.topic for partition in ranges],
        [partition.partition for partition in ranges],
        [offsets.first for offsets in ranges.values()],
        [offsets.end for offsets in ranges.values()],
    )
    return {row["topic"]: row["letters"] for row in rows}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _headers_json(headers: Sequence[tuple[str, bytes]]) -> str:
    """Headers in their order; a name may stand more than once."""
    pairs = [[key, None if value is None else _text(value)] for key, value in headers]
    return replace_nul(orjson.dumps(pairs))[0].decode()
