"""What is known of one configuration's runs: counts and moments by scenario. No run itself is needed any more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.status import ExecutionStatus

Statuses = Mapping[ExecutionStatus, int]

COUNTED = frozenset(ExecutionStatus) - {ExecutionStatus.CANCELLED}
"""The ends that count as runs. Who cancels a run says nothing about the agent; every other end is the agent's own."""


VALUE_MAX = 1e60
"""What is not below it in size counts as not measured: it is a mistake, and its square's square is no number."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the values that were measured: how many, their mean, and their variance (divided by the count)."""

    count: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Moments | None:
        """None where nothing was measured. The order of the values makes no difference.

        Raises:
            ValueError: a value is not finite.
        """
        known = sorted(values)
        if not all(map(math.isfinite, known)):
            raise ValueError("a value is not finite")
        known = [value for value in known if abs(value) < VALUE_MAX]
        if not known:
            return None
        mean = math.fsum(known) / len(known)
        return cls(len(known), mean, math.fsum((value - mean) ** 2 for value in known) / len(known))


@dataclass(frozen=True, slots=True)
class ScenarioSample:
    """A configuration's runs of one scenario."""

    scenario_id: UUID
    scenario: str | None
    """Its name; None where no event has told it yet."""
    statuses: Statuses
    """Ended runs by how they ended, cancelled ones too."""
    measured: Mapping[Metric, Moments]
    """Over the counted runs; a metric that none of them has is left out."""

    @property
    def runs(self) -> int:
        """Those that count: ended, and not cancelled."""
        return sum(self.statuses.values()) - self.statuses.get(ExecutionStatus.CANCELLED, 0)

    @property
    def succeeded(self) -> int:
        """Those of them that reached their goal."""
        return self.statuses.get(ExecutionStatus.SUCCEEDED, 0)

    def moments(self, metric: Metric) -> Moments | None:
        """Of one metric; None where no run has it."""
        if metric is not Metric.SUCCESS:
            return self.measured.get(metric)
        runs = self.runs
        if not runs:
            return None
        rate = self.succeeded / runs
        return Moments(runs, rate, rate * (1 - rate))


@dataclass(frozen=True)
class Sample:
    """A configuration's runs."""

    scenarios: tuple[ScenarioSample, ...]
    configuration_version_id: UUID | None = None
    name: str | None = None
    running: int = 0
    """Executions that have not ended and were heard of lately."""
    abandoned: int = 0
    """Executions that have not ended and went silent."""
    is_limited: bool = False
    """Whether there may be older runs that were not read."""

    @cached_property
    def runs(self) -> int:
        """Those that count."""
        return sum(scenario.runs for scenario in self.scenarios)

    @property
    def statuses(self) -> dict[ExecutionStatus, int]:
        """All ended runs, by how they ended."""
        return {status: sum(one.statuses.get(status, 0) for one in self.scenarios) for status in ExecutionStatus}

    @cached_property
    def with_runs(self) -> Mapping[UUID, ScenarioSample]:
        """Scenarios with a run that counts, by id and in its order: the same sample has the same order."""
        found = sorted((one for one in self.scenarios if one.runs), key=lambda one: one.scenario_id.int)
        return {one.scenario_id: one for one in found}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one run ended, for comparing without a database."""

    scenario: str
    status: ExecutionStatus | str
    score: float | None = None
    cost_usd: float | None = None
    duration_ms: float | None = None
    tool_errors: float | None = None
    """None: not known. A run that used no tool has 0."""


def sample_of_runs(runs: Iterable[RunResult], *, name: str | None = None) -> Sample:
    """The sample that runs make, in whatever order they come.

    Raises:
        ValueError: a status that is none, or a value that is not finite.
    """
    by_scenario: dict[str, list[RunResult]] = defaultdict(list)
    for run in runs:
        by_scenario[run.scenario].append(run)
    return Sample(tuple(_scenario(scenario, found) for scenario, found in by_scenario.items()), name=name)


def _scenario(name: str, runs: list[RunResult]) -> ScenarioSample:
    statuses: dict[ExecutionStatus, int] = defaultdict(int)
    for run in runs:
        statuses[ExecutionStatus(run.status)] += 1
    counted = [run for run in runs if ExecutionStatus(run.status) in COUNTED]
    measured: dict[Metric, Moments] = {
        metric: moments
        for metric in Metric
        if metric is not Metric.SUCCESS
        and (moments := Moments.of(value for run in counted if (value := getattr(run, metric.value)) is not None))
    }
    return ScenarioSample(ids.scenario_id(name), name, dict(statuses), measured)
