"""Evaluates every rule over samples, and keeps where each alert is. Pure: samples and time are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from arc_eval_db.consumers.alerts.alert import Alert
from arc_eval_db.consumers.alerts.history import History
from arc_eval_db.consumers.alerts.measures import Labels, Sample
from arc_eval_db.consumers.alerts.rule import Rule
from arc_eval_db.consumers.alerts.standings import Change, Standing, advance

Samples = Mapping[str, Sequence[Sample]]
"""The samples of each metric."""

Identity = tuple[str, Labels]

# After a start metrics come one by one. Until then an alert that was open is not resolved for the lack of a figure.
_RESTORED_GRACE_S = 300.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """An alert that is not inactive."""

    standing: Standing
    alert: Alert
    kept_until: float = 0.0
    """Until then it is not resolved for the lack of a figure."""


class Evaluator:
    """The state of all alerts; see `advance` for how one moves."""

    def __init__(self, rules: Sequence[Rule], *, alerts_max: int) -> None:
        """
        Args:
            alerts_max: more are not tracked, but counted in `untracked`.
        """
        self._rules = {rule.name: rule for rule in rules}
        self._alerts_max = alerts_max
        self._tracked: dict[Identity, Tracked] = {}
        self.untracked = 0
        """Groups past a threshold at the last evaluation that there was no room for."""
        windows: dict[str, list[int]] = {}
        for rule in rules:
            if rule.measure.needs_history:
                windows.setdefault(rule.measure.metric, []).append(rule.measure.window_s)
        self._histories = {metric: History(of_metric) for metric, of_metric in windows.items()}

    @property
    def tracked(self) -> Sequence[Tracked]:
        """Everything that is pending, open or closing."""
        return tuple(self._tracked.values())

    @property
    def open(self) -> tuple[Alert, ...]:
        """What is open, the oldest first."""
        alerts = (each.alert for each in self._tracked.values() if each.standing.is_open)
        return tuple(sorted(alerts, key=lambda alert: alert.opened_at))

    def restore(self, tracked: Iterable[Tracked], now: float) -> None:
        """Go on with what was open when another process ended. What no rule is for any more is left out."""
        for each in tracked:
            rule = self._rules.get(each.alert.rule)
            if rule is not None and each.standing.is_open and len(self._tracked) < self._alerts_max:
                kept_until = now + _RESTORED_GRACE_S + rule.measure.window_s
                self._tracked[each.alert.identity] = replace(each, kept_until=kept_until)

    def evaluate(self, samples: Samples, now: float) -> list[tuple[Change, Alert]]:
        """Look at every rule, and return what changed: what opened, and what is resolved."""
        for metric, history in self._histories.items():
            history.add(samples.get(metric, ()), now)
        self.untracked = 0
        return [change for rule in self._rules.values() for change in self._evaluate(rule, samples, now)]

    def _evaluate(self, rule: Rule, samples: Samples, now: float) -> list[tuple[Change, Alert]]:
        figures = self._figures(rule, samples, now)
        known = [labels for name, labels in self._tracked if name == rule.name]
        changes = [self._step(rule, labels, figures.get(labels), now) for labels in dict.fromkeys([*known, *figures])]
        return [change for change in changes if change is not None]

    def _figures(self, rule: Rule, samples: Samples, now: float) -> Mapping[Labels, float]:
        measure = rule.measure
        of_metric = samples.get(measure.metric, ())
        if not measure.needs_history:
            return measure.figures(of_metric, now, lambda _: None)
        return measure.figures(of_metric, now, self._histories[measure.metric].earlier(measure, now))

    def _step(self, rule: Rule, labels: Labels, figure: float | None, now: float) -> tuple[Change, Alert] | None:
        before = self._tracked.get((rule.name, labels))
        if before is None and len(self._tracked) >= self._alerts_max:
            self.untracked += figure is not None and rule.is_past(figure, is_open=False)
            return None
        if before is not None and figure is None and now < before.kept_until:
            return None
        standing = None if before is None else before.standing
        is_open = standing is not None and standing.is_open
        is_past = figure is not None and rule.is_past(figure, is_open=is_open)
        after, change = advance(standing, is_past=is_past, for_s=rule.for_s, keep_s=rule.keep_s, now=now)
        alert = _alert(rule, labels, before, figure, now)
        if after is None:
            self._tracked.pop((rule.name, labels), None)
        elif alert is not None:
            self._tracked[rule.name, labels] = Tracked(after, alert)
        if change is None or alert is None:
            return None
        return change, replace(alert, resolved_at=now) if change is Change.RESOLVED else alert


def _alert(rule: Rule, labels: Labels, before: Tracked | None, figure: float | None, now: float) -> Alert | None:
    """The alert after a step: as if it opened now until it has, and from then on with the latest figure."""
    if before is None or not before.standing.is_open:
        return None if figure is None else Alert.of(rule, labels, figure, now)
    return before.alert if figure is None else replace(before.alert, value=figure)
