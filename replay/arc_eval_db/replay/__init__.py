"""Bounded reads of the log, which join no consumer group and move no offsets; and dead letters, tried again."""

from __future__ import annotations

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
from arc_eval_db.replay.reading import read_all

__all__ = [
    "UNRESOLVED",
    "DeadLetterPrivilegeError",
    "DeadLetterRetry",
    "LetterBounds",
    "LetterContent",
    "LetterCount",
    "LetterFilter",
    "LetterState",
    "NoSuchDeadLetterError",
    "Resolution",
    "RetryOptions",
    "RetryReport",
    "StoredLetter",
    "count_letters",
    "discard_letters",
    "list_letters",
    "read_all",
    "read_bounds",
    "read_letter",
    "require_letters",
    "require_privilege",
    "retry_letters",
]
