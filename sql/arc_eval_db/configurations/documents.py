"""Configurations and schemas in files: YAML or JSON, read so that nothing in them can do harm."""

from __future__ import annotations

from typing import Any, BinaryIO

from arc_eval_db.configurations.content import CONTENT_BYTES_MAX
from arc_eval_db.configurations.errors import DocumentError
from arc_eval_db.configurations.json_text import JsonReader, JsonSyntaxError, require_object
from arc_eval_db.configurations.yaml_text import YamlReader


def read_stream(stream: BinaryIO, source: str) -> dict[str, Any]:
    """The object in a file, of which no more is read than may be taken.

    Raises:
        DocumentError: as `read_document`.
    """
    return read_document(stream.read(CONTENT_BYTES_MAX + 1), source)


def read_document(raw: bytes, source: str) -> dict[str, Any]:
    """The object in a document.

    A `source` that ends in `.json` is JSON. Others are JSON if they are JSON to the last character, or else YAML: the
    two differ in escapes of characters beyond the basic plane.

    Raises:
        DocumentError: with line and column of what cannot be taken.
    """
    if len(raw) > CONTENT_BYTES_MAX:
        problem = f"more than {CONTENT_BYTES_MAX:,} bytes; keep what is so large elsewhere, and its address here"
        raise DocumentError(problem, source, 1, 1)
    text = _decoded(raw, source)
    if source.lower().endswith(".json"):
        return require_object(JsonReader(text, source).read(), source)
    if text.lstrip(" \t\r\n").startswith("{"):
        try:
            return require_object(JsonReader(text, source).read(), source)
        except JsonSyntaxError:
            pass  # YAML in flow style
    return require_object(YamlReader(text, source).read(), source)


def _decoded(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise DocumentError("not UTF-8; save the file as UTF-8", source, line, column) from None
