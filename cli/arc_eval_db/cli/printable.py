"""Text and bytes of unknown origin for a terminal: they show, and do nothing else."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Literal

import orjson


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape what would steer a terminal, or not show: control characters, directions of writing, odd spaces.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'

    Args:
        keep: characters to leave alone.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes that somebody sent, in the plainest form that keeps all of them."""

    encoding: Literal["json", "text", "base64"]
    text: str

    @classmethod
    def of(cls, raw: bytes | None) -> Payload | None:
        """JSON as it stands, else text, else base64."""
        if raw is None:
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return cls("base64", b64encode(raw).decode())
        try:
            orjson.loads(raw)
        except orjson.JSONDecodeError:
            return cls("text", text)
        return cls("json", text)

    def for_people(self) -> str:
        """The text with what cannot be printed escaped; JSON is indented where that changes nothing else."""
        if self.encoding == "json":
            value = orjson.loads(self.text)
            # Not where digits, repeated names or escapes would get lost.
            if orjson.dumps(value).decode() == self.text:
                return printable(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), keep="\n")
        return printable(self.text, keep="\n\t")

    def for_programs(self) -> dict[str, object]:
        """The encoding, and the value as a part of a JSON document."""
        value = orjson.Fragment(self.text) if self.encoding == "json" else self.text
        return {"encoding": self.encoding, "value": value}


def printable_json(document: str) -> str:
    r"""The same document with what would steer a terminal escaped, as JSON does it.

    >>> print(printable_json('{"a":"\x9b31m"}'))
    {"a":"\u009b31m"}
    """
    if document.replace("\n", "").isprintable():
        return document
    # In strings, the only place where JSON has such characters, the escapes mean the same; the others are white space.
    return "".join(one if one.isprintable() or one in "\n\r\t" else _json_escaped(one) for one in document)


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))
