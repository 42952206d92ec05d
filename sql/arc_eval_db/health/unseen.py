"""Why a check could see nothing, and what to do about it."""

from __future__ import annotations

from arc_eval_db.database import DatabaseError
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.health.check import Check, Context, Judgement, Need
from arc_eval_db.health.looker import CheckTimeoutError, NoTimeLeftError
from arc_eval_db.health.report import State

_MISSING_PRIVILEGE, _READ_ONLY, _TIMEOUT = "42501", "25006", "57014"
_LOCKED, _NO_RESOURCES = "55P03", "53"
_OLD_SCHEMA = ("42P01", "42703", "42883", "3F000")


def judge_error(check: Check, context: Context, error: ArcEvalError) -> Judgement:
    """An error is not a state of the database: unknown, with the error's class."""
    sqlstate = error.sqlstate if isinstance(error, DatabaseError) else None
    found = f"{type(error).__name__}: {error}"
    if check.must_succeed and _is_refusal(context, error, sqlstate or ""):
        read_only = "SHOW default_transaction_read_only; servers are set so when their disk is full"
        return Judgement(State.CRITICAL, None, found, read_only if sqlstate == _READ_ONLY else check.next_step)
    grant = f'GRANT {check.grant} TO "{context.user_name}"'
    if sqlstate == _MISSING_PRIVILEGE:
        return Judgement(State.UNKNOWN, None, found, grant)
    if sqlstate == _READ_ONLY:
        return Judgement(State.UNKNOWN, None, found, f"look as a role that writes; {context.user_name} only reads")
    if sqlstate in _OLD_SCHEMA:
        return Judgement(State.UNKNOWN, None, found, "arc-eval-db migrate up")
    if sqlstate == _TIMEOUT:
        return Judgement(State.UNKNOWN, None, found, "raise ARC_EVAL_HEALTH_CHECK_TIMEOUT_S")
    return Judgement(State.UNKNOWN, None, found, "arc-eval-db doctor --database")


def _is_refusal(context: Context, error: ArcEvalError, sqlstate: str) -> bool:
    """Whether everybody would meet this error, and not only who lacks a right or looks at too old a schema."""
    if isinstance(error, CheckTimeoutError):
        return not isinstance(error, NoTimeLeftError)
    if sqlstate == _READ_ONLY:
        return context.may_write
    return sqlstate in (_TIMEOUT, _LOCKED) or sqlstate.startswith(_NO_RESOURCES)


def judge_lack(check: Check) -> Judgement:
    """The server, or the caller, does not have what the check needs."""
    steps = {
        Need.TIMESCALEDB: "docs/editions.md; then arc-eval-db migrate convert",
        Need.STATEMENTS: check.next_step,
        Need.POOL: "DatabaseHealthChecker(client)",
    }
    return Judgement(State.UNKNOWN, None, check.needs.value, steps[check.needs])
