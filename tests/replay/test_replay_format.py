"""Records as lines: none of their bytes is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.replay import (
    FileTarget,
    RecordFileError,
    RecordFormatError,
    ReplayBatch,
    for_people,
    from_line,
    read_file,
    to_line,
)
from arc_eval_db.schemas.topics import COMPLETED
from support.events import event, record

RAW = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    RAW,
    RAW | JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(st.text("abc_", max_size=5), RAW), max_size=3),
    st.integers(0, 2**62),
)
def test_what_is_written_is_read_again(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], offset: int
) -> None:
    before = LogRecord("a.b", 3, offset, 1_795_392_000_123, key, value, tuple(headers))  # type: ignore[arg-type]
    line = to_line(before)
    assert b"\n" not in line
    assert from_line(line, 1) == before


def test_an_event_is_json_within_the_line() -> None:
    found = orjson.loads(to_line(record(event(COMPLETED), offset=7)))
    assert found["value"]["type"] == COMPLETED
    assert (found["topic"], found["partition"], found["offset"]) == ("arc-eval.executions", 0, 7)
    assert found["timestamp"] == "2026-02-02T02:40:00.000Z"
    assert found["headers"][0] == {"name": "ce_type", "value": COMPLETED}


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{}", b'{"topic":"t"}', b"\xff", to_line(record(None)).replace(b'"offset":0', b'"offset":"x"')],
)
def test_a_line_that_is_no_record_is_named(line: bytes) -> None:
    with pytest.raises(RecordFormatError, match="line 7 is not a record"):
        from_line(line, 7)


def test_for_people() -> None:
    assert " completed.v1" not in for_people(record(b"{"))
    assert for_people(record(b"\xff\x1b")).endswith("arc-eval.executions/0@0 not an event: \\xff\x1b")
    line = for_people(record(event(COMPLETED, {"score": 0.25}), offset=3))
    assert "arc-eval.executions/0@3 execution.completed.v1 " in line
    assert '"score":0.25' in line


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
async def test_a_file_is_there_when_it_is_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    records = [record(event(COMPLETED), offset=offset) for offset in range(1_200)]
    with FileTarget(path) as target:
        await target.take(ReplayBatch(records[:700], 700))
        assert not path.exists()
        await target.take(ReplayBatch(records[700:], 500))
    assert target.written == 1_200
    assert [found for batch in read_file(path) for found in batch] == records
    assert [each.name for each in tmp_path.iterdir()] == [name]
    if name.endswith(".gz"):
        assert gzip.decompress(path.read_bytes()).count(b"\n") == 1_200
    with pytest.raises(RecordFileError, match="exists; name another file, or add --overwrite"), FileTarget(path):
        pass
    with FileTarget(path, overwrite=True):
        pass
    assert list(read_file(path)) == []


async def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileTarget(tmp_path / "x") as target:
        await target.take(ReplayBatch([record(event(COMPLETED))], 1))
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(RecordFileError, match="cannot be read: No such file"):
        list(read_file(tmp_path / "x"))
    with pytest.raises(RecordFileError, match="cannot be written: No such file"), FileTarget(tmp_path / "x" / "y"):
        pass
    (tmp_path / "z.gz").write_bytes(gzip.compress(to_line(record(None)) + b"\n")[:-4])
    with pytest.raises(RecordFileError, match="cannot be read"):
        list(read_file(tmp_path / "z.gz"))
