"""Bounded reads of the log, which join no consumer group and move no offsets; dead letters, tried again; and the log
against the tables.

docs/replay.md is the guide.
"""

from __future__ import annotations

from arc_eval_db.replay.aggregates import AfterBackfill
from arc_eval_db.replay.backfill import Backfill, BackfillReport
from arc_eval_db.replay.checking import ShadowResult, VerifyReport, replay_into_shadow, verify_log
from arc_eval_db.replay.dead_letter_retry import DeadLetterRetry, RetryOptions, RetryReport, retry_letters
from arc_eval_db.replay.dead_letters import (
    UNRESOLVED,
    DeadLetterPrivilegeError,
    LetterBounds,
    LetterContent,
    LetterCount,
    LetterFilter,
    LetterState,
    NoSuchDeadLetterError,
    Resolution,
    StoredLetter,
    count_letters,
    discard_letters,
    list_letters,
    read_bounds,
    read_letter,
    require_letters,
    require_privilege,
)
from arc_eval_db.replay.differences import Difference, DifferenceKind, TableTally
from arc_eval_db.replay.filters import (
    EventFilter,
    FilterError,
    event_types,
    execution_id,
    header,
    scenario_id,
    version_id,
)
from arc_eval_db.replay.intervals import Interval
from arc_eval_db.replay.jobs import HeldJob, Job, JobError, JobPlan, JobStatus, JobStore, Progress
from arc_eval_db.replay.pacing import LagGate, NobodyToYieldToError, Rate
from arc_eval_db.replay.plan import PlanError, PlannedPartition, ReplayPlan, Source, make_plan, now, parse_source
from arc_eval_db.replay.ranges import RangeSpec, RangeSyntaxError, parse_range
from arc_eval_db.replay.reading import RecordFileError, ReplayedEvent, open_log, read_all, read_events, read_file
from arc_eval_db.replay.record_format import RecordFormatError, for_people, from_line, to_line
from arc_eval_db.replay.recorded import (
    BackfillResult,
    ReplayOptions,
    replay_file_into_database,
    replay_into_database,
    replay_into_topic,
)
from arc_eval_db.replay.runner import (
    ReplayBatch,
    ReplayProgress,
    ReplayTarget,
    batches_of_file,
    batches_of_log,
    run_replay,
)
from arc_eval_db.replay.sessions import RenewedSession
from arc_eval_db.replay.shadow import ShadowPrivilegeError, ShadowReport, ShadowTables, drop_shadows, list_shadows
from arc_eval_db.replay.shadow_diff import ShadowDiff
from arc_eval_db.replay.targets import DatabaseTarget, FileTarget, TopicTarget
from arc_eval_db.replay.verify import LogVerifier, WindowReport

__all__ = [
    "UNRESOLVED",
    "AfterBackfill",
    "Backfill",
    "BackfillReport",
    "BackfillResult",
    "DatabaseTarget",
    "DeadLetterPrivilegeError",
    "DeadLetterRetry",
    "Difference",
    "DifferenceKind",
    "EventFilter",
    "FileTarget",
    "FilterError",
    "HeldJob",
    "Interval",
    "Job",
    "JobError",
    "JobPlan",
    "JobStatus",
    "JobStore",
    "LagGate",
    "LetterBounds",
    "LetterContent",
    "LetterCount",
    "LetterFilter",
    "LetterState",
    "LogVerifier",
    "NoSuchDeadLetterError",
    "NobodyToYieldToError",
    "PlanError",
    "PlannedPartition",
    "Progress",
    "RangeSpec",
    "RangeSyntaxError",
    "Rate",
    "RecordFileError",
    "RecordFormatError",
    "RenewedSession",
    "ReplayBatch",
    "ReplayOptions",
    "ReplayPlan",
    "ReplayProgress",
    "ReplayTarget",
    "ReplayedEvent",
    "Resolution",
    "RetryOptions",
    "RetryReport",
    "ShadowDiff",
    "ShadowPrivilegeError",
    "ShadowReport",
    "ShadowResult",
    "ShadowTables",
    "Source",
    "StoredLetter",
    "TableTally",
    "TopicTarget",
    "VerifyReport",
    "WindowReport",
    "batches_of_file",
    "batches_of_log",
    "count_letters",
    "discard_letters",
    "drop_shadows",
    "event_types",
    "execution_id",
    "for_people",
    "from_line",
    "header",
    "list_letters",
    "list_shadows",
    "make_plan",
    "now",
    "open_log",
    "parse_range",
    "parse_source",
    "read_all",
    "read_bounds",
    "read_events",
    "read_file",
    "read_letter",
    "replay_file_into_database",
    "replay_into_database",
    "replay_into_shadow",
    "replay_into_topic",
    "require_letters",
    "require_privilege",
    "retry_letters",
    "run_replay",
    "scenario_id",
    "to_line",
    "verify_log",
    "version_id",
]
