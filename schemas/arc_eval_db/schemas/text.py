"""Text that PostgreSQL can store and people can read: length limits and NUL."""

from __future__ import annotations

import re
import unicodedata

from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX, TEXT_BYTES_MAX

REPLACEMENT = "\ufffd"

# An escape is one only after an even number of backslashes: `\\u0000` in JSON is the text "\u0000", not a NUL.
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def truncate(text: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """Cut `text` to `bytes_max` bytes of UTF-8, the marker with its original size included; `bytes_max` is at least 48.

    >>> truncate("x" * 100, bytes_max=50)
    'xxxxxxxxxxxxxxxxxxxx… [truncated from 100 bytes]'
    """
    if len(text) * 4 <= bytes_max:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= bytes_max:
        return text
    marker = f"… [truncated from {len(encoded)} bytes]"
    kept = encoded[: bytes_max - len(marker.encode())]
    return kept.decode("utf-8", "ignore") + marker


def replace_nul(raw: bytes) -> tuple[bytes, int]:
    r"""Replace escaped NUL characters in a JSON document, which PostgreSQL cannot store in any text, and count them.

    >>> replace_nul(rb'{"a":"x\u0000y"}')
    (b'{"a":"x\\ufffdy"}', 1)
    >>> replace_nul(rb'{"a":"\\u0000"}')
    (b'{"a":"\\\\u0000"}', 0)
    """
    if rb"\u0000" not in raw:
        return raw, 0
    # Neighbouring escapes share no character, and the look-behind sees the original: one pass suffices.
    return _NUL_ESCAPE.subn(rb"\1\\ufffd", raw)


def clean_name(name: object) -> str:
    """Make a valid name of anything: control characters become spaces, the length is limited, emptiness is named.

    >>> clean_name("two\\nlines")
    'two lines'
    """
    text = str(name).encode("utf-8", "replace").decode()
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return text.replace(REPLACEMENT, "?")[:NAME_CHARACTERS_MAX].strip() or "unnamed"
