"""Seconds in words."""

from __future__ import annotations

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def in_words(seconds: float | None) -> str:
    """Such as "2.5 h", "0.3 s"; "-" where it is not known."""
    if seconds is None:
        return "-"
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
