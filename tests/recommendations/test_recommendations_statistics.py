"""Each method against a published example or another implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from arc_eval_db.recommendations.planning import (
    SCENARIOS_PLANNED_MAX,
    detectable_difference,
    scenarios_needed,
    scenarios_one_way,
)
from arc_eval_db.recommendations.statistics import (
    Clusters,
    Interval,
    Pivot,
    adjusted_by_holm,
    cohens_h,
    hedges_g,
    overall_means,
    overall_rates,
    paired_means,
    paired_rates,
    ratio_of_means,
    sign_test,
)


def pairs(better: int, worse: int, same: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences and steps of scenarios with one run on each side."""
    differences = np.array([1.0] * better + [-1.0] * worse + [0.0] * same)
    return differences, np.ones(len(differences))


def clusters(a: list[list[float]], b: list[list[float]]) -> Clusters:
    """From the values of each scenario."""
    return Clusters(
        *(np.array([len(one) for one in a], float), np.array([sum(one) for one in a], float)),
        *(np.array([len(one) for one in b], float), np.array([sum(one) for one in b], float)),
    )


def test_bonett_and_price() -> None:
    """Complete response before and after therapy (Cavo et al., 2012): Fagerland, Lydersen and Laake, chapter 8."""
    interval = paired_rates(*pairs(6, 16, 59 + 80)).interval(0.05)
    assert interval == pytest.approx((-0.1195, -0.0032), abs=5e-5)


def test_rates_of_which_none_differed_yet() -> None:
    interval = paired_rates(*pairs(0, 0, 20)).interval(0.05)
    assert interval == pytest.approx((-1.96 * math.sqrt(2 / 22) / math.sqrt(22), 1.96 * math.sqrt(2) / 22), abs=1e-4)


def test_an_interval_of_rates_stays_within_what_is_possible() -> None:
    assert paired_rates(*pairs(3, 0, 0)).interval(0.001).high == 1


def test_several_runs_take_smaller_steps_and_students_t() -> None:
    differences = np.array([1 / 3, -1 / 3, 0.0, 2 / 3])
    pivot = paired_rates(differences, np.full(4, 1 / 3))
    count = 4 + 2 / 3
    center = differences.sum() / count
    variance = ((differences**2).sum() + 2 / 9) / count - center**2
    half = stats.t.ppf(0.975, 3) * math.sqrt(variance / (count - 1))
    assert pivot.center == pytest.approx(center)
    assert pivot.interval(0.05) == pytest.approx((center - half, center + half))


def test_paired_means_are_students() -> None:
    """Student's own example (1908): hours of sleep gained by ten patients with each of two drugs."""
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    pivot = paired_means(second - first)
    assert pivot is not None
    assert pivot.center == pytest.approx(1.58)
    assert pivot.p_value() == pytest.approx(0.002833, abs=5e-7)
    assert pivot.interval(0.05) == pytest.approx((0.7001142, 2.4598858), abs=5e-7)


@pytest.mark.parametrize("by", [0.0, 1.0, 0.1])
def test_what_varies_nowhere_has_no_interval(by: float) -> None:
    """One of width 0 would be certainty."""
    level = np.arange(1.0, 13.0) / 10
    assert paired_means(np.full(12, by)) is None
    together = clusters([[x] for x in level], [[x + by] for x in level])
    assert overall_means(together) is None
    assert ratio_of_means(clusters([[x] for x in level], [[x * (1 + by)] for x in level]), 0.05) is None
    assert overall_means(clusters([[x] for x in level], [[x] for x in level[::-1]])) is not None


def test_signs() -> None:
    """Six of six one way: 2 / 2^6. Eight of ten: 2 (1 + 10 + 45) / 2^10."""
    assert sign_test(np.ones(6)) == 2 / 2**6
    assert sign_test(np.array([1.0] * 8 + [-2.0] * 2 + [0.0] * 5)) == pytest.approx(2 * 56 / 1024)
    assert sign_test(np.zeros(5)) == 1
    assert sign_test(np.array([])) is None


def test_one_scenario_has_no_interval() -> None:
    assert paired_means(np.array([1.0])) is None
    alone = clusters([[1.0, 2.0]], [[2.0, 3.0]])
    assert (overall_means(alone), ratio_of_means(alone, 0.05)) == (None, None)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.001])
@pytest.mark.parametrize("freedom", [3, math.inf])
def test_a_p_value_says_what_its_interval_says(alpha: float, freedom: float) -> None:
    for center in np.linspace(-5, 5, 101):
        pivot = Pivot(float(center), 1.0, freedom)
        assert (pivot.p_value() < alpha) is not pivot.interval(alpha).contains(0)


def test_newcombe() -> None:
    """56 of 70 against 48 of 80 (Newcombe, 1998, table II, method 10): 0.0524 to 0.3339."""
    a = [[1.0]] * 48 + [[0.0]] * 32 + [[]] * 70
    b: list[list[float]] = [[]] * 80 + [[1.0]] * 56 + [[0.0]] * 14
    assert overall_rates(clusters(a, b), 0.05) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_runs_of_one_scenario_count_for_what_they_are_worth() -> None:
    """Ten runs that always agree are worth one."""
    once = clusters([[1.0]] * 4 + [[0.0]] * 16, [[1.0]] * 8 + [[0.0]] * 12)
    ten = clusters([[1.0] * 10] * 4 + [[0.0] * 10] * 16, [[1.0] * 10] * 8 + [[0.0] * 10] * 12)
    independent = clusters([[1.0]] * 40 + [[0.0]] * 160, [[1.0]] * 80 + [[0.0]] * 120)
    low, high = overall_rates(once, 0.05)
    assert overall_rates(ten, 0.05) == pytest.approx((low, high), abs=0.02)
    assert overall_rates(independent, 0.05).high < high - 0.1


def test_where_the_design_effect_cannot_be_seen() -> None:
    """Without a success on either side, runs of a scenario are worth one; with some on one side, as many as there."""
    nothing = clusters([[0.0] * 5] * 10, [[0.0] * 5] * 10)
    assert overall_rates(nothing, 0.05).high == pytest.approx(
        stats.binomtest(0, 10).proportion_ci(method="wilson").high
    )
    some = clusters([[0.0] * 5] * 10, [[1.0] * 5] * 3 + [[0.0] * 5] * 7)
    worth = overall_rates(some, 0.05)
    assert worth.low > overall_rates(clusters([[0.0]] * 10, [[1.0]] * 3 + [[0.0]] * 7), 0.05).low - 0.05
    assert worth.low < overall_rates(clusters([[0.0]] * 50, [[1.0]] * 15 + [[0.0]] * 35), 0.05).low - 0.05


def test_overall_means_are_a_regression_with_clustered_errors() -> None:
    random = np.random.default_rng(1)
    levels = random.normal(size=12)
    a = [list(level + random.normal(size=random.integers(1, 5))) for level in levels]
    b = [list(level + 1 + random.normal(size=random.integers(0, 5))) for level in levels]
    values = np.array([value for side in (a, b) for one in side for value in one])
    is_b = np.array([float(side is b) for side in (a, b) for one in side for _ in one])
    group = np.array([index for side in (a, b) for index, one in enumerate(side) for _ in one])
    fit = OLS(values, np.column_stack([np.ones(len(values)), is_b])).fit(
        cov_type="cluster", cov_kwds={"groups": group, "use_correction": False}
    )
    pivot = overall_means(clusters(a, b))
    assert pivot is not None
    assert pivot.center == pytest.approx(fit.params[1])
    assert pivot.standard_error == pytest.approx(fit.bse[1] * math.sqrt(12 / 11))
    assert pivot.degrees_of_freedom == sum(bool(one) for one in b) - 1


def test_fieller() -> None:
    """The ratios that a t-test of B - r A does not refuse."""
    random = np.random.default_rng(2)
    a = random.lognormal(size=30)
    b = a * random.lognormal(0.3, 0.2, size=30)
    interval = ratio_of_means(clusters([[x] for x in a], [[x] for x in b]), 0.05)
    assert interval is not None
    for limit in interval:
        assert stats.ttest_1samp(b - limit * a, 0).pvalue == pytest.approx(0.05)
    turned = ratio_of_means(clusters([[x] for x in b], [[x] for x in a]), 0.05)
    assert turned == pytest.approx((1 / interval.high, 1 / interval.low))


@pytest.mark.parametrize(
    ("a", "b"), [([0.0, 0.0, 3.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [0.0, 0.0, 3.0]), ([1.0, 1.1], [-1.0, -1.1])]
)
def test_a_mean_that_cannot_be_told_from_nothing_has_no_ratio(a: list[float], b: list[float]) -> None:
    assert ratio_of_means(clusters([[x] for x in a], [[x] for x in b]), 0.05) is None


def test_effect_sizes() -> None:
    """Cohen (1988), table 6.2.2: the angles of .50 and .40 are 1.571 and 1.369. Hedges' correction for 18 is .9576."""
    assert cohens_h(0.4, 0.5) == pytest.approx(0.202, abs=1e-3)
    assert hedges_g(1.0, 1.0, 1.0, 20) == pytest.approx(1 - 3 / 71)
    assert hedges_g(3.0, 1.0, 9.0, 10_000) == pytest.approx(3 / math.sqrt(5), rel=1e-3)
    assert hedges_g(0.0, 0.0, 0.0, 20) is None
    assert hedges_g(1.0, 1.0, 1.0, 2) is None


def test_holm() -> None:
    assert adjusted_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjusted_by_holm([]) == []
    for seed in range(20):
        p_values = [float(one) for one in np.random.default_rng(seed).random(1 + seed % 5).round(1)]
        assert adjusted_by_holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_an_interval_within_a_margin() -> None:
    assert Interval(-0.01, 0.02).within(0.03)
    assert not Interval(-0.01, 0.04).within(0.03)
    assert not Interval(-0.04, 0.01).within(0.03)


@pytest.mark.parametrize(("effect", "count"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_planned_counts_are_those_of_the_tables(effect: float, count: int) -> None:
    """G*Power's, for paired samples, 80 % and 0.05 on both sides."""
    assert scenarios_needed(1.0, effect, alpha=0.05, power=0.8) == count
    assert TTestPower().power(effect, nobs=count, alpha=0.05) >= 0.8 > TTestPower().power(effect, count - 1, 0.05)


@pytest.mark.parametrize("scenarios", [2, 3, 10, 91, 20_000])
def test_what_is_detectable_is_what_would_be_planned_for(scenarios: int) -> None:
    difference = detectable_difference(0.3, scenarios, alpha=0.05, power=0.8)
    assert scenarios_needed(0.3, difference, alpha=0.05, power=0.8) == pytest.approx(scenarios, abs=1, rel=0.001)


def test_what_does_not_vary_needs_two() -> None:
    assert scenarios_needed(0.0, 0.1, alpha=0.05, power=0.8) == 2
    assert detectable_difference(0.0, 5, alpha=0.05, power=0.8) == 0


@pytest.mark.parametrize(("alpha", "count"), [(0.05, 6), (0.01, 8), (0.0625, 6), (1e-6, 21), (0.49, 3)])
def test_so_many_one_way_are_no_chance(alpha: float, count: int) -> None:
    assert scenarios_one_way(alpha) == count
    less, enough = sign_test(np.ones(count - 1)), sign_test(np.ones(count))
    assert less is not None
    assert enough is not None
    assert enough < alpha <= less


def test_planning_ends_somewhere() -> None:
    for difference in (1e-9, 1e-160, 5e-324):
        assert scenarios_needed(1e9, difference, alpha=0.05, power=0.8) == SCENARIOS_PLANNED_MAX
