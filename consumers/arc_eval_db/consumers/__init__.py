"""From the log to the database, exactly once."""

from __future__ import annotations

from arc_eval_db.consumers.account import WorkerReport
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.lag import PartitionLag, measure_lag
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.sink import CommitReport, ExactlyOnceSink
from arc_eval_db.consumers.worker import Worker

__all__ = [
    "CommitReport",
    "ConsumerSettings",
    "ExactlyOnceSink",
    "ExecutionEventHandler",
    "HandledBatch",
    "LogRecord",
    "PartitionLag",
    "Worker",
    "WorkerReport",
    "measure_lag",
]
