"""Recording without Kafka: a program's records, written in batches by the same writer that consumers use."""

from __future__ import annotations

from arc_eval_db.recorder.batch_recorder import BatchExecutionRecorder
from arc_eval_db.recorder.reports import (
    RECORDER_METRICS,
    CloseReport,
    FlushReport,
    RecorderClosedError,
    RecorderFullError,
    RecorderMetric,
    RecorderStats,
    RefusedRecord,
    UnwrittenRecordsError,
)

__all__ = [
    "RECORDER_METRICS",
    "BatchExecutionRecorder",
    "CloseReport",
    "FlushReport",
    "RecorderClosedError",
    "RecorderFullError",
    "RecorderMetric",
    "RecorderStats",
    "RefusedRecord",
    "UnwrittenRecordsError",
]
