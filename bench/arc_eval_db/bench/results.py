"""Few runs of several candidates: medians, spreads and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from arc_eval_db.bench.sections import Figures


class Spread(NamedTuple):
    """The middle of some values, and how far they lie apart."""

    median: float
    least: float
    most: float


@dataclass(slots=True)
class Result:
    """All runs of one candidate, a round each."""

    section: str
    name: str
    workload: str | None = None
    guarantee: str | None = None
    runs: list[Figures] = field(default_factory=list)

    def values(self, figure: str) -> list[float]:
        """A figure of all runs; runs that did not find it are left out."""
        return [value for run in self.runs if (value := run.get(figure)) is not None]

    def spread(self, figure: str) -> Spread | None:
        """A figure over all runs; None where no run found it."""
        return spread(self.values(figure))

    def to_json(self) -> dict[str, Any]:
        """For a report: the runs, and the spread of every figure."""
        names = dict.fromkeys(name for run in self.runs for name in run)
        summary = {name: found._asdict() for name in names if (found := self.spread(name))}
        return {
            "section": self.section,
            "name": self.name,
            "workload": self.workload,
            "guarantee": self.guarantee,
            "summary": summary,
            "runs": self.runs,
        }


def spread(values: Iterable[float]) -> Spread | None:
    """The median, and the least and the most; None of nothing."""
    known = sorted(values)
    return Spread(statistics.median(known), known[0], known[-1]) if known else None


def ratio(numerator: Result, denominator: Result, figure: str = "per_second") -> Spread | None:
    """How many times a figure is another's, round by round: what disturbed a round disturbed both."""
    pairs = zip(numerator.runs, denominator.runs, strict=False)
    return spread(
        above / below for run, other in pairs if (above := run.get(figure)) is not None and (below := other.get(figure))
    )


def ceiling_ratio(whole: Result, parts: Sequence[Result], figure: str = "per_second") -> Spread | None:
    """The whole against the slowest of its parts in the same round."""
    rounds = zip(whole.runs, *(part.runs for part in parts), strict=False)
    found = []
    for run, *of_parts in rounds:
        limits = [value for part in of_parts if (value := part.get(figure)) is not None]
        reached = run.get(figure)
        if limits and len(limits) == len(parts) and reached is not None:
            found.append(reached / min(limits))
    return spread(found)
