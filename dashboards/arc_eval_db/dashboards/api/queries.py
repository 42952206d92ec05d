"""A parameter that a route does not know is refused: a condition that is misspelt must not mean "all"."""

from __future__ import annotations

from fastapi import Request

from arc_eval_db.dashboards.api.openapi import known_queries
from arc_eval_db.dashboards.api.problems import FieldProblem, Kind, ProblemError

_NAMED_MAX = 5


async def only_known_queries(request: Request) -> None:
    """A dependency of every route.

    Raises:
        ProblemError: the query has something that the route does not know.
    """
    if not request.query_params:
        return
    state = request.app.state
    if not hasattr(state, "known_queries"):
        state.known_queries = known_queries(request.app)
    known = state.known_queries.get((request.method, request.scope["route"].path), frozenset())
    unknown = sorted(request.query_params.keys() - known)[:_NAMED_MAX]
    if unknown:
        message = f"not known here; there is {', '.join(sorted(known)) or 'none'}"
        raise ProblemError(
            Kind.INVALID,
            f"query: {', '.join(map(repr, unknown))}: {message}",
            errors=[FieldProblem(path=f"query.{name}", message=message) for name in unknown],
        )
