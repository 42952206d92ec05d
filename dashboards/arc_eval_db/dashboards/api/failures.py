"""What every exception becomes for whoever made the request. What SQL says stays in the log."""

from __future__ import annotations

import http
from collections.abc import Iterable
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from arc_eval_db.configurations import (
    AmbiguousReferenceError,
    ConfigurationArchivedError,
    ConfigurationError,
    ConfigurationExistsError,
    ConfigurationNotFoundError,
    ReferenceRefusedError,
    RevisionConflictError,
    VersionNotFoundError,
)
from arc_eval_db.configurations.bounded import BoundedWorkFailedError, TooManyAtWorkError
from arc_eval_db.configurations.errors import SchemaChangedError
from arc_eval_db.configurations.paths import json_path
from arc_eval_db.dashboards.api.openapi import Allowed
from arc_eval_db.dashboards.api.problems import FieldProblem, Kind, ProblemError
from arc_eval_db.database import DatabaseError
from arc_eval_db.errors import ArcEvalError, FatalError, PoisonError, RetryableError

RETRY_AFTER_S = 5
"""A database that was away for all attempts of a request."""
ERRORS_MAX = 20
"""So many of the values that cannot be taken are in `errors`."""
_ERRORS_SAID_MAX = 5
RETRY_AFTER_BUSY_S = 10
"""Work that takes long is at its limit."""
RETRY_AFTER_REPAIR_S = 60
"""A person has to mend something first."""

_KINDS: tuple[tuple[type[ConfigurationError], Kind], ...] = (
    (ConfigurationNotFoundError, Kind.NOT_FOUND),
    (VersionNotFoundError, Kind.NOT_FOUND),
    (ConfigurationExistsError, Kind.CONFLICT),
    (ConfigurationArchivedError, Kind.CONFLICT),
    (AmbiguousReferenceError, Kind.CONFLICT),
    (ReferenceRefusedError, Kind.INVALID),
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.api")


def problem_of(error: Exception) -> ProblemError:
    """The problem that tells of an exception; what is nobody's input is logged."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RequestValidationError):
        return _validation_problem(error.errors())
    if isinstance(error, HTTPException):
        return _http_problem(error)
    if isinstance(error, RevisionConflictError):
        return ProblemError(Kind.STALE, str(error), current_revision=error.actual)
    if isinstance(error, ConfigurationError):
        kind = next((kind for type_, kind in _KINDS if isinstance(error, type_)), Kind.INVALID)
        return ProblemError(kind, str(error))
    return _server_problem(error)


def _server_problem(error: Exception) -> ProblemError:
    if isinstance(error, PoisonError):
        return ProblemError(Kind.INVALID, "a value cannot be stored; NUL characters and numbers out of range cannot")
    is_ours = isinstance(error, ArcEvalError)
    # Our messages quote no value; of others only the class is known to hold none.
    log.error("api_request_failed", cause=type(error).__name__, error=str(error) if is_ours else None)
    if isinstance(error, TooManyAtWorkError):
        return unavailable("others are at work that takes long; try again", RETRY_AFTER_BUSY_S)
    if isinstance(error, SchemaChangedError):
        return unavailable(str(error), RETRY_AFTER_BUSY_S)
    if isinstance(error, BoundedWorkFailedError):
        return ProblemError(Kind.INTERNAL, "a process that does what takes long has failed; the server's log says how")
    if isinstance(error, RetryableError):
        return unavailable("the database does not answer; try again", RETRY_AFTER_S)
    if isinstance(error, DatabaseError | FatalError):
        return unavailable("the server's database must be mended first; its log says how", RETRY_AFTER_REPAIR_S)
    return ProblemError(Kind.INTERNAL, "something is wrong with the server; its log says what")


def unavailable(detail: str, retry_after_s: int) -> ProblemError:
    """Not now."""
    return ProblemError(Kind.UNAVAILABLE, detail, headers={"Retry-After": str(retry_after_s)})


def _http_problem(error: HTTPException) -> ProblemError:
    """What the framework itself raises: no route, a method that a route lacks, a body that cannot be read."""
    kinds = {kind.status: kind for kind in Kind}
    kind = kinds.get(error.status_code, Kind.INTERNAL if error.status_code >= 500 else Kind.MALFORMED_REQUEST)
    details = {
        Kind.NOT_FOUND: "there is nothing at this address; /openapi.json lists what there is",
        Kind.METHOD_NOT_ALLOWED: "the header Allow lists what can be done here",
    }
    phrase = http.HTTPStatus(kind.status).phrase
    return ProblemError(kind, details.get(kind, phrase), headers=error.headers)


def _validation_problem(errors: Iterable[Any]) -> ProblemError:
    # Of pydantic's error neither the input nor its context: both hold values.
    given = list(errors)
    found = [FieldProblem(path=_place(error["loc"]), message=_message(error)) for error in given[:ERRORS_MAX]]
    detail = "; ".join(f"{one.path}: {one.message}" for one in found[:_ERRORS_SAID_MAX])
    if len(given) > _ERRORS_SAID_MAX:
        detail += f"; and {len(given) - _ERRORS_SAID_MAX:,} more"
    return ProblemError(Kind.INVALID, detail, errors=found)


def _message(error: Any) -> str:
    if error["type"] == "missing" and error["loc"] == ("body",):
        return "a body is needed; /openapi.json says what is in it"
    return str(error["msg"])


def _place(location: tuple[str | int, ...]) -> str:
    where, steps = location[0], location[1:]
    if where == "body":
        return json_path(steps)
    return ".".join(str(step) for step in location)


def add_handlers(app: FastAPI) -> None:
    """Answer with problems only."""

    allowed: Allowed | None = None

    async def answer(request: Request, error: Exception) -> Response:
        nonlocal allowed
        found = problem_of(error)
        if found.kind is Kind.METHOD_NOT_ALLOWED:
            allowed = allowed or Allowed(app)
            found.headers = {"Allow": ", ".join(allowed.at(request.scope["path"]))}
        return found.response()

    for type_ in (HTTPException, RequestValidationError, ArcEvalError):
        app.add_exception_handler(type_, answer)
