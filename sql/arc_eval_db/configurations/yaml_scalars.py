"""What a plain word in YAML means: the core schema of YAML 1.2, in which `no` is text and `012` no octal number."""

from __future__ import annotations

import re

from arc_eval_db.configurations.content import number_problem

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
# More digits than any exact integer has.
_DIGITS_MAX = 20
_TOO_LARGE = 10**_DIGITS_MAX


class ScalarError(ValueError):
    """A word that could be taken in two ways, or a number that JSON cannot hold."""


def plain_scalar(text: str) -> str | float | bool | None:
    """The value of a word without quotes.

    >>> [plain_scalar(word) for word in ("no", "true", "1e0", "0x1F", "12:30", "1_000", "~")]
    ['no', True, 1.0, 31, '12:30', '1_000', None]

    Raises:
        ScalarError: saying what to write instead.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError("numbers must be finite; quote it where it is text")
    number: float
    if _INTEGER.fullmatch(text):
        if _LEADING_ZERO.fullmatch(text):
            raise ScalarError(
                "a leading zero means octal to some readers and nothing to others; "
                "leave it out, write 0o for octal, or quote it where it is text"
            )
        number = int(text) if len(text) <= _DIGITS_MAX else _TOO_LARGE
    elif _OTHER_BASE.fullmatch(text):
        number = int(text, 0) if len(text) <= _DIGITS_MAX else _TOO_LARGE
    elif _FLOAT.fullmatch(text):
        number = float(text)
    else:
        return text
    if problem := number_problem(number):
        raise ScalarError(problem)
    return number
