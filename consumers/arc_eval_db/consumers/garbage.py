"""Keeps Python's garbage collector out of the way of a process that does nothing but consume."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

# It takes about 60 ms with two batches in memory. What it finds, errors and tasks, is little.
_INTERVAL_S = 10.0


class CollectorBetweenBatches:
    """Lets the cyclic collector run every ten seconds and between batches only, and not over what was there before.

    By itself it runs after every 700 new objects, most of them values of a batch that cannot be garbage yet: a third of
    a consumer's time. What a batch leaves behind has no cycles and goes by itself. For a process of its own: what this
    changes holds for all threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ran_at = clock()
        self._was_enabled = True

    def __enter__(self) -> Self:
        self._was_enabled = gc.isenabled()
        gc.collect()
        gc.freeze()
        gc.disable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()

    def between_batches(self) -> None:
        """Collect, if it is time."""
        if self._clock() - self._ran_at >= _INTERVAL_S:
            gc.collect()
            self._ran_at = self._clock()
