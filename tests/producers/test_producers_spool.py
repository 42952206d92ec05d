"""The spool's files: what is read back is what was written, whatever a crash or a bad disk leaves of it."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from arc_eval_db.producers import MemoryTransport, spool_segments
from arc_eval_db.producers.emitter import EventEmitter
from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.sender import _BATCH_BYTES_MAX
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.spool_format import from_lines, to_lines
from arc_eval_db.producers.spool_segments import Segment, directory_bytes, lock
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def real_records(**environment: str) -> list[OutgoingRecord]:
    """One of each kind, as the emitter makes them."""
    from arc_eval_db.producers import execution

    memory = MemoryTransport()
    settings = ProducerSettings.from_environment(environment, hostname="h", pid=7)
    with EventEmitter(transport=memory, settings=settings) as emitter, execution("s", {}, emitter=emitter) as run:
        run.tool_used("t", success=True, arguments={"text": "a line\nand another\x00 ✓"})
        run.progress("on")
        run.failure("k", "m")
    return memory.records


RECORDS = real_records()


@pytest.mark.parametrize("environment", [{}, {"TRACEPARENT": TRACEPARENT, "ARC_EVAL_TOPIC_PREFIX": "other"}])
def test_records_come_back_as_they_were_with_keys_and_headers(environment: dict[str, str]) -> None:
    records = real_records(**environment)
    content = from_lines(to_lines(records))
    assert content.records == records
    assert content.is_whole
    assert [bool(record.importance) for record in content.records] == [
        any(kind.encode() in record.value for kind in (STARTED, COMPLETED, FAILURE_RECORDED)) for record in records
    ]


def test_one_line_a_record_that_people_can_read() -> None:
    line = to_lines(RECORDS[:1])
    assert re.fullmatch(rb'[0-9a-f]{8} arc-eval\.executions \d{13} {"specversion":.*}\n', line)


def test_a_batch_has_room_for_the_largest_event() -> None:
    assert EVENT_BYTES_MAX + 400 < _BATCH_BYTES_MAX


def test_a_file_cut_anywhere_costs_the_records_that_were_cut() -> None:
    """At every byte of the last two records."""
    lines = [to_lines([record]) for record in RECORDS]
    text = b"".join(lines)
    start = len(text) - len(lines[-1]) - len(lines[-2])
    for end in range(start, len(text)):
        whole = 3 if end < start + len(lines[-2]) else 4
        content = from_lines(text[:end])
        assert content.records == RECORDS[:whole], end
        assert content.damaged_lines == 0
        assert content.has_torn_tail == (end not in (start, start + len(lines[-2])))
    assert from_lines(text).records == RECORDS


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, sum(len(to_lines([record])) for record in RECORDS) - 1), st.integers(1, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_a_changed_byte_costs_no_more_than_the_lines_it_touches(changes: list[tuple[int, int]]) -> None:
    lines = [to_lines([record]) for record in RECORDS]
    text = bytearray(b"".join(lines))
    touched = set()
    for offset, difference in changes:
        text[offset] ^= difference
        ends = [sum(map(len, lines[: index + 1])) for index in range(len(lines))]
        line = next(index for index, end in enumerate(ends) if offset < end)
        # A line's end that is lost joins it with the next.
        touched |= {line, line + 1} if offset == ends[line] - 1 else {line}
    content = from_lines(bytes(text))
    assert all(record in RECORDS for record in content.records), "nothing is read that was not written"
    kept = [record for index, record in enumerate(RECORDS) if index not in touched]
    assert [record for record in content.records if record in kept] == kept


@given(st.binary(max_size=300))
def test_garbage_is_no_record(garbage: bytes) -> None:
    content = from_lines(garbage)
    assert content.records == []
    assert content.damaged_lines == garbage.count(b"\n")


@pytest.mark.parametrize("value", [b"7", b"{}", b'{"subject": 7}', b"[", b'{"type":"t","id":"i","subject":"x"}'])
def test_a_right_sum_over_what_is_no_event_is_damage(value: bytes) -> None:
    content = from_lines(to_lines([RECORDS[0]._replace(value=value), RECORDS[1]]))
    assert (content.records, content.damaged_lines) == (RECORDS[1:2], 1)


def test_segments_belong_to_their_user_and_are_locked(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "new" / "spool")
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.parent.stat().st_mode & 0o777 == 0o700
    other = os.open(segment.path, os.O_RDWR)
    assert lock(other) is False
    segment.close()
    assert lock(other) is True
    os.close(other)


def test_what_is_appended_is_synchronised_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot be had here: what can be seen is that the disk is asked to write, after the text."""
    asked: list[int] = []
    monkeypatch.setattr(spool_segments, "_synchronise", lambda descriptor: asked.append(os.fstat(descriptor).st_size))
    segment = Segment(tmp_path)
    text = to_lines(RECORDS)
    place = segment.append(text)
    assert asked == [len(text)] == [place.end]
    segment.close()


def test_the_directory_is_synchronised_when_a_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(spool_segments, "synchronise_directory", asked.append)
    Segment(tmp_path).close()
    assert asked == [tmp_path]


def test_the_directories_above_are_synchronised_when_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(spool_segments, "synchronise_directory", asked.append)
    directory = tmp_path / "new" / "spool"
    Segment(directory).close()
    assert asked == [tmp_path, tmp_path / "new", directory]
    Segment(directory).close()
    assert asked[3:] == [directory]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(tmp_path)
    place = segment.append(to_lines(RECORDS[:2]))
    write = os.write

    def half(descriptor: int, data: Any) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(descriptor, data[: len(data) // 2])

    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        segment.append(to_lines(RECORDS[2:]))
    monkeypatch.undo()
    assert segment.size == place.end == segment.path.stat().st_size
    assert segment.read(place, 10**6)[0].records == RECORDS[:2]
    segment.close()


def test_a_new_file_that_a_push_took_away_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []

    def lock_too_late(descriptor: int) -> bool:
        if not taken:
            (path,) = tmp_path.iterdir()
            path.unlink()
            taken.append(path)
        return True

    monkeypatch.setattr(spool_segments, "lock", lock_too_late)
    segment = Segment(tmp_path)
    assert taken
    assert segment.path.exists()
    segment.close()


def test_a_place_is_read_in_parts(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    place = segment.append(to_lines(RECORDS))
    read: list[OutgoingRecord] = []
    parts = 0
    while place.start < place.end:
        content, part = segment.read(place, 900)
        assert content.records
        read += content.records
        place = place.after(part)
        parts += 1
    assert read == RECORDS
    assert parts > 1
    segment.remove()
    assert directory_bytes(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_whole_directory_is_measured(tmp_path: Path) -> None:
    (tmp_path / "a.spool").write_bytes(b"x" * 10)
    (tmp_path / "b.spool.damaged").write_bytes(b"x" * 7)
    assert directory_bytes(tmp_path) == 17
    assert directory_bytes(tmp_path / "missing") == 0


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from arc_eval_db.producers.spool_segments import Segment
segment = Segment(Path(sys.argv[1]))
print(segment.path, flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        descriptor = os.open(path, os.O_RDWR)
        assert lock(descriptor) is False
        process.kill()
        process.wait(30)
        assert lock(descriptor) is True
        os.close(descriptor)
