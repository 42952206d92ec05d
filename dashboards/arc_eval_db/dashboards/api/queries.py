"""What a route does not know, and what stands twice, is refused: no condition may go unheeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from fastapi import Request

from arc_eval_db.dashboards.api.openapi import known_queries
from arc_eval_db.dashboards.api.problems import FieldProblem, Kind, ProblemError

_NAMED_MAX = 5


async def only_known_queries(request: Request) -> None:
    """A dependency of every route.

    Raises:
        ProblemError: the query has something that the route does not know, or has it twice.
    """
    if not request.query_params:
        return
    state = request.app.state
    if not hasattr(state, "known_queries"):
        state.known_queries = known_queries(request.app)
    known = state.known_queries.get((request.method, request.scope["route"].path), frozenset())
    counts = Counter(name for name, _ in request.query_params.multi_items())
    _refuse(counts.keys() - known, f"not known here; there is {', '.join(sorted(known)) or 'none'}")
    # No parameter is a list: the framework would take the last one, and drop the others.
    _refuse({name for name, count in counts.items() if count > 1}, "stands twice; keep one")


def _refuse(names: Set[str], message: str) -> None:
    if names:
        named = sorted(names)[:_NAMED_MAX]
        raise ProblemError(
            Kind.INVALID,
            f"query: {', '.join(map(repr, named))}: {message}",
            errors=[FieldProblem(path=f"query.{name}", message=message) for name in named],
        )
