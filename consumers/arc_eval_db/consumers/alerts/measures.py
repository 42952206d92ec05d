"""What a rule looks at: one figure for each group of a metric's samples, the same here and as PromQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, sorted by name."""

Figures = Mapping[Labels, float]


def labels_of(values: Mapping[str, str]) -> Labels:
    """Labels in the form in which they are compared."""
    return tuple(sorted(values.items()))


class Form(StrEnum):
    """What is taken of a sample."""

    VALUE = "value"
    AGE = "age"
    """Now less the sample, which is a Unix time; 0 is none yet, and has no age."""
    INCREASE = "increase"
    """What a counter gained within the window, restarts included."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric, what is taken of each of its samples, and how those of one group become one figure."""

    metric: str
    form: Form = Form.VALUE
    by: tuple[str, ...] = ()
    """The labels that make a group, and that an alert has; the others are put together."""
    take: Literal["max", "min", "sum"] = "max"
    where: tuple[tuple[str, str], ...] = ()
    """Only samples that have these values."""
    window_s: int = 0
    """Of `INCREASE`."""
    by_target: bool = False
    """In Prometheus, a group for each scraped process too: its labels `job` and `instance` say which."""

    def __post_init__(self) -> None:
        if (self.form is Form.INCREASE) != (self.window_s > 0):
            raise ValueError("a window belongs to an increase, and to nothing else")

    @property
    def needs_history(self) -> bool:
        """Whether earlier samples count."""
        return self.window_s > 0

    def selects(self, sample: Sample) -> bool:
        """Whether this is one of its samples."""
        return set(self.where) <= set(sample.labels)

    def figures(self, samples: Iterable[Sample], now: float, earlier: Callable[[Sample], float | None]) -> Figures:
        """A figure for each group; samples that are no number, and those without what a window needs, are left out.

        Args:
            now: Unix time.
            earlier: of an increase: what the sample gained within the window, or None where that is not known.
        """
        groups: dict[Labels, list[float]] = {}
        for sample in samples:
            value = self._taken(sample, now, earlier)
            # What is not a number is not equal to itself.
            if value is not None and value == value:
                group = tuple((name, value_) for name, value_ in sample.labels if name in self.by)
                groups.setdefault(group, []).append(value)
        return {group: _TAKERS[self.take](values) for group, values in groups.items()}

    def _taken(self, sample: Sample, now: float, earlier: Callable[[Sample], float | None]) -> float | None:
        if not self.selects(sample):
            return None
        if self.form is Form.VALUE:
            return sample.value
        if self.form is Form.AGE:
            return now - sample.value if sample.value > 0 else None
        return earlier(sample)

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """The labels of a group in Prometheus."""
        return (*(("job", "instance") if self.by_target else ()), *self.by)

    def promql(self) -> str:
        """The same figure as PromQL."""
        labels = self.prometheus_labels
        grouping = f"{self.take} by ({', '.join(labels)})" if labels else self.take
        return f"{grouping} ({self._promql_of_samples()})"

    def _promql_of_samples(self) -> str:
        matchers = ", ".join(f'{name}="{value}"' for name, value in self.where)
        selector = self.metric + (f"{{{matchers}}}" if matchers else "")
        if self.form is Form.VALUE:
            return selector
        if self.form is Form.AGE:
            return f"time() - ({selector} > 0)"
        return f"increase({selector}[{self.window_s}s])"


_TAKERS: Mapping[str, Callable[[Iterable[float]], float]] = {"max": max, "min": min, "sum": sum}
