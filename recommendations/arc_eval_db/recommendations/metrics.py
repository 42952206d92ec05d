"""What two configurations are compared by."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Metric(StrEnum):
    """A figure of each run. Its mean is what is compared."""

    SUCCESS = "success"
    """1 where the run succeeded, 0 where it failed, errored or timed out: the mean is the success rate."""
    SCORE = "score"
    COST = "cost_usd"
    DURATION = "duration_ms"
    TOOL_ERRORS = "tool_errors"
    """Uses of tools in the run that were unsuccessful."""

    @property
    def label(self) -> str:
        """For people."""
        return _FORMS[self].label

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is better."""
        return _FORMS[self].higher_is_better

    def in_words(self, value: float, *, signed: bool = False) -> str:
        """A value for people, with its unit.

        >>> Metric.SUCCESS.in_words(0.034, signed=True), Metric.DURATION.in_words(1234.0)
        ('+3.4 points', '1.23 s')
        """
        form = _FORMS[self]
        unit = " points" if self is Metric.SUCCESS and signed else form.unit
        return f"{self.number(value, signed=signed)}{unit}"

    def number(self, value: float, *, signed: bool = False) -> str:
        """A value for people, without its unit.

        >>> Metric.COST.number(0.01234, signed=True), Metric.SUCCESS.number(-0.0)
        ('+0.0123', '0.0')
        """
        form = _FORMS[self]
        text = f"{value * form.scale:+,.{form.digits}f}" if signed else f"{value * form.scale:,.{form.digits}f}"
        # Neither "-0.0" nor "+0.0": what is rounded to nothing has no direction.
        return text.lstrip("+-") if not text.strip("+-0.,") else text


class _Form(NamedTuple):
    label: str
    higher_is_better: bool
    unit: str
    scale: float
    digits: int


_FORMS = {
    Metric.SUCCESS: _Form("success rate", True, " %", 100, 1),
    Metric.SCORE: _Form("score", True, "", 1, 3),
    Metric.COST: _Form("cost a run", False, " USD", 1, 4),
    Metric.DURATION: _Form("duration a run", False, " s", 0.001, 2),
    Metric.TOOL_ERRORS: _Form("tool errors a run", False, "", 1, 2),
}
