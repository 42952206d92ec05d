"""An alert: one rule that is past its threshold for one group of labels; and what people are told of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from arc_eval_db.consumers.alerts.measures import Labels, labels_of
from arc_eval_db.consumers.alerts.rule import Rule, Severity
from arc_eval_db.consumers.alerts.standings import Change
from arc_eval_db.consumers.lag.durations import in_words


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is open, or was."""

    rule: str
    severity: Severity
    labels: Labels
    value: float
    """The figure that opened it; while it is open, the latest."""
    summary: str
    """What was the matter when it opened."""
    next_step: str
    opened_at: float
    """Unix time, as the other."""
    resolved_at: float | None = None

    @classmethod
    def of(cls, rule: Rule, labels: Labels, figure: float, now: float) -> Self:
        """One that opens now."""
        summary = rule.text(dict(labels), figure)
        return cls(rule.name, rule.severity, labels, figure, summary, rule.next_step, now)

    @property
    def identity(self) -> tuple[str, Labels]:
        """There is one alert at a time for each."""
        return self.rule, self.labels

    def fields(self) -> dict[str, Any]:
        """As JSON has it; times are Unix times."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "labels": dict(self.labels),
            # JSON has no word for infinity.
            "value": self.value if math.isfinite(self.value) else str(self.value),
            "summary": self.summary,
            "next_step": self.next_step,
            "opened_at": self.opened_at,
            "resolved_at": self.resolved_at,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The reverse of `fields`.

        Raises:
            KeyError, TypeError, ValueError: these are no alert's.
        """
        return cls(
            rule=str(fields["rule"]),
            severity=Severity(fields["severity"]),
            labels=labels_of({str(name): str(value) for name, value in fields["labels"].items()}),
            value=float(fields["value"]),
            summary=str(fields["summary"]),
            next_step=str(fields["next_step"]),
            opened_at=float(fields["opened_at"]),
            resolved_at=None if fields["resolved_at"] is None else float(fields["resolved_at"]),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """What receivers are told: an alert has opened, or is resolved."""

    change: Change
    alert: Alert
    source: str
    """Who evaluated the rule: the setting `ARC_EVAL_ALERT_SOURCE`, or the host's name."""
    is_test: bool = field(default=False)

    @property
    def key(self) -> str:
        """The same in the two messages of one alert, and in no others."""
        named = repr((self.source, self.alert.rule, self.alert.labels, self.alert.opened_at))
        return hashlib.sha256(named.encode()).hexdigest()[:32]

    @property
    def id(self) -> str:
        """The same however often the message is sent."""
        return f"{self.key}-{self.change.value}"

    @property
    def title(self) -> str:
        """One line."""
        state = "resolved" if self.change is Change.RESOLVED else self.alert.severity.value
        return f"[{state}] {self.alert.summary}"

    @property
    def duration_s(self) -> float | None:
        """How long it was open, in seconds; None while it is."""
        return None if self.alert.resolved_at is None else self.alert.resolved_at - self.alert.opened_at

    def lines(self) -> list[str]:
        """The details, a line each."""
        labels = ", ".join(f"{name}={value}" for name, value in self.alert.labels)
        lines = [f"rule: {self.alert.rule}" + (f" ({labels})" if labels else "")]
        lines.append(f"opened: {_moment(self.alert.opened_at)}")
        if self.alert.resolved_at is None:
            lines.append(f"next: {self.alert.next_step}")
        else:
            lines.append(f"resolved: {_moment(self.alert.resolved_at)}, after {in_words(self.duration_s)}")
        return [*lines, f"source: {self.source}"]

    def document(self) -> dict[str, Any]:
        """The JSON that a webhook gets; docs/alerts.md describes it."""
        resolved_at = self.alert.resolved_at
        return {
            "version": 1,
            "id": self.id,
            "key": self.key,
            "status": self.change.value,
            "test": self.is_test,
            **self.alert.fields(),
            "opened_at": _moment(self.alert.opened_at),
            "resolved_at": None if resolved_at is None else _moment(resolved_at),
            "source": self.source,
        }

    def fields(self) -> dict[str, Any]:
        """For the state file."""
        return {"change": self.change.value, "alert": self.alert.fields(), "source": self.source}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The reverse of `fields`; raises as `Alert.from_fields` does."""
        return cls(Change(fields["change"]), Alert.from_fields(fields["alert"]), str(fields["source"]))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
