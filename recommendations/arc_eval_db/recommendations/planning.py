"""How many scenarios it takes to find a difference, and which difference so many would have found."""

from __future__ import annotations

import math

from scipy import stats

SCENARIOS_PLANNED_MAX = 10_000_000
"""More than that is not worth planning; also where the search for a number ends."""

# Beyond this many the t-test's power and the normal distribution's agree to all digits shown, and the first is slow.
_NORMAL_FROM = 5_000


def scenarios_needed(deviation: float, difference: float, *, alpha: float, power: float) -> int:
    """How many common scenarios find `difference` with probability `power`.

    Args:
        deviation: of the per-scenario differences.
        difference: the mean difference to find, above 0 and in the same unit.
    """
    if deviation == 0:
        return 2
    effect = difference / deviation
    if _normal_shift(alpha, power) >= effect * math.sqrt(SCENARIOS_PLANNED_MAX):
        return SCENARIOS_PLANNED_MAX
    normal = (_normal_shift(alpha, power) / effect) ** 2
    if normal >= _NORMAL_FROM:
        return math.ceil(normal)
    count = max(2, math.floor(normal))  # the t-test always needs a few more
    while _power(effect, count, alpha) < power:
        count += 1
    return count


def scenarios_one_way(alpha: float) -> int:
    """How many scenarios, all changed in one direction, the sign test does not take for chance: 2^(1 - n) < alpha."""
    return math.floor(1 - math.log2(alpha)) + 1


def detectable_difference(deviation: float, scenarios: int, *, alpha: float, power: float) -> float:
    """The difference that so many common scenarios find with probability `power`.

    Args:
        deviation: of the per-scenario differences.
        scenarios: at least 2.
    """
    if deviation == 0:
        return 0.0
    low, high = 0.0, _normal_shift(alpha, power) / math.sqrt(scenarios)
    while _power(high, scenarios, alpha) < power:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, scenarios, alpha) >= power else (middle, high)
    return high * deviation


def _normal_shift(alpha: float, power: float) -> float:
    """How many standard errors away from 0 the truth must be, if those are known."""
    return float(stats.norm.ppf(1 - alpha / 2)) + max(float(stats.norm.ppf(power)), 0.0)


def _power(effect: float, count: int, alpha: float) -> float:
    """Of the two-sided t-test on `count` differences whose mean is `effect` standard deviations.

    Not by statsmodels: its power is not a number where the effect is large and the count small.
    """
    freedom, shift = count - 1, effect * math.sqrt(count)
    if count >= _NORMAL_FROM:
        return float(stats.norm.sf(float(stats.norm.ppf(1 - alpha / 2)) - shift))
    critical = float(stats.t.ppf(1 - alpha / 2, freedom))
    return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))
