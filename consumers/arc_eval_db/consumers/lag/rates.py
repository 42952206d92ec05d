"""Events in and out a second, from samples of the same partition at different times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

RATE_WINDOW_S = 120.0
"""Of so much time the rates are: short enough to follow, long enough for a batch every few seconds not to show."""

# Two looks in a row say nothing of a worker that commits twice a second.
_SPAN_S_MIN = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A partition at one moment."""

    at_s: float
    """By any clock, as long as it is the same for all."""
    next_offset: int
    log_start: int
    log_end: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Offsets a second; None where there are too few samples since something jumped."""

    in_per_s: float | None = None
    out_per_s: float | None = None

    @property
    def gain_per_s(self) -> float | None:
        """By how much a second the group comes closer to the log's end; negative where it falls behind."""
        return None if self.in_per_s is None or self.out_per_s is None else self.out_per_s - self.in_per_s

    def catch_up_s(self, messages: int) -> float | None:
        """Seconds until nothing is unread at these rates; None where that will not happen, or cannot be known."""
        if messages == 0:
            return 0.0
        gain = self.gain_per_s
        return messages / gain if gain is not None and gain > 0 else None


def rates(samples: Sequence[Sample]) -> Rates:
    """The rates over the last stretch without a jump.

    Args:
        samples: in the order of time, the newest last.
    """
    if not samples:
        return Rates()
    steady = _steady(samples)
    recent = [sample for sample in steady if sample.at_s >= steady[-1].at_s - RATE_WINDOW_S]
    if len(recent) < 2 or (span_s := recent[-1].at_s - recent[0].at_s) < _SPAN_S_MIN:
        return Rates()
    first, last = recent[0], recent[-1]
    return Rates((last.log_end - first.log_end) / span_s, (last.next_offset - first.next_offset) / span_s)


def rewound_by(samples: Sequence[Sample]) -> int:
    """By how many offsets the group stands before where it once stood; 0 once it is there again.

    A topic that was made anew begins at 0 again, and so does its group: nothing from before it counts.
    """
    begin = 0
    for index, (before, after) in enumerate(pairwise(samples), start=1):
        if after.log_end < before.log_end:
            begin = index
    offsets = [sample.next_offset for sample in samples[begin:]]
    return max(offsets) - offsets[-1] if offsets else 0


def _steady(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Since the group was sent back, the topic was made anew, or retention took what was unread: none is a rate."""
    begin = 0
    for index, (before, after) in enumerate(pairwise(samples), start=1):
        rewound = after.next_offset < before.next_offset
        made_anew = after.log_end < before.log_end
        overtaken = after.log_start > before.next_offset
        if rewound or made_anew or overtaken:
            begin = index
    return samples[begin:]
