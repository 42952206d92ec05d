"""How often the answers are wrong, on made-up runs whose truth is known. Seeded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from arc_eval_db.recommendations import (
    ComparisonOptions,
    Metric,
    RunResult,
    Sample,
    VerdictKind,
    compare_samples,
    sample_of_runs,
)
from arc_eval_db.recommendations.statistics import Clusters, overall_means, overall_rates, paired_means, paired_rates

ALPHA = 0.05
REPEATS = 1000
# What chance alone leaves of 5 % in a thousand repeats, three standard errors off.
WRONG_MAX = 0.05 + 3 * (0.05 * 0.95 / REPEATS) ** 0.5
COVERED_MIN = 1 - WRONG_MAX

SHAPES = [(10, 1, 0.1), (10, 10, 0.3), (20, 3, 0.02), (91, 1, 0.02), (91, 1, 0.1), (30, 5, 0.05), (50, 10, 0.5)]
"""Scenarios, runs of each, and the mean success rate."""


def rates(
    random: np.random.Generator, scenarios: int, runs: int, rate: float, effect: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Successes by scenario: scenarios are of very different difficulty, and suit one agent more than the other."""
    middle = stats.norm.ppf(rate) * np.sqrt(2.25)
    for _ in range(REPEATS):
        difficulty = random.normal(middle, 1, scenarios)
        a, b = (stats.norm.cdf(difficulty + shift + random.normal(0, 0.5, scenarios)) for shift in (0, effect))
        yield random.binomial(runs, a), random.binomial(runs, b)


@pytest.mark.parametrize(("scenarios", "runs", "rate"), SHAPES)
def test_where_there_is_no_difference_one_is_seldom_found(scenarios: int, runs: int, rate: float) -> None:
    random = np.random.default_rng(1)
    paired = overall = 0
    counts = np.full(scenarios, float(runs))
    for a, b in rates(random, scenarios, runs, rate, 0.0):
        paired += not paired_rates((b - a) / runs, np.full(scenarios, 1 / runs)).interval(ALPHA).contains(0)
        overall += not overall_rates(Clusters(counts, a.astype(float), counts, b.astype(float)), ALPHA).contains(0)
    assert paired / REPEATS <= WRONG_MAX
    assert overall / REPEATS <= WRONG_MAX


@pytest.mark.parametrize(("scenarios", "runs", "rate"), SHAPES)
def test_intervals_of_rates_cover_a_real_difference(scenarios: int, runs: int, rate: float) -> None:
    random = np.random.default_rng(2)
    middle = stats.norm.ppf(rate) * np.sqrt(2.25)  # a sum of normal variables: what is drawn in `rates`, and the run
    truth = stats.norm.cdf((middle + 0.8) / np.sqrt(2.25)) - stats.norm.cdf(middle / np.sqrt(2.25))
    covered = sum(
        paired_rates((b - a) / runs, np.full(scenarios, 1 / runs)).interval(ALPHA).contains(truth)
        for a, b in rates(random, scenarios, runs, rate, 0.8)
    )
    assert covered / REPEATS >= COVERED_MIN


@pytest.mark.parametrize("scenarios", [10, 30, 91])
def test_intervals_of_skewed_costs_cover_the_difference(scenarios: int) -> None:
    random = np.random.default_rng(3)
    truth = (0.8 - 1) * np.exp(0.5 + 0.245)
    paired = overall = 0
    for _ in range(REPEATS):
        level = random.normal(0, 1, scenarios)
        a, b = (share * np.exp(level + random.normal(0, 0.7, scenarios)) for share in (1.0, 0.8))
        pivot, ones = paired_means(b - a), np.ones(scenarios)
        together = overall_means(Clusters(ones, a, ones, b))
        assert pivot is not None
        assert together is not None
        paired += pivot.interval(ALPHA).contains(truth)
        overall += together.interval(ALPHA).contains(truth)
    assert paired / REPEATS >= COVERED_MIN
    assert overall / REPEATS >= COVERED_MIN


@pytest.mark.parametrize("scenarios", [10, 30, 91])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_intervals_of_counts_cover_the_difference(scenarios: int, rate: float) -> None:
    """Tool errors are few whole numbers: often all scenarios are alike, which no interval may call certain."""
    random = np.random.default_rng(6)
    given = covered = 0
    for _ in range(REPEATS):
        pivot = paired_means((random.poisson(2 * rate, scenarios) - random.poisson(rate, scenarios)).astype(float))
        given += pivot is not None
        covered += pivot is not None and pivot.interval(ALPHA).contains(rate)
    assert given > REPEATS / 4
    assert covered / given >= 1 - (0.05 + 3 * (0.05 * 0.95 / given) ** 0.5)


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.99])
def test_scores_of_zero_and_one_are_seldom_found_to_differ_where_they_do_not(rate: float) -> None:
    random = np.random.default_rng(7)
    options, repeats = ComparisonOptions(metric=Metric.SCORE), 300
    wrong = 0
    for _ in range(repeats):
        a, b = (
            sample_of_runs(RunResult(f"s{n}", "failed", score=float(one)) for n, one in enumerate(side))
            for side in (random.binomial(1, rate, 12), random.binomial(1, rate, 12))
        )
        wrong += compare_samples(a, b, options).verdict.kind is not VerdictKind.NO_DIFFERENCE_FOUND
    assert wrong / repeats <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5


def made(random: np.random.Generator, scenarios: int, better: float, worse: float) -> tuple[Sample, Sample]:
    """One run each: a share of scenarios that B newly passes, and one that it newly fails."""
    kinds = random.choice(4, scenarios, p=[better, worse, 0.2, 0.8 - better - worse])
    sides = ([1, 2], [0, 2])
    a, b = (
        sample_of_runs(
            RunResult(f"s{number}", "succeeded" if kind in passing else "failed") for number, kind in enumerate(kinds)
        )
        for passing in sides
    )
    return a, b


def test_a_planted_improvement_is_found_with_the_sample_that_was_planned() -> None:
    """The plan is made from a pilot run; the improvement is ten points."""
    random = np.random.default_rng(4)
    options = ComparisonOptions(detect=0.1)
    pilot = compare_samples(*made(random, 2000, 0.16, 0.06), options).verdict
    assert pilot.scenarios_needed is not None
    assert 130 < pilot.scenarios_needed < 200
    found = sum(
        compare_samples(*made(random, pilot.scenarios_needed, 0.16, 0.06), options).verdict.kind is VerdictKind.BETTER
        for _ in range(150)
    )
    assert found / 150 == pytest.approx(options.power, abs=0.1)


def test_verdicts_without_a_difference_are_seldom_wrong() -> None:
    random = np.random.default_rng(5)
    kinds = [compare_samples(*made(random, 60, 0.1, 0.1)).verdict.kind for _ in range(300)]
    wrong = sum(kind is not VerdictKind.NO_DIFFERENCE_FOUND for kind in kinds)
    assert wrong / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
