"""Which failures are the same: messages that differ only in numbers, ids, paths and quoted values."""

from __future__ import annotations

import re
from functools import lru_cache

from arc_eval_db.schemas import ids

_SIGNATURE_CHARACTERS_MAX = 200

# The message may be 32 kB, and the signature holds no more.
_CHARACTERS_READ_MAX = 4 * _SIGNATURE_CHARACTERS_MAX

# The order matters: an id or a path must be recognised before the numbers in it.
_RULES = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`"), "<value>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{12,}\b"), "<hex>"),
    (re.compile(r"(?:[\w.~-]*/){2,}[\w.~-]*"), "<path>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def failure_signature(message: str) -> str:
    """What a failure's message has in common with others of its kind.

    >>> failure_signature("order 1234 of 'alice' not found in /data/orders/7.json")
    'order <n> of <value> not found in <path>'
    """
    text = message[:_CHARACTERS_READ_MAX]
    for pattern, placeholder in _RULES:
        text = pattern.sub(placeholder, text)
    return text.strip()[:_SIGNATURE_CHARACTERS_MAX]


def failure_pattern(kind: str, message: str) -> tuple[str, str]:
    """The id, as text, and the signature of the pattern that a failure belongs to."""
    return _pattern(kind, message[:_CHARACTERS_READ_MAX])


# An agent that fails says the same again and again, and to find the signature takes longer than the rest of a row.
@lru_cache(maxsize=4096)
def _pattern(kind: str, message: str) -> tuple[str, str]:
    signature = failure_signature(message)
    return str(ids.failure_pattern_id(kind, signature)), signature
