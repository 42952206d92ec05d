"""How executions end."""

from __future__ import annotations

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """How an execution ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It ran to its end and did not reach its goal."""
    ERRORED = "errored"
    """It broke: an exception, a crash."""
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
