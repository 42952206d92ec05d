"""Sums over executions, and what is said of them: rates with how sure they are, means, totals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

_Z = 1.959963984540054
"""The normal distribution's quantile for 95 %."""


class RateInterval(NamedTuple):
    """Where the true rate is, with a confidence of 95 %."""

    low: float
    high: float


def wilson_interval(successes: int, runs: int) -> RateInterval | None:
    """Wilson's score interval for a rate; None without runs. Honest with few runs, and with none or all successful.

    As statsmodels has it (`proportion_confint(method="wilson")`), without the second that takes to import.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if runs == 0:
        return None
    rate, squared = successes / runs, _Z * _Z / runs
    center = (rate + squared / 2) / (1 + squared)
    half = _Z * math.sqrt(rate * (1 - rate) / runs + squared / (4 * runs)) / (1 + squared)
    return RateInterval(max(0.0, center - half), min(1.0, center + half))


@dataclass(frozen=True, slots=True)
class Figures:
    """What executions of some kind add up to. What was not measured counts in no mean."""

    executions: int = 0
    succeeded: int = 0
    failed: int | None = 0
    """Like the three below None where the rollup does not know how executions ended."""
    errored: int | None = 0
    timed_out: int | None = 0
    cancelled: int | None = 0
    score_sum: float | None = None
    score_count: int = 0
    duration_ms_sum: float | None = None
    duration_ms_count: int = 0
    cost_usd: float | None = None
    """None: nobody said what any of them cost."""
    cost_usd_count: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of sums, such as `configurations_hourly` has."""
        return cls(
            executions=row["executions"] or 0,
            succeeded=row["succeeded"] or 0,
            failed=row["failed"],
            errored=row["errored"],
            timed_out=row["timed_out"],
            cancelled=row["cancelled"],
            score_sum=row["score_sum"],
            score_count=row["score_count"] or 0,
            duration_ms_sum=row["duration_ms_sum"],
            duration_ms_count=row["duration_ms_count"] or 0,
            cost_usd=row["cost_usd_sum"],
            cost_usd_count=row["cost_usd_count"] or 0,
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
        )

    @property
    def success_rate(self) -> float | None:
        """Of all that ended, the cancelled included, as the views have it; None without any."""
        return self.succeeded / self.executions if self.executions else None

    @property
    def success_interval(self) -> RateInterval | None:
        """How sure the rate is."""
        return wilson_interval(self.succeeded, self.executions)

    @property
    def score(self) -> float | None:
        """Their mean."""
        return _mean(self.score_sum, self.score_count)

    @property
    def duration_ms(self) -> float | None:
        """Their mean."""
        return _mean(self.duration_ms_sum, self.duration_ms_count)

    @property
    def cost_usd_per_execution(self) -> float | None:
        """Of those that said what they cost."""
        return _mean(self.cost_usd, self.cost_usd_count)

    @property
    def cost_usd_per_success(self) -> float | None:
        """All that was spent, for each that reached its goal; None where none did."""
        return self.cost_usd / self.succeeded if self.cost_usd is not None and self.succeeded else None


def _mean(total: float | None, count: int) -> float | None:
    return total / count if total is not None and count else None
