"""The application: routes, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from fastapi import Depends, FastAPI, Request, Response
from starlette.middleware import Middleware

from arc_eval_db.dashboards.api.authentication import Authentication
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.failures import add_handlers
from arc_eval_db.dashboards.api.middleware import Bodies, Concurrency, Failures, Hosts
from arc_eval_db.dashboards.api.openapi import document_of
from arc_eval_db.dashboards.api.paths import Paths
from arc_eval_db.dashboards.api.queries import only_known_queries
from arc_eval_db.dashboards.api.routers import (
    audit,
    comparisons,
    configurations,
    content_schemas,
    deployments,
    diffs,
    health,
    labels,
    versions,
)
from arc_eval_db.dashboards.api.settings import ApiSettings

_ROUTERS = (configurations, versions, labels, content_schemas, deployments, diffs, comparisons, audit, health)


def create_app(settings: ApiSettings, database: ApiDatabase) -> FastAPI:
    """The ASGI application. It opens the database when it starts, unless it is open, and closes it when it ends.

    There are no pages that show the document: those of the framework load scripts from other people's servers.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with database:
            yield

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(only_known_queries)],
        generate_unique_id_function=lambda route: route.name,
        # The first is the outermost.
        middleware=[
            Middleware(Failures),
            Middleware(Concurrency, settings=settings),
            Middleware(Hosts, settings=settings),
            Middleware(Paths),
            Middleware(Authentication, settings=settings, database=database),
            Middleware(Bodies, settings=settings),
        ],
    )
    app.state.database = database
    for module in _ROUTERS:
        app.include_router(module.router)
    app.add_api_route("/openapi.json", _document, include_in_schema=False)
    add_handlers(app)
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]  # how the framework lets it be replaced
    return app


async def _document(request: Request) -> Response:
    """The OpenAPI document."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")
