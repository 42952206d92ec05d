"""Two samples without a database: verdicts, flips, what counts, and what must not matter."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.recommendations import (
    ComparisonOptions,
    ComparisonReport,
    Difference,
    FlipKind,
    Interval,
    Metric,
    RunResult,
    Sample,
    VerdictKind,
    compare_samples,
    sample_of_runs,
)
from arc_eval_db.schemas.status import ExecutionStatus


def sample(*successes: int, runs: int = 1, first: int = 0, **values: float) -> Sample:
    """Scenarios, numbered from `first`, with as many successes each."""
    return sample_of_runs(
        RunResult(f"s{number:03d}", "succeeded" if run < count else "failed", **values)
        for number, count in enumerate(successes, first)
        for run in range(runs)
    )


def verdict(a: Sample, b: Sample, **options: object) -> tuple[VerdictKind, str]:
    found = compare_samples(a, b, ComparisonOptions(**options)).verdict  # type: ignore[arg-type]
    return found.kind, found.text


def test_better_and_worse() -> None:
    bad, good = sample(*[0] * 30), sample(*[1] * 12, *[0] * 18)
    kind, text = verdict(bad, good)
    assert kind is VerdictKind.BETTER
    assert text == (
        "better: B's success rate is 40.0 % against 0.0 %: +40.0 points (95%: +18.6 to +56.4 points), over 30 common "
        "scenarios"
    )
    assert verdict(good, bad)[0] is VerdictKind.WORSE


@pytest.mark.parametrize("metric", [Metric.COST, Metric.DURATION, Metric.TOOL_ERRORS])
def test_less_is_better_of_what_costs(metric: Metric) -> None:
    dear, cheap = (
        sample_of_runs(RunResult(f"s{number}", "failed", **{metric.value: base + number % 3}) for number in range(20))
        for base in (10, 5)
    )
    assert verdict(dear, cheap, metric=metric)[0] is VerdictKind.BETTER
    assert verdict(cheap, dear, metric=metric)[0] is VerdictKind.WORSE


def test_a_null_result_reads_as_one() -> None:
    kind, text = verdict(sample(*[1] * 5, *[0] * 45), sample(*[0] * 4, *[1] * 7, *[0] * 39))
    assert kind is VerdictKind.NO_DIFFERENCE_FOUND
    assert text == (
        "no difference found: +4.0 points over 50 common scenarios; the data are compatible with anything from -9.2 to "
        "+16.9 points (95%). A difference of 19.0 points would have been found with a probability of 80%. To find 5.0 "
        "points with a probability of 80% takes about 695 common scenarios: 645 more runs of A and 645 of B"
    )
    assert "equal" not in text


@pytest.mark.parametrize(
    ("a", "b", "more"),
    [
        (sample(*[1, 0] * 4), sample(*[0, 1] * 4), "8 common scenarios, and it takes at least 10, so 2 more"),
        (sample(), sample(), "0 common scenarios, and it takes at least 10, so 10 more"),
        (sample(1), sample(0), "1 common scenario, and it takes at least 10, so 9 more"),
        (sample(*[1] * 20), sample(*[0] * 20, first=15), "5 common scenarios, and it takes at least 10, so 5 more"),
    ],
)
def test_few_scenarios_have_no_verdict(a: Sample, b: Sample, more: str) -> None:
    found = compare_samples(a, b).verdict
    assert found.kind is VerdictKind.TOO_FEW_RUNS
    assert more in found.text
    assert found.scenarios_needed is not None
    assert found.scenarios_needed > 100
    assert "To find 5.0 points with a probability of 80% takes about" in found.text


def test_the_least_sample_can_be_set() -> None:
    a, b = sample(*[0] * 9), sample(*[1] * 9)
    assert verdict(a, b)[0] is VerdictKind.TOO_FEW_RUNS
    assert verdict(a, b, scenarios_min=9)[0] is VerdictKind.BETTER
    assert verdict(a, b, scenarios_min=10)[0] is VerdictKind.TOO_FEW_RUNS


def test_many_runs_of_few_scenarios_are_still_few_scenarios() -> None:
    assert verdict(sample(0, 0, 0, runs=300), sample(300, 300, 300, runs=300))[0] is VerdictKind.TOO_FEW_RUNS


def test_too_few_have_the_metric() -> None:
    a, b = (
        sample_of_runs(RunResult(f"s{n}", "failed", cost_usd=1 + n + more if n < 5 else None) for n in range(20))
        for more in (0, 9)
    )
    kind, text = verdict(a, b, metric="cost_usd")
    assert kind is VerdictKind.TOO_FEW_RUNS
    assert text.startswith("too few runs for a verdict: 5 common scenarios with cost a run, and it takes at least 10")
    assert "more runs of A and" in text
    found = compare_samples(a, b, ComparisonOptions(metric=Metric.SCORE)).verdict
    assert (found.scenarios_needed, found.runs_more_a, found.runs_more_b) == (None, None, None)
    assert found.text == "no verdict: score was not measured in any run of A or of B", "more runs would not help"
    begun = compare_samples(sample(), sample(), ComparisonOptions(metric=Metric.SCORE)).verdict
    assert begun.text.endswith("so 10 more. That takes about 10 more runs of A and 10 of B"), "and nothing is promised"
    report = compare_samples(a, b)
    assert (report.metric("cost_usd").a_missing, report.metric("cost_usd").b_missing) == (15, 15)
    assert report.metric("score").paired is None
    assert report.metric("score").overall is None
    assert report.metric("score").a_missing == 20


def test_runs_that_one_side_has_already_are_not_asked_for_again() -> None:
    a, b = sample(*[1, 0] * 100), sample(*[0, 1, 1, 0] * 5)
    found = compare_samples(a, b, ComparisonOptions(detect=0.2)).verdict
    assert found.scenarios_needed is not None
    assert 20 < found.scenarios_needed < 200
    assert (found.runs_more_a, found.runs_more_b) == (0, found.scenarios_needed - 20)


def test_scenarios_of_one_side_only_are_run_by_the_other() -> None:
    found = compare_samples(sample(*[1] * 20), sample(*[0] * 20, first=15), ComparisonOptions(detect=0.9)).verdict
    assert found.kind is VerdictKind.TOO_FEW_RUNS
    assert (found.scenarios_needed, found.runs_more_a, found.runs_more_b) == (10, 3, 3)
    assert found.text.endswith("takes about 10 common scenarios: 3 more runs of A and 3 of B")


def test_a_large_sample_is_large_enough() -> None:
    found = compare_samples(sample(*[1, 0] * 2000), sample(*[1, 0] * 2000)).verdict
    assert (found.runs_more_a, found.runs_more_b) == (0, 0)
    assert "For 5.0 points the sample is large enough" in found.text


def test_equivalent_only_within_a_margin() -> None:
    same = sample(*[1, 0] * 100)
    assert verdict(same, same)[0] is VerdictKind.NO_DIFFERENCE_FOUND
    assert verdict(same, same, margin=0.001)[0] is VerdictKind.NO_DIFFERENCE_FOUND
    kind, text = verdict(same, same, margin=0.05)
    assert kind is VerdictKind.EQUIVALENT
    assert text.startswith("equivalent within 5.0 points: B's success rate is 50.0 % against 50.0 %: 0.0 points")


def test_a_difference_smaller_than_the_margin_is_equivalent_and_said() -> None:
    a, b = sample(*[0] * 2000), sample(*[1] * 30, *[0] * 1970)
    assert verdict(a, b)[0] is VerdictKind.BETTER
    kind, text = verdict(a, b, margin=0.05)
    assert kind is VerdictKind.EQUIVALENT
    assert "there is a difference, and it is smaller than that" in text


def test_a_margin_of_cost_is_a_share_of_the_baseline() -> None:
    a, b = (
        sample_of_runs(RunResult(f"s{n}", "failed", cost_usd=base + n % varied * 0.01) for n in range(40))
        for base, varied in ((100.0, 2), (100.5, 3))
    )
    assert verdict(a, b, metric="cost_usd", margin=0.01)[0] is VerdictKind.EQUIVALENT
    assert verdict(a, b, metric="cost_usd", margin=0.004)[0] is VerdictKind.WORSE
    assert compare_samples(a, b, ComparisonOptions(metric=Metric.COST)).verdict.difference_of_interest == pytest.approx(
        5, rel=0.01
    )


def test_how_the_ends_count() -> None:
    ends = ["succeeded", "failed", "errored", "timed_out", "cancelled"]
    a = sample_of_runs(
        RunResult("s", status, cost_usd=cost) for status, cost in zip(ends, [1, 1, 1, 1, 97], strict=True)
    )
    report = compare_samples(a, a)
    assert report.a.runs == 4
    assert report.a.statuses == dict.fromkeys(ExecutionStatus, 1)
    success, cost = report.metric("success").overall, report.metric("cost_usd").overall
    assert success is not None
    assert cost is not None
    assert (success.a_mean, cost.a_mean) == (0.25, 1)


def test_a_scenario_with_nothing_but_cancelled_runs_is_none() -> None:
    a = sample_of_runs([RunResult("s", "cancelled"), RunResult("t", "failed")])
    report = compare_samples(a, sample(1, 1))
    assert (report.a.scenarios, report.common_scenarios) == (1, 0)


def test_flips_are_decided_by_most_runs() -> None:
    a, b = sample(0, 3, 1, 2, 0, runs=3), sample(2, 1, 2, 3, 1, runs=3)
    flips = compare_samples(a, b).flips
    assert [(flip.kind, flip.scenario, flip.a_succeeded, flip.b_succeeded) for flip in flips] == [
        (FlipKind.NEWLY_FAILING, "s001", 3, 1),
        (FlipKind.NEWLY_PASSING, "s000", 0, 2),
        (FlipKind.NEWLY_PASSING, "s002", 1, 2),
    ]
    half = compare_samples(sample(1, runs=2), sample(2, runs=2)).flips
    assert [flip.kind for flip in half] == [FlipKind.NEWLY_PASSING], "half of the runs are not more than half"


def test_each_common_scenario_has_the_same_weight_when_paired() -> None:
    often = sample_of_runs(
        [RunResult("s", "succeeded")] * 9 + [RunResult("t", "failed")] + [RunResult("u", "failed")] * 10
    )
    report = compare_samples(often, sample_of_runs([RunResult("s", "failed"), RunResult("t", "failed")]))
    paired, overall = report.metric("success").paired, report.metric("success").overall
    assert paired is not None
    assert overall is not None
    assert (paired.a_mean, overall.a_mean) == (0.5, 0.45)
    assert (report.a.scenarios_alone, report.b.scenarios_alone) == (1, 0)
    assert report.notes == (
        "1 scenarios only A has run, 0 only B: they count in the overall figures and not in the paired ones",
    )


def test_notes_say_what_was_left_out() -> None:
    base = sample(*[1, 0] * 10)
    report = compare_samples(
        replace(base, abandoned=2, running=3, is_limited=True),
        replace(base, abandoned=1),
    )
    assert [note.split(":")[0].split(";")[0] for note in report.notes] == [
        "2 abandoned and 0 cancelled runs of A are left out",
        "3 runs of A have not ended yet",
        "only the latest 20 runs of A were read",
    ]
    assert (report.a.running, report.a.abandoned, report.b.abandoned) == (3, 2, 1)


def test_only_the_primary_metric_is_free_of_adjustment() -> None:
    a, b = (
        sample_of_runs(
            RunResult(f"s{n}", "failed", score=n % 5 + more, cost_usd=n % 3 + more * (n % 2), tool_errors=n % 4)
            for n in range(20)
        )
        for more in (0, 1)
    )
    report = compare_samples(a, b, ComparisonOptions(metric=Metric.SCORE))
    paired = {one.metric: one.paired for one in report.metrics if one.paired is not None}
    assert paired[Metric.SCORE].p_value_adjusted is None
    p_value = paired[Metric.COST].p_value
    assert p_value is not None
    assert paired[Metric.COST].p_value_adjusted == pytest.approx(3 * p_value)
    assert paired[Metric.TOOL_ERRORS].p_value_adjusted == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha: must be above 0 and below 0.5"),
        ({"alpha": 0.5}, "alpha: "),
        ({"power": 1}, "power: must be above 0 and below 1"),
        ({"detect": 0}, "detect: must be above 0"),
        ({"margin": -1}, "margin: must be above 0"),
        ({"scenarios_min": 1}, "scenarios_min: must be at least 2"),
        ({"metric": "speed"}, "speed"),
    ],
)
def test_options_name_the_field_that_is_wrong(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComparisonOptions(**options)  # type: ignore[arg-type]


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="won"):
        sample_of_runs([RunResult("s", "won")])


def test_a_report_is_json() -> None:
    report = compare_samples(sample(*[1] * 12, cost_usd=1.0), sample(*[0] * 12, cost_usd=2.0))
    document = json.loads(orjson.dumps(report.to_json()))
    assert document["verdict"]["kind"] == "worse"
    assert document["metrics"][0]["metric"] == "success"
    assert len(document["metrics"][0]["paired"]["interval"]) == 2
    assert document["a"]["statuses"]["succeeded"] == 12
    assert document["flips"][0]["kind"] == "newly_failing"


VALUES = st.floats(0.001, 1000)
RUNS = st.lists(
    st.builds(
        RunResult,
        scenario=st.sampled_from([f"s{number}" for number in range(14)]),
        status=st.sampled_from(list(ExecutionStatus)),
        score=st.none() | VALUES,
        cost_usd=VALUES,
        tool_errors=st.integers(0, 5),
    ),
    max_size=60,
)

_MIRRORED = {
    VerdictKind.BETTER: VerdictKind.WORSE,
    VerdictKind.WORSE: VerdictKind.BETTER,
    FlipKind.NEWLY_FAILING: FlipKind.NEWLY_PASSING,
    FlipKind.NEWLY_PASSING: FlipKind.NEWLY_FAILING,
}


def mirrored(one: Difference | None) -> Difference | None:
    """As it must be with A and B swapped."""
    if one is None:
        return None
    return replace(
        one,
        a_mean=one.b_mean,
        b_mean=one.a_mean,
        difference=-one.difference,
        interval=one.interval and Interval(-one.interval.high, -one.interval.low),
        ratio_interval=one.ratio_interval and Interval(1 / one.ratio_interval.high, 1 / one.ratio_interval.low),
        effect_size=None if one.effect_size is None else -one.effect_size,
        ratio=None,
    )


def assert_same(first: Difference | None, second: Difference | None) -> None:
    if first is None or second is None:
        assert first is second
        return
    for name in ("a_mean", "b_mean", "difference", "interval", "ratio_interval", "effect_size", "p_value"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) is (other is None), name
        assert one is None or one == pytest.approx(other, rel=1e-6, abs=1e-9), name


@given(a=RUNS, b=RUNS, scenarios_min=st.integers(2, 12))
def test_swapping_mirrors_the_report(a: list[RunResult], b: list[RunResult], scenarios_min: int) -> None:
    options = ComparisonOptions(scenarios_min=scenarios_min)
    there = compare_samples(sample_of_runs(a), sample_of_runs(b), options)
    back = compare_samples(sample_of_runs(b), sample_of_runs(a), options)
    assert (there.a, there.b) == (back.b, back.a)
    assert _MIRRORED.get(there.verdict.kind, there.verdict.kind) == back.verdict.kind
    assert there.verdict.scenarios_needed == back.verdict.scenarios_needed
    assert (there.verdict.runs_more_a, there.verdict.runs_more_b) == (
        back.verdict.runs_more_b,
        back.verdict.runs_more_a,
    )
    assert {(_MIRRORED[flip.kind], flip.scenario_id) for flip in there.flips} == {
        (flip.kind, flip.scenario_id) for flip in back.flips
    }
    for one, other in zip(there.metrics, back.metrics, strict=True):
        assert_same(mirrored(one.paired), other.paired)
        assert_same(mirrored(one.overall), other.overall)


@given(a=RUNS, b=RUNS, seed=st.integers(0, 10))
def test_the_order_of_runs_does_not_matter(a: list[RunResult], b: list[RunResult], seed: int) -> None:
    def shuffled(runs: list[RunResult]) -> list[RunResult]:
        return random.Random(seed).sample(runs, len(runs))

    def report(a: list[RunResult], b: list[RunResult]) -> ComparisonReport:
        return compare_samples(sample_of_runs(a), sample_of_runs(b), ComparisonOptions(scenarios_min=2))

    assert report(a, b) == report(shuffled(a), shuffled(b))


@given(runs=RUNS, metric=st.sampled_from(Metric))
def test_the_same_data_are_a_null_result(runs: list[RunResult], metric: Metric) -> None:
    same = sample_of_runs(runs)
    report = compare_samples(same, same, ComparisonOptions(metric=metric, scenarios_min=2))
    assert report.verdict.kind in (VerdictKind.NO_DIFFERENCE_FOUND, VerdictKind.TOO_FEW_RUNS)
    assert report.flips == ()
    for one in report.metrics:
        for found in (one.paired, one.overall):
            assert found is None or (found.difference == 0 and (found.interval is None or found.interval.contains(0)))


def costs(task: int, *values: float) -> list[RunResult]:
    return [RunResult(f"task {task}", ExecutionStatus.SUCCEEDED, cost_usd=value) for value in values]


@pytest.mark.parametrize("margin", [None, 1.0])
def test_what_is_the_same_but_for_its_last_digit_is_no_difference(margin: float | None) -> None:
    """0.1 three times over is 0.10000000000000002 in the mean; and what varies nowhere makes nobody certain."""
    a = sample_of_runs(one for task in range(12) for one in costs(task, 0.1))
    b = sample_of_runs(one for task in range(12) for one in costs(task, 0.1, 0.1, 0.1))
    report = compare_samples(a, b, ComparisonOptions(metric=Metric("cost_usd"), margin=margin))
    assert report.verdict.kind is VerdictKind.NO_DIFFERENCE_FOUND
    assert "where nothing varies, nothing tells" in report.verdict.text
    assert report.verdict.detectable_difference is None


def changed_alike(scenarios: int, *, by: float, **options: Any) -> ComparisonReport:
    """Costs that differ between scenarios, and by the same between A and B (but for the last digits)."""
    a, b = (
        sample_of_runs(one for task in range(scenarios) for one in costs(task, 0.1 + task / 7 + more))
        for more in (0, by)
    )
    return compare_samples(a, b, ComparisonOptions(metric=Metric.COST, **options))


def test_what_changed_by_the_same_everywhere_has_no_interval_and_is_judged_by_its_signs() -> None:
    report = changed_alike(12, by=0.25)
    assert report.verdict.kind is VerdictKind.WORSE
    assert report.verdict.text == (
        "worse: +0.2500 USD of cost a run in each of 12 common scenarios alike, so that nothing tells how large the "
        "difference may be beyond these; chance alone seldom sends all one way (sign test, p = 0.00049)"
    )
    cost = report.metric("cost_usd")
    assert cost.paired is not None
    assert cost.overall is not None
    assert (cost.paired.interval, cost.overall.interval, cost.paired.p_value) == (None, None, 2 / 2**12)
    assert changed_alike(12, by=-0.25).verdict.kind is VerdictKind.BETTER


def test_few_that_changed_by_the_same_prove_nothing() -> None:
    verdict = changed_alike(5, by=0.25, scenarios_min=2).verdict
    assert verdict.kind is VerdictKind.NO_DIFFERENCE_FOUND
    assert verdict.text.endswith("chance alone may send so few all one way, and seldom 6: 1 more runs of A and 1 of B")
    assert (verdict.scenarios_needed, verdict.runs_more_a) == (6, 1)


def test_what_changed_by_the_same_and_less_than_the_margin_is_neither_a_difference_nor_proof_of_none() -> None:
    verdict = changed_alike(12, by=0.001, margin=0.1).verdict
    assert verdict.kind is VerdictKind.NO_DIFFERENCE_FOUND
    assert verdict.text.startswith("no difference that matters found: +0.0010 USD of cost a run in each of 12")
    assert verdict.text.endswith("chance alone seldom sends all one way (sign test, p = 0.00049)")
    assert changed_alike(12, by=0.25, margin=0.1).verdict.kind is VerdictKind.WORSE


def test_where_nothing_varies_nobody_knows_how_many_runs_there_must_be() -> None:
    same = sample_of_runs(one for task in range(12) for one in costs(task, 1.0))
    verdict = compare_samples(same, same, ComparisonOptions(metric=Metric.COST)).verdict
    assert (verdict.scenarios_needed, verdict.runs_more_a, verdict.runs_more_b) == (None, None, None)


def test_runs_without_the_metric_are_needed_too() -> None:
    """Of four runs of a scenario one was scored: so will it be with those that come."""
    a, b = (
        sample_of_runs(
            RunResult(f"s{n}", "failed", score=1 + n % (2 + side) if number == 0 else None)
            for n in range(5)
            for number in range(4)
        )
        for side in (0, 1)
    )
    verdict = compare_samples(a, b, ComparisonOptions(metric=Metric.SCORE)).verdict
    assert verdict.scenarios_needed is not None
    assert verdict.runs_more_a == 4 * (verdict.scenarios_needed - 5)


def test_a_share_of_nothing_is_said_to_be_none() -> None:
    a, b = (
        sample_of_runs(RunResult(f"s{n}", "failed", tool_errors=by * (1 + n % 2)) for n in range(12)) for by in (0, 1)
    )
    kind, text = verdict(a, b, metric="tool_errors", margin=2.0)
    assert kind is VerdictKind.WORSE
    assert text.endswith(". A's tool errors a run is 0, of which no margin is a share")


def test_rates_are_never_further_apart_than_all_and_nothing() -> None:
    found = compare_samples(sample(1, 0), sample(0, 1), ComparisonOptions(scenarios_min=2)).verdict
    assert found.detectable_difference is None
    assert "would have been found" not in found.text


@pytest.mark.parametrize("value", [1e-200, 5e-324, 1e59, 1e160, 1e308])
def test_values_out_of_all_proportion(value: float) -> None:
    """Events may have any score, and one of them keeps nobody from comparing the rest."""
    a, b = (
        sample_of_runs(
            RunResult(f"s{n}", "failed", score=value * (1 + n % (3 + side)) if value < 1e300 else value)
            for n in range(12)
        )
        for side in (0, 1)
    )
    report = compare_samples(a, b, ComparisonOptions(metric=Metric.SCORE, margin=0.1))
    assert orjson.dumps(report.to_json()) == orjson.dumps(json.loads(json.dumps(report.to_json(), allow_nan=False)))
    assert report.metric("score").a_missing == (12 if value > 1e60 else 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        sample_of_runs([RunResult("s", "failed", score=value)])


@pytest.mark.parametrize("options", [{"alpha": 1e-17}, {"alpha": 9e-7}, {"power": 0.99999}])
def test_tails_that_cannot_be_computed_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"alpha: must be at least 1e-06|power: must be at most 0\.9999"):
        ComparisonOptions(**options)  # type: ignore[arg-type]


def test_how_sure_an_interval_is_is_said_to_the_digit() -> None:
    runs = [one for task in range(12) for one in costs(task, 0.1 + task)]
    other = [one for task in range(12) for one in costs(task, 0.1 + (task * 7) % 5)]
    options = ComparisonOptions(metric=Metric("cost_usd"), alpha=0.005)
    assert "(99.5%" in compare_samples(sample_of_runs(runs), sample_of_runs(other), options).verdict.text
