"""Places in a JSON value, written for people and for JSON Patch."""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = Sequence[str | int]

_KEY_CHARACTERS_MAX = 100
_PLAIN_KEY = re.compile(r"[^\W\d][\w-]*")


def json_path(path: Path) -> str:
    """As people read it, and RFC 9535 writes it.

    >>> json_path(["tools", 2, "max retries"])
    "$.tools[2]['max retries']"
    """
    return "$" + "".join(_step(step) for step in path)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _PLAIN_KEY.fullmatch(step):
        return f".{step}"
    return f"[{step!r}]"


def json_pointer(path: Path) -> str:
    """RFC 6901, as JSON Patch wants it.

    >>> json_pointer(["a/b", 0, "~"])
    '/a~1b/0/~0'
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def key_in_words(key: str) -> str:
    """A key as an error quotes it: a long one by its beginning.

    >>> key_in_words("model"), len(key_in_words("k" * 1000))
    ("'model'", 103)
    """
    return repr(key) if len(key) <= _KEY_CHARACTERS_MAX else repr(key[:_KEY_CHARACTERS_MAX]) + "…"
