"""When alerts open and resolve. No server and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arc_eval_db.consumers.alerts import Change, Rule, alert_rules
from arc_eval_db.consumers.alerts.evaluating import Evaluator
from arc_eval_db.consumers.alerts.measures import Form, Measure, Sample, labels_of
from arc_eval_db.consumers.alerts.settings import AlertSettings
from arc_eval_db.consumers.alerts.standings import Phase, Standing, advance
from arc_eval_db.errors import SettingsError
from support.alert_rules import rule


def sample(value: float, **labels: str) -> Sample:
    return Sample(labels_of(labels), value)


def looks(one: Rule, *values: float | None, step_s: float = 10, **labels: str) -> list[str]:
    """What is said at each of the looks, `step_s` apart: "open", "resolved" or "-"."""
    evaluator = Evaluator([one], alerts_max=10)
    said = []
    for number, value in enumerate(values):
        samples = [] if value is None else [sample(value, **(labels or {"topic": "a"}))]
        changes = evaluator.evaluate({"m": samples}, 1_000 + number * step_s)
        said.append(changes[0][0].value if changes else "-")
    return said


@pytest.mark.parametrize(
    ("changes", "values", "said"),
    [
        ({}, (1, 11, 11, 4), "- open - resolved"),
        ({}, (11,), "open"),
        ({}, (10, 10.1), "- open"),
        ({}, (11, 7, 12, 7, 5, 7), "open - - - resolved -"),
        ({"for_s": 20}, (11, 11, 11, 4), "- - open resolved"),
        ({"for_s": 20}, (11, 11, 9, 11, 11, 11), "- - - - - open"),
        ({"for_s": 20}, (11, 11, None, 11, 11, 11), "- - - - - open"),
        ({"keep_s": 20}, (11, 1, 1, 1, 1), "open - - resolved -"),
        ({"keep_s": 20}, (11, 1, 1, 7, 1, 1, 1), "open - - - - - resolved"),
        ({"keep_s": 20}, (11, None, None, None), "open - - resolved"),
        ({}, (math.nan, 11, math.nan), "- open resolved"),
        ({"comparison": "below", "opens_at": 1, "resolves_at": 3}, (5, 2, 0, 2, 4), "- - open - resolved"),
    ],
)
def test_an_alert_opens_and_resolves(changes: dict[str, Any], values: tuple[float | None, ...], said: str) -> None:
    assert looks(rule(**changes), *values) == said.split()


# Below, at, between and above the thresholds 5 and 10.
figures = st.lists(st.sampled_from([None, 0.0, 5.0, 5.1, 8.0, 10.0, 10.1, 20.0]), min_size=1, max_size=60)
spans = st.sampled_from([0.0, 10.0, 40.0])


@settings(max_examples=50)
@given(figures, st.lists(st.floats(0.1, 30), min_size=60, max_size=60), spans, spans)
def test_no_sequence_makes_it_flap(values: list[float | None], steps: list[float], for_s: float, keep_s: float) -> None:
    one = rule(for_s=for_s, keep_s=keep_s)
    evaluator = Evaluator([one], alerts_max=10)
    now, open_now = 1_000.0, False
    seen: list[tuple[float, float | None]] = []
    for value, step in zip(values, steps, strict=False):
        now += step
        seen.append((now, value))
        samples = [] if value is None else [sample(value, topic="a")]
        changes = [change for change, _ in evaluator.evaluate({"m": samples}, now)]
        assert len(changes) <= 1
        if changes:
            assert changes[0] is (Change.RESOLVED if open_now else Change.OPENED), "never two of one kind in a row"
            assert value is None or not 5 < value <= 10, "nothing changes within the band"
            if changes[0] is Change.OPENED:
                assert held(seen, lambda figure: figure is not None and figure > 10, for_s)
            else:
                assert held(seen, lambda figure: figure is None or figure <= 5, keep_s)
            open_now = not open_now
        assert bool(evaluator.open) == open_now


def held(seen: Sequence[tuple[float, float | None]], condition: Any, seconds: float) -> bool:
    """Whether the condition has held at every look for so long, until now."""
    now = seen[-1][0]
    since = now
    for at, figure in reversed(seen):
        if not condition(figure):
            break
        since = at
    return condition(seen[-1][1]) and now - since >= seconds


@given(st.lists(st.tuples(st.booleans(), st.floats(-100, 100)), max_size=40), st.floats(0, 50), st.floats(0, 50))
def test_a_clock_that_jumps_breaks_nothing(steps: list[tuple[bool, float]], for_s: float, keep_s: float) -> None:
    standing, now, open_now = None, 1_000.0, False
    for is_past, step in steps:
        now += step
        standing, change = advance(standing, is_past=is_past, for_s=for_s, keep_s=keep_s, now=now)
        assert change is None or change is (Change.RESOLVED if open_now else Change.OPENED)
        open_now = standing is not None and standing.is_open
        assert standing is None or standing.since <= now or standing.phase is Phase.OPEN


def test_a_clock_that_was_set_back_does_not_keep_an_alert() -> None:
    closing = Standing(Phase.CLOSING, since=9_000)
    after, _ = advance(closing, is_past=False, for_s=0, keep_s=60, now=1_000)
    assert after == Standing(Phase.CLOSING, since=1_000)


def test_each_group_of_labels_is_an_alert_of_its_own() -> None:
    evaluator = Evaluator([rule(keep_s=60)], alerts_max=10)
    samples = [sample(11, topic="a", partition="0"), sample(12, topic="a", partition="1"), sample(1, topic="b")]
    opened = evaluator.evaluate({"m": samples}, 0)
    assert [(alert.labels, alert.value, alert.summary) for _, alert in opened] == [((("topic", "a"),), 12, "it is 12")]
    (change,) = evaluator.evaluate({"m": [sample(11, topic="b"), sample(11, topic="a")]}, 10)
    assert change[1].labels == (("topic", "b"),)
    assert [alert.opened_at for alert in evaluator.open] == [0, 10]


def test_an_open_alert_shows_the_latest_figure_and_what_opened_it() -> None:
    evaluator = Evaluator([rule()], alerts_max=10)
    evaluator.evaluate({"m": [sample(11, topic="a")]}, 0)
    evaluator.evaluate({"m": [sample(8, topic="a")]}, 10)
    (alert,) = evaluator.open
    assert (alert.value, alert.summary, alert.opened_at) == (8, "it is 11", 0)


def test_more_alerts_than_there_is_room_for_are_counted() -> None:
    evaluator = Evaluator([rule()], alerts_max=2)
    opened = evaluator.evaluate({"m": [sample(11, topic=name) for name in "abcd"]}, 0)
    assert (len(opened), evaluator.untracked) == (2, 2)
    changes = [change.value for change, _ in evaluator.evaluate({"m": [sample(11, topic="d")]}, 10)]
    assert (changes, evaluator.untracked) == (["resolved", "resolved", "open"], 0)


INCREASE = Measure("m", Form.INCREASE, take="sum", by=("topic",), window_s=30)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((100, 100, 111, 111, 111, 111), "- - open - - resolved"),
        ((0, 4, 8, 12), "- - - open"),
        ((100, 105, 0, 6), "- - - open"),  # the process was started again
        ((None, 11, 11, 11, 11), "- open - - resolved"),  # a counter that is made when it first counts
        ((11, 11), "- -"),
    ],
)
def test_an_increase_is_what_a_counter_gained(values: tuple[float | None, ...], said: str) -> None:
    assert looks(rule(INCREASE), *values) == said.split()


def test_a_look_after_a_long_pause_counts_no_old_increase() -> None:
    evaluator = Evaluator([rule(INCREASE)], alerts_max=10)
    for now, value in ((0, 0), (10, 50), (5_000, 50), (5_010, 50)):
        changes = evaluator.evaluate({"m": [sample(value, topic="a")]}, now)
        assert bool(changes) == (now in (10, 5_000)), now


def test_an_age_is_of_the_latest_or_the_oldest() -> None:
    samples = [sample(90, group="g"), sample(60, group="g"), sample(0, group="h"), sample(95)]
    oldest = Measure("m", Form.AGE, by=("group",))
    assert oldest.figures(samples, 100, lambda _: None) == {(("group", "g"),): 40, (): 5}
    latest = Measure("m", Form.AGE, by=("group",), take="min")
    assert latest.figures(samples, 100, lambda _: None) == {(("group", "g"),): 10, (): 5}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "lower"},
        {"resolves_at": 11},
        {"comparison": "below", "resolves_at": 5},
        {"summary": "{partition} is not a label"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        rule(**wrong)


def test_a_window_belongs_to_a_form_that_has_one() -> None:
    with pytest.raises(ValueError):
        Measure("m", Form.INCREASE)
    with pytest.raises(ValueError):
        Measure("m", window_s=5)


def test_what_was_open_stays_so_over_a_restart_until_its_metric_is_there() -> None:
    before = Evaluator([rule()], alerts_max=10)
    before.evaluate({"m": [sample(11, topic="a")]}, 0)
    after = Evaluator([rule()], alerts_max=10)
    after.restore(before.tracked, 10)
    assert after.evaluate({}, 20) == []
    assert after.evaluate({"m": [sample(8, topic="a")]}, 30) == [], "neither opened anew nor resolved"
    assert [change.value for change, _ in after.evaluate({"m": [sample(1, topic="a")]}, 40)] == ["resolved"]


def test_what_is_never_measured_again_after_a_restart_is_resolved() -> None:
    before = Evaluator([rule()], alerts_max=10)
    before.evaluate({"m": [sample(11, topic="a")]}, 0)
    after = Evaluator([rule()], alerts_max=10)
    after.restore(before.tracked, 10)
    assert after.evaluate({}, 300) == []
    assert [change.value for change, _ in after.evaluate({}, 311)] == ["resolved"]


@pytest.mark.parametrize(
    ("name", "blind_s"), [("ArcEvalMonitorBlind", 120), ("ArcEvalHealthUnseen", 600)], ids=["lag", "health"]
)
def test_who_starts_anew_while_nothing_is_seen_does_not_say_that_all_is_well(name: str, blind_s: int) -> None:
    """A monitor counts from its own start until it has seen something."""
    (one,) = (each for each in alert_rules(AlertSettings()) if each.name == name)
    seen = dict.fromkeys(one.measure.by, "g")

    def looked(at: float) -> dict[str, list[Sample]]:
        return {one.measure.metric: [sample(at, **seen)]}

    before = Evaluator([one], alerts_max=10)
    assert [change.value for change, _ in before.evaluate(looked(1), 1000)] == ["open"]
    after = Evaluator([one], alerts_max=10)
    after.restore(before.tracked, 1010)
    assert [after.evaluate(looked(1010), 1010 + age_s) for age_s in range(0, 3 * blind_s, 15)] == [[]] * (blind_s // 5)
    assert [change.value for change, _ in after.evaluate(looked(9000), 9000)] == []
    assert [change.value for change, _ in after.evaluate(looked(9700), 9700)] == ["resolved"]


def test_texts_are_filled_once() -> None:
    one = rule(summary="{topic}: {value}")
    assert one.text({"topic": "{value}"}, 3) == "{value}: 3"


def test_promql_has_the_lower_threshold_while_it_fires() -> None:
    assert rule().promql() == (
        "max by (topic) (m) > 10\nor\n"
        '(max by (topic) (m) > 5 and on (topic) ALERTS{alertname="ArcEvalTest", alertstate="firing"})'
    )
    plain = Measure("m", where=(("a", "b"),), take="min")
    assert rule(plain, 1, 1, comparison="below").promql() == 'min (m{a="b"}) < 1'


def test_every_rule_is_of_a_metric_that_is_measured() -> None:
    from support.metric_names import METRIC_LABELS

    rules = alert_rules(AlertSettings())
    assert len({one.name for one in rules}) == len(rules)
    for one in rules:
        labels = METRIC_LABELS[one.measure.metric]
        assert {*one.measure.by, *(name for name, _ in one.measure.where)} <= labels, one.name
        assert one.next_step


MAIL = {"email_to": "a@b.c", "email_from": "a@b.c", "smtp_host": "localhost"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"lag_s": 10, "lag_resolve_s": 20}, "LAG_RESOLVE_S"),
        ({"webhook_url": "ftp://host/secret-path"}, "WEBHOOK_URL"),
        ({"webhook_url": "http://example.org/secret-path"}, "ALLOW_INSECURE"),
        ({"webhook_url": "https://user:secret-path@example.org/"}, "WEBHOOK_URL"),
        ({"slack_url": "https://example.org/secret-path\r\nX: y"}, "SLACK_URL"),
        ({"webhook_url": "https://example.org:port/secret-path"}, "WEBHOOK_URL"),
        ({"webhook_url": "https://example.org/", "webhook_secret": "secret-path"}, "WEBHOOK_SECRET"),
        ({"email_to": "ops@example.org"}, "EMAIL_FROM"),
        (MAIL | {"email_to": "no address"}, "EMAIL_TO"),
        (MAIL | {"email_to": "a@b.c\nBcc: d@e.f"}, "EMAIL_TO"),
        (MAIL | {"smtp_host": "mail.example.org", "smtp_security": "none"}, "SMTP_SECURITY"),
        (MAIL | {"smtp_password": "secret-path"}, "SMTP_USERNAME"),
    ],
)
def test_settings_that_cannot_be_used_are_named_and_not_shown(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        AlertSettings.load(**wrong)
    assert "secret-path" not in str(refused.value)


def test_secrets_do_not_show() -> None:
    settings = AlertSettings.load(webhook_url="https://example.org/secret-path", webhook_secret="secret-path-16ch")
    assert "secret-path" not in repr(settings)
