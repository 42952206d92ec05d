"""Earlier samples, for figures over a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from arc_eval_db.consumers.alerts.measures import Labels, Measure, Sample


class History:
    """What one metric's samples were at each look, as far back as the longest window of its measures needs."""

    def __init__(self, windows: Iterable[int]) -> None:
        self._kept_s = max(windows)
        self._series: dict[Labels, deque[tuple[float, float]]] = {}
        self._began: float | None = None

    def add(self, samples: Iterable[Sample], now: float) -> None:
        """Take down a look; what was not seen for longer than any window is forgotten."""
        if self._began is None:
            self._began = now
        for sample in samples:
            series = self._series.setdefault(sample.labels, deque())
            if not series or series[-1][0] < now:
                series.append((now, sample.value))
        for labels, series in list(self._series.items()):
            # One that is older stays: it is what the others are compared with.
            while len(series) > 1 and series[1][0] < now - self._kept_s:
                series.popleft()
            if series[-1][0] < now - self._kept_s:
                del self._series[labels]

    def earlier(self, measure: Measure, now: float) -> Callable[[Sample], float | None]:
        """For `Measure.figures`: what a sample gained within the measure's window."""
        start = now - measure.window_s
        return lambda sample: self._increase(sample, start)

    def _increase(self, sample: Sample, start: float) -> float | None:
        series = self._series.get(sample.labels)
        if not series:
            return None
        # A counter that was not there at the first look began at 0: it is made when it first counts.
        value = series[0][1] if series[0][0] == self._began else 0.0
        gained = 0.0
        for at, next_value in series:
            if at > start:
                gained += next_value - value if next_value >= value else next_value
            value = next_value
        return gained
