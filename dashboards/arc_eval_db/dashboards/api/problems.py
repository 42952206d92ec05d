"""Errors as RFC 9457 has them: `application/problem+json`, with a type that programs can branch on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from arc_eval_db.configurations import ContentRefusedError, ContentSchemaError, ContentSchemaViolatedError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:arc-eval-db:problem:"


class Kind(Enum):
    """Every problem that the API tells of: its status and title; the name is the last part of its `type`."""

    MALFORMED_REQUEST = (400, "The request cannot be read")
    UNAUTHENTICATED = (401, "A token is needed")
    FORBIDDEN = (403, "The token may only read")
    NOT_FOUND = (404, "There is no such thing")
    METHOD_NOT_ALLOWED = (405, "This cannot be done here")
    BODY_TIMEOUT = (408, "The body did not arrive in time")
    CONFLICT = (409, "The state does not allow it")
    STALE = (412, "It was changed since it was read")
    BODY_TOO_LARGE = (413, "The body is too large")
    UNSUPPORTED_MEDIA_TYPE = (415, "Only JSON is taken")
    MISDIRECTED = (421, "The request is for another host")
    INVALID = (422, "A value cannot be taken")
    PRECONDITION_REQUIRED = (428, "If-Match is needed")
    INTERNAL = (500, "The server has failed")
    UNAVAILABLE = (503, "The server cannot answer now")
    TIMEOUT = (504, "The answer took too long")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.value[0])

    @property
    def title(self) -> str:
        """What it is, the same for every occurrence."""
        return str(self.value[1])

    @property
    def type(self) -> str:
        """A URN."""
        return TYPE_PREFIX + self.name.lower().replace("_", "-")


class FieldProblem(BaseModel):
    """One thing that is wrong with what was sent."""

    path: str = Field(description="`$.a[0]` in the body, else `query.NAME`, `path.NAME` or `header.NAME`.")
    message: str


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": Kind.STALE.type,
                    "title": Kind.STALE.title,
                    "status": 412,
                    "detail": "careful was changed meanwhile: it is at revision 8, not 7; read it again",
                    "current_revision": 8,
                }
            ]
        }
    )

    type: str = Field(description="What kind of problem it is: a URN that does not change.")
    title: str
    status: int
    detail: str = Field(description="What is wrong this time, and what to do.")
    errors: list[FieldProblem] | None = Field(default=None, description="What is wrong with each value.")
    current_revision: int | None = Field(default=None, description="With 412: the configuration's revision.")


class ProblemError(HTTPException):
    """Ends a request with a problem."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Iterable[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        """
        Args:
            extensions: further members of the document.
        """
        super().__init__(kind.status, detail, dict(headers) if headers else None)
        self.kind, self.errors, self.extensions = kind, tuple(errors), extensions

    def response(self) -> Response:
        """The answer."""
        document: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [error.model_dump() for error in self.errors]
        return Response(
            orjson.dumps({**document, **self.extensions}), self.kind.status, self.headers, media_type=MEDIA_TYPE
        )


def invalid(path: str, message: str) -> ProblemError:
    """One value that cannot be taken."""
    return ProblemError(Kind.INVALID, f"{path}: {message}", errors=[FieldProblem(path=path, message=message)])


@contextmanager
def content_at(root: str) -> Iterator[None]:
    """Tell of a content's or schema's errors in the block where it stands in the request, such as `$.content`."""
    try:
        yield
    except ContentSchemaViolatedError as error:
        errors = [_field_problem(problem, root) for problem in error.problems]
        raise ProblemError(Kind.INVALID, str(error), errors=errors) from error
    except (ContentRefusedError, ContentSchemaError) as error:
        raise ProblemError(Kind.INVALID, str(error), errors=[_field_problem(str(error), root)]) from error


def _field_problem(problem: str, root: str) -> FieldProblem:
    path, colon, message = problem.partition(": ")
    if not colon or not path.startswith("$"):
        return FieldProblem(path=root, message=problem)
    return FieldProblem(path=root + path[1:], message=message)
