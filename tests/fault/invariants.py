"""What must hold after every run, whatever happened in it. One function for each; each returns what it objects to."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.text import replace_nul
from arc_eval_db.writer import LoggedEvent, event_row
from arc_eval_db.writer.rows import COLUMNS
from fault.evidence import Evidence, LogGap, Place, StoredRow

_LOG_COLUMNS = {"log_partition", "log_offset"}
_SHOWN_MAX = 5


def violations(evidence: Evidence, *, deleted: Collection[UUID] = ()) -> list[str]:
    """All objections of I1 to I6, each beginning with its invariant's name.

    Args:
        deleted: events that retention took before they were read, as the test itself arranged.
    """
    return [
        *nothing_is_lost(evidence, deleted),
        *nothing_is_twice(evidence),
        *every_record_is_accounted_for(evidence),
        *gaps_are_of_what_is_gone(evidence),
        *rows_are_what_was_sent(evidence),
        *unknown_outcomes_appear_once_at_most(evidence),
        *offsets_move_from_where_they_were(evidence),
    ]


def nothing_is_lost(evidence: Evidence, deleted: Collection[UUID] = ()) -> list[str]:
    """I1: what was acknowledged is a row or a dead letter."""
    there = {row.event_id for row in evidence.rows} | _dead_events(evidence)
    lost = [
        entry.event_id
        for entry in evidence.ledger.values()
        if entry.outcome == "acked" and entry.event_id not in there and entry.event_id not in deleted
    ]
    return _objection("I1: acknowledged, and neither row nor dead letter", lost)


def nothing_is_twice(evidence: Evidence) -> list[str]:
    """I2: an event is one row; what is a row is no dead letter."""
    rows = Counter(row.event_id for row in evidence.rows)
    letters = Counter(letter.place for letter in evidence.dead_letters)
    both = {row.place for row in evidence.rows} & letters.keys()
    sent_both = rows.keys() & _dead_events(evidence) & evidence.ledger.keys()
    return [
        *_objection("I2: events with several rows", [event_id for event_id, count in rows.items() if count > 1]),
        *_objection("I2: records with several dead letters", [place for place, count in letters.items() if count > 1]),
        *_objection("I2: records that are both row and dead letter", both),
        *_objection("I2: events that are both row and dead letter", sent_both),
    ]


def every_record_is_accounted_for(evidence: Evidence) -> list[str]:
    """I3: each record is a row, a dead letter, or proved to repeat a row's record; and there are no others."""
    values = {_place(record): record.value for record in evidence.log}
    row_at = {row.place: row for row in evidence.rows}
    row_of = {row.event_id: row for row in evidence.rows}
    letter_at = {letter.place for letter in evidence.dead_letters}
    missing, foreign = [], []
    for record in evidence.log:
        place, event_id = _place(record), _event_id(record)
        if row := row_at.get(place):
            if row.event_id != event_id:
                foreign.append(place)
        elif place not in letter_at:
            twin = row_of.get(event_id) if event_id else None
            if twin is None or not _is_repeated(record, twin, values, evidence):
                missing.append(place)
    starts = {(partition.topic, partition.partition): start for partition, start in evidence.log_starts.items()}
    invented = [
        place
        for place in row_at.keys() | letter_at
        if place not in values and place.offset >= starts.get((place.topic, place.partition), 0)
    ]
    behind = [
        f"{partition} at {evidence.next_offsets.get(partition)} of {end}"
        for partition, end in evidence.log_ends.items()
        if evidence.next_offsets.get(partition) != end
    ]
    return [
        *_objection("I3: records that are nowhere", missing),
        *_objection("I3: rows of another event than their record's", foreign),
        *_objection("I3: rows or dead letters without a record", invented),
        *_objection("I3: the group does not stand at the end", behind),
    ]


def gaps_are_of_what_is_gone(evidence: Evidence) -> list[str]:
    """I3: a gap holds neither rows nor dead letters, ends where the log begins or before, and is told of once."""
    known = [gap for gap in evidence.gaps if gap.end is not None]
    stored = {row.place for row in evidence.rows} | {letter.place for letter in evidence.dead_letters}
    held = [gap for gap in known if (gap.end or 0) > evidence.log_starts.get(gap.partition, 0)]
    ordered = sorted(known)
    overlapping = [
        later
        for earlier, later in pairwise(ordered)
        if earlier.partition == later.partition and later.first < (earlier.end or 0)
    ]
    return [
        *_objection("I3: gaps over what the log still holds", held),
        *_objection("I3: rows or dead letters in a gap", [place for place in stored if _is_in_a_gap(place, known)]),
        *_objection("I3: gaps that overlap", overlapping),
    ]


def rows_are_what_was_sent(evidence: Evidence) -> list[str]:
    """I4: each column of a row is what its event makes, from the ledger's bytes or (where sent by hand) the log's."""
    values = {_place(record): record.value for record in evidence.log}
    altered, corrupt = [], []
    for row in evidence.rows:
        entry = evidence.ledger.get(row.event_id)
        value = entry.value if entry else values.get(row.place)
        if entry and hashlib.sha256(entry.value).hexdigest() != entry.sha256:
            corrupt.append(row.event_id)
        if value and (columns := _differing_columns(row, value, evidence)):
            altered.append(f"{row.table} {row.event_id}: {', '.join(columns)}")
    return [*_objection("I4: rows that differ from their event", altered), *_objection("I4: damaged ledger", corrupt)]


def unknown_outcomes_appear_once_at_most(evidence: Evidence) -> list[str]:
    """I5: what may or may not have been taken is there once or not at all; what was refused is not there."""
    found = Counter(row.event_id for row in evidence.rows)
    found.update(letter.event_id for letter in evidence.dead_letters if letter.event_id)
    twice = [key for key, entry in evidence.ledger.items() if entry.outcome == "unknown" and found[key] > 1]
    refused = [key for key, entry in evidence.ledger.items() if entry.outcome == "refused" and found[key]]
    return [
        *_objection("I5: unknown outcomes that are there several times", twice),
        *_objection("I5: refused by the broker, and there", refused),
    ]


def offsets_move_from_where_they_were(evidence: Evidence) -> list[str]:
    """I6: each move of an offset begins where the last one ended, and none goes back."""
    stands_at: dict[Any, int | None] = defaultdict(lambda: None)
    broken = []
    for change in evidence.changes:
        if change.before != stands_at[change.partition] or (change.before or 0) > change.after:
            broken.append(f"{change.partition}: {change.before} to {change.after}, after {stands_at[change.partition]}")
        stands_at[change.partition] = change.after
    return _objection("I6: offsets that jumped or went back", broken)


def no_marker_in(markers: Iterable[str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """I9: nothing that was planted in settings or payloads stands in a log, a metric or a dead letter's detail.

    Args:
        texts: each with the name that it is reported under.
    """
    markers = list(markers)
    found = [f"{name}: {marker}" for name, text in texts for marker in markers if marker in text]
    return _objection("I9: secrets that came to light", found)


def log_texts(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Log files as `no_marker_in` takes them."""
    return [(path.name, path.read_text(errors="replace")) for path in paths]


def _differing_columns(row: StoredRow, value: bytes, evidence: Evidence) -> list[str]:
    made = event_row(LoggedEvent(parse_event(replace_nul(value)[0], evidence.now)))
    if made.table != row.table:
        return [f"is in {row.table}, belongs in {made.table}"]
    expected = dict(zip(COLUMNS[made.table], made.row, strict=True))
    kinds = COLUMNS[made.table]
    return [
        name
        for name in kinds.keys() - _LOG_COLUMNS
        if _comparable(row.values[name], kinds[name]) != _comparable(expected[name], kinds[name])
    ]


def _comparable(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "jsonb":
        return orjson.loads(value)
    return str(value) if kind == "uuid" else value


def _is_repeated(record: LogRecord, row: StoredRow, values: dict[Place, bytes | None], evidence: Evidence) -> bool:
    """Whether the row's own record, or the ledger where that is gone, has the same bytes."""
    entry = evidence.ledger.get(row.event_id)
    return record.value == values.get(row.place, entry.value if entry else None)


def _is_in_a_gap(place: Place, gaps: Iterable[LogGap]) -> bool:
    return any(
        gap.partition == (place.topic, place.partition) and gap.first <= place.offset < (gap.end or 0) for gap in gaps
    )


def _dead_events(evidence: Evidence) -> set[UUID]:
    return {letter.event_id for letter in evidence.dead_letters if letter.event_id}


def _place(record: LogRecord) -> Place:
    return Place(record.topic, record.partition, record.offset)


def _event_id(record: LogRecord) -> UUID | None:
    try:
        return UUID(orjson.loads(record.value or b"")["id"])
    except (ValueError, KeyError, TypeError):
        return None


def _objection(text: str, found: Collection[Any]) -> list[str]:
    if not found:
        return []
    shown = "; ".join(str(each) for each in list(found)[:_SHOWN_MAX])
    return [f"{text}: {len(found)}, such as {shown}"]
