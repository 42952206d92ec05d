"""How far a group is behind, exactly: docs/lag.md says what each number means and how it is known."""

from __future__ import annotations

from arc_eval_db.consumers.lag.measuring import (
    PartitionLag,
    Unread,
    lag_of,
    measure_lag,
    oldest_unread_s,
    read_unread,
)
from arc_eval_db.consumers.lag.rates import Rates, Sample, rates, rewound_by
from arc_eval_db.consumers.lag.report import LagReport, PartitionReport, TopicReport
from arc_eval_db.consumers.lag.settings import LagSettings
from arc_eval_db.consumers.lag.stages import Stage, Stages
from arc_eval_db.consumers.lag.states import Facts, LagState, Verdict, judge, worst
from arc_eval_db.consumers.lag.watching import LagWatcher

__all__ = [
    "Facts",
    "LagReport",
    "LagSettings",
    "LagState",
    "LagWatcher",
    "PartitionLag",
    "PartitionReport",
    "Rates",
    "Sample",
    "Stage",
    "Stages",
    "TopicReport",
    "Unread",
    "Verdict",
    "judge",
    "lag_of",
    "measure_lag",
    "oldest_unread_s",
    "rates",
    "read_unread",
    "rewound_by",
    "worst",
]
