"""The OpenAPI document: what the framework makes of the routes, and what it cannot know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import compile_path

from arc_eval_db.dashboards.api.problems import Kind, Problem
from arc_eval_db.dashboards.api.responses import problem_response

_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_REF = "#/components/schemas/{model}"
# Only where labels move.
_IF_MATCH_OPTIONAL = frozenset({"add_version"})

DESCRIPTION = """
Versions of agents' configurations: list, search, compare, label and deploy them. The guide: docs/api.md.

Errors are `application/problem+json` (RFC 9457). Changes of a configuration need `If-Match` with the ETag that was
read. Lists have pages: follow `next`.
"""


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="arc-eval-db", version="1", summary="The admin API.", description=DESCRIPTION, routes=app.routes
        )
        _declare_problems(document)
        _declare_tokens(document)
        for operation in operations(document).values():
            _require_if_match(operation)
        app.openapi_schema = document
    return app.openapi_schema


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation by method, in capitals, and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    }


def known_queries(app: FastAPI) -> dict[tuple[str, str], frozenset[str]]:
    """The parameters of the query that each operation takes, by method and path."""
    return {
        key: frozenset(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")
        for key, operation in operations(document_of(app)).items()
    }


class Allowed:
    """Which methods an address takes. The framework names those of the first route alone."""

    def __init__(self, app: FastAPI) -> None:
        self._methods: dict[str, list[str]] = {"/openapi.json": ["GET"]}
        for method, path in operations(document_of(app)):
            self._methods.setdefault(path, []).append(method)
        self._paths = [(compile_path(path)[0], methods) for path, methods in self._methods.items()]

    def at(self, path: str) -> list[str]:
        """Of all routes that the path fits."""
        return sorted({method for regex, methods in self._paths if regex.match(path) for method in methods})


def _declare_problems(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    # The framework's own, which no route ends with.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=_REF)
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    document["components"]["responses"] = {kind.name.lower(): problem_response(kind) for kind in Kind}
    for operation in operations(document).values():
        for kind in Kind:
            if str(kind.status) in operation["responses"]:
                reference = {"$ref": f"#/components/responses/{kind.name.lower()}"}
                operation["responses"][str(kind.status)] = reference


def _declare_tokens(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "From `arc-eval-db api token create`; the scope `read` for GET, `admin` for all.",
        }
    }
    document["security"] = [{"token": []}]


def _require_if_match(operation: dict[str, Any]) -> None:
    # The routes take it as optional, to answer 428 and not 422.
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "If-Match" and operation["operationId"] not in _IF_MATCH_OPTIONAL:
            parameter["required"] = True
            parameter["schema"] = {"type": "string"}
