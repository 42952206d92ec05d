"""What a comparison says: frozen objects, for programs and for whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.statistics import Interval
from arc_eval_db.schemas.status import ExecutionStatus

DEFAULT_SCENARIOS_MIN = 10
"""With one run a side, six scenarios must change, all in one direction, before any exact test sees a difference."""


ALPHA_MIN = 1e-6
POWER_MAX = 0.9999
"""Beyond these the distributions' tails are not computed to a digit that means anything."""


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """What to decide by, and how sure to be. A field that is out of range raises ValueError, naming it."""

    metric: Metric = Metric.SUCCESS
    """The verdict is about this one; the others only describe."""
    alpha: float = 0.05
    """How often, at the most, a difference is found where there is none; intervals cover 1 - alpha.
    At least `ALPHA_MIN`."""
    power: float = 0.8
    """How often a difference of the size `detect` should be found. At most `POWER_MAX`."""
    detect: float = 0.05
    """The smallest difference of interest: 0.05 is 5 points of the success rate; of another metric, 5 % of A's mean."""
    margin: float | None = None
    """A difference below this does not matter, in the unit of `detect`: only with it can a verdict be `equivalent`."""
    scenarios_min: int = DEFAULT_SCENARIOS_MIN
    """Common scenarios below which there is no verdict."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", Metric(self.metric))
        for name, high in (("alpha", 0.5), ("power", 1.0), ("detect", None), ("margin", None)):
            value = getattr(self, name)
            if value is not None and not 0 < value < (high or float("inf")):
                raise ValueError(f"{name}: must be above 0" + (f" and below {high:g}" if high else ""))
        if self.alpha < ALPHA_MIN:
            raise ValueError(f"alpha: must be at least {ALPHA_MIN:g}")
        if self.power > POWER_MAX:
            raise ValueError(f"power: must be at most {POWER_MAX:g}")
        if self.scenarios_min < 2:
            raise ValueError("scenarios_min: must be at least 2; one scenario says nothing about others")

    @property
    def level(self) -> str:
        """How sure intervals are, for people: 95%, 99.5%."""
        return f"{100 * (1 - self.alpha):.6g}%"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two configurations, and what of it was compared."""

    configuration_version_id: UUID | None
    name: str | None
    runs: int
    """Those that count: ended, and not cancelled."""
    scenarios: int
    """With a run that counts."""
    scenarios_alone: int
    """Of these, the ones of which the other side has no run."""
    statuses: Mapping[ExecutionStatus, int]
    """Ended runs; `errored` and `timed_out` count as not successful, `cancelled` does not count at all."""
    running: int
    abandoned: int
    """Without an end, and silent: they do not count, as nobody knows how they went."""
    is_limited: bool
    """Whether there may be older runs that were not read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """B against A in one metric."""

    scenarios: int
    """Those whose runs have the metric: on both sides where paired, on either where not."""
    a_mean: float
    b_mean: float
    difference: float
    """B minus A, in the metric's unit; of rates from -1 to 1."""
    interval: Interval | None
    """Of the difference; None where there are too few scenarios for one, or where all of them changed by the same."""
    ratio: float | None
    """B over A; None where A's mean is not above 0."""
    ratio_interval: Interval | None
    """None also for rates, where a mean cannot be told from 0, and where the ratio varies nowhere."""
    effect_size: float | None
    """None where the values do not vary."""
    effect_name: Literal["cohens_h", "hedges_g"]
    p_value: float | None = None
    """Of paired differences only; below alpha exactly where the interval leaves 0 out. By the sign test, and without an
    interval, where all scenarios changed by the same."""
    p_value_adjusted: float | None = None
    """By Holm, over the metrics that the verdict is not about."""


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric, in both ways."""

    metric: Metric
    a_missing: int
    """Runs that count and do not have it: they are in no mean."""
    b_missing: int
    paired: Difference | None
    """Over common scenarios, each of the same weight; None where there is none."""
    overall: Difference | None
    """Over all runs, each of the same weight; mixed up with which scenarios were run, and how often."""


class FlipKind(StrEnum):
    """What became of a scenario."""

    NEWLY_PASSING = "newly_passing"
    NEWLY_FAILING = "newly_failing"


@dataclass(frozen=True, slots=True)
class ScenarioFlip:
    """A scenario that passes on one side only: more than half of its runs succeed."""

    kind: FlipKind
    scenario_id: UUID
    scenario: str | None
    a_succeeded: int
    a_runs: int
    b_succeeded: int
    b_runs: int


class VerdictKind(StrEnum):
    """What the data say about B against A."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    """Any difference is smaller than the margin."""
    NO_DIFFERENCE_FOUND = "no_difference_found"
    """Not that there is none: the interval says what there may be."""
    TOO_FEW_RUNS = "too_few_runs"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, by the paired difference of the primary metric."""

    kind: VerdictKind
    metric: Metric
    text: str
    """In words."""
    scenarios: int
    """Common ones, which it rests on."""
    difference_of_interest: float | None
    """`detect` in the metric's unit; None where it is a share of A's mean and there is none."""
    detectable_difference: float | None
    """What so many scenarios find with the power asked for, in the metric's unit; None where nothing varies, or nothing
    is large enough."""
    scenarios_needed: int | None
    """Common scenarios that find the difference of interest with the power asked for; None where it cannot be said, as
    where there are enough for a verdict and nothing varies, and with it the next two."""
    runs_more_a: int | None
    """Runs that A still needs for them, at as many a scenario as now."""
    runs_more_b: int | None


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """B against A; A is the baseline."""

    a: Side
    b: Side
    since: datetime | None
    until: datetime | None
    options: ComparisonOptions
    common_scenarios: int
    verdict: Verdict
    metrics: tuple[MetricComparison, ...]
    """In the order of `Metric`."""
    flips: tuple[ScenarioFlip, ...]
    """Newly failing first, then by name."""
    notes: tuple[str, ...]
    """What to keep in mind, in words."""

    def metric(self, metric: Metric | str) -> MetricComparison:
        """One of the metrics."""
        return next(one for one in self.metrics if one.metric == metric)

    def to_json(self) -> dict[str, Any]:
        """For programs: the same names; an interval is a list of two numbers."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    """As JSON libraries take it: of enumerations their values, also as names; lists for all that is in order."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, StrEnum) else value
