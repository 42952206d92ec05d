"""Bytes that somebody sent, as text that shows all of them and does nothing."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

SHOWN_BYTES_MAX = 65_536
"""Of one payload, on a page; the rest is counted."""

_LINE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Payload:
    """What is shown of a payload."""

    encoding: str
    """json, text or hex."""
    size_bytes: int
    text: str

    @classmethod
    def of(cls, raw: bytes) -> Payload:
        """JSON as it stands, indented where that changes nothing; else text; else a dump in hexadecimal."""
        shown = raw[:SHOWN_BYTES_MAX]
        rest = f"\n… and {len(raw) - len(shown):,} more bytes" if len(shown) < len(raw) else ""
        try:
            # Cut in the middle of a character, the rest of it is no reason to call it binary.
            text = shown.decode(errors="strict" if not rest else "ignore")
            raw.decode()
        except UnicodeDecodeError:
            return cls("hex", len(raw), hex_dump(shown) + rest)
        json = None if rest else _indented(raw)
        if json is not None:
            return cls("json", len(raw), visible(json))
        return cls("text", len(raw), visible(text) + rest)


def visible(text: str) -> str:
    r"""The text with control characters, directions of writing and odd spaces written out.

    >>> visible("a\x00b\u202ec")
    'a\\x00b\\u202ec'
    """
    return "".join(one if one.isprintable() or one in "\n\t" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def hex_dump(raw: bytes) -> str:
    r"""Lines of an offset, 16 bytes in hexadecimal and what of them is ASCII.

    >>> hex_dump(b"\xff\x00abc")
    '00000000  ff 00 61 62 63                                   ..abc'
    """
    lines = []
    for offset in range(0, len(raw), _LINE_BYTES):
        part = raw[offset : offset + _LINE_BYTES]
        ascii_part = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<47}  {ascii_part}")
    return "\n".join(lines)


def _indented(raw: bytes) -> str | None:
    """None where it is no JSON. Not indented where digits, repeated names or escapes would get lost."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if orjson.dumps(value) == raw else raw.decode()
