"""What to make of the rows: which of two configurations is better, and how sure that is."""

from __future__ import annotations

from arc_eval_db.recommendations.comparing import DEFAULT_RUNS_MAX, compare
from arc_eval_db.recommendations.comparison import compare_samples
from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.references import UnknownConfigurationError
from arc_eval_db.recommendations.report import (
    ComparisonOptions,
    ComparisonReport,
    Difference,
    FlipKind,
    MetricComparison,
    ScenarioFlip,
    Side,
    Verdict,
    VerdictKind,
)
from arc_eval_db.recommendations.samples import Moments, RunResult, Sample, ScenarioSample, sample_of_runs
from arc_eval_db.recommendations.statistics import Interval

__all__ = [
    "DEFAULT_RUNS_MAX",
    "ComparisonOptions",
    "ComparisonReport",
    "Difference",
    "FlipKind",
    "Interval",
    "Metric",
    "MetricComparison",
    "Moments",
    "RunResult",
    "Sample",
    "ScenarioFlip",
    "ScenarioSample",
    "Side",
    "UnknownConfigurationError",
    "Verdict",
    "VerdictKind",
    "compare",
    "compare_samples",
    "sample_of_runs",
]
