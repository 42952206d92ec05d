"""JSON that was sent is read as the JSON of files is: nothing twice, nothing too deep, nothing inexact."""

from __future__ import annotations

from arc_eval_db.configurations import DocumentError
from arc_eval_db.configurations.content import DEPTH_MAX
from arc_eval_db.configurations.json_text import JsonReader, JsonSyntaxError
from arc_eval_db.dashboards.api.problems import FieldProblem, Kind, ProblemError

# A content stands in an object that says what to do with it.
_DEPTH_MAX = DEPTH_MAX + 1


def read_json(text: str, source: str) -> object:
    """The value of a JSON text.

    Args:
        source: what it is, for errors, such as `body`.

    Raises:
        ProblemError: with line and column of what is wrong, and never a value.
    """
    try:
        return JsonReader(text, source, depth_max=_DEPTH_MAX).read()
    except JsonSyntaxError as error:
        raise ProblemError(Kind.MALFORMED_REQUEST, str(error)) from error
    except DocumentError as error:
        path = "$" if source == "body" else source
        raise ProblemError(Kind.INVALID, str(error), errors=[FieldProblem(path=path, message=str(error))]) from error


def check_body(raw: bytes) -> None:
    """Refuse a body that is not JSON, or that readers of JSON would disagree about; the framework reads it again.

    Raises:
        ProblemError: see `read_json`.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ProblemError(Kind.MALFORMED_REQUEST, f"the body is not UTF-8, from byte {error.start} on") from error
    read_json(text, "body")
