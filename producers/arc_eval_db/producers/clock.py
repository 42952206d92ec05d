"""Time as a parameter: real clocks by default, made-up ones for tests and for runs recorded elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is (aware, stamped on events) and a steady counter in seconds (durations are differences of it)."""

    now: Callable[[], datetime] = partial(datetime.now, UTC)
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()
