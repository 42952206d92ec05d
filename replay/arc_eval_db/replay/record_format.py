"""Records as lines of JSON, which can be read back without a byte lost, and as lines for people."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import orjson

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.errors import ArcEvalError


class RecordFormatError(ArcEvalError):
    """A line that is no record; the message says which."""


def to_line(record: LogRecord) -> bytes:
    """A record as one line of JSON, without the line's end.

    The value stands as JSON under `value` where that gives the same bytes back, else as text under `value_text`, or as
    base64 under `value_base64`. Likewise the key and each header's value, which are text or base64.
    """
    return orjson.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "timestamp_ms": record.timestamp_ms,
            **_bytes("key", "key", record.key),
            "headers": [{"name": name, **_bytes("value", "value", value)} for name, value in record.headers],
            **_value(record.value),
        }
    )


def from_line(line: bytes, number: int) -> LogRecord:
    """The record that `to_line` was given.

    Args:
        number: of the line, for the error.

    Raises:
        RecordFormatError: it is none.
    """
    try:
        document = orjson.loads(line)
        headers = tuple((each["name"], _read_bytes("value", "value", each)) for each in document["headers"])
        value = orjson.dumps(document["value"]) if document.get("value") is not None else None
        return LogRecord(
            str(document["topic"]),
            int(document["partition"]),
            int(document["offset"]),
            int(document["timestamp_ms"]),
            _read_bytes("key", "key", document),
            value if value is not None else _read_bytes("value", "value_text", document),
            headers,  # type: ignore[arg-type]  # Kafka allows headers without a value
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise RecordFormatError(
            f"line {number} is not a record as `arc-eval-db replay --json` writes it: {type(error).__name__}"
        ) from error


def for_people(record: LogRecord) -> str:
    """One line: when, where, what, whose, and the data."""
    time = record.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    place = f"{record.topic}/{record.partition}@{record.offset}"
    try:
        event = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("data"), dict):
        kind = str(event.get("type")).removeprefix("arc_eval.")
        return f"{time} {place} {kind} {event.get('subject')} {orjson.dumps(event['data']).decode()}"
    raw = (record.value or b"").decode("utf-8", "backslashreplace")
    return f"{time} {place} not an event: {raw}"


def _value(value: bytes | None) -> dict[str, Any]:
    if value is not None and value[:1] == b"{":
        try:
            document = orjson.loads(value)
            if orjson.dumps(document) == value:
                return {"value": document}
        except orjson.JSONDecodeError:
            pass  # kept as text, below
    return {"value": None} if value is None else _bytes("value", "value_text", value)


def _bytes(name: str, text_name: str, raw: bytes | None) -> dict[str, Any]:
    """Bytes that are text most of the time."""
    try:
        return {text_name: None if raw is None else raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw or b"").decode()}


def _read_bytes(name: str, text_name: str, document: Mapping[str, Any]) -> bytes | None:
    if f"{name}_base64" in document:
        return base64.b64decode(document[f"{name}_base64"], validate=True)
    text = document.get(text_name)
    return None if text is None else str(text).encode()
