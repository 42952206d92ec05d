"""What code costs, in counts and not in time: they are the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(call: Callable[[], object]) -> int:
    """Lines of Python that are run on this thread, and calls of functions, of C's too."""
    count = 0

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    tracing, profiling = sys.gettrace(), sys.getprofile()
    sys.setprofile(at_call)
    sys.settrace(at_line)
    try:
        call()
    finally:
        sys.settrace(tracing)
        sys.setprofile(profiling)
    return count
