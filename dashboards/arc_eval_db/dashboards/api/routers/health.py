"""Whether the API can answer: for probes, without a token."""

from __future__ import annotations

from fastapi import APIRouter

from arc_eval_db.dashboards.api import models
from arc_eval_db.dashboards.api.parameters import Database
from arc_eval_db.dashboards.api.responses import reading

router = APIRouter(tags=["health"])


@router.get("/healthz", responses=reading(), openapi_extra={"security": []})
async def health(database: Database) -> models.Health:
    """Ask the database something. 503 where it does not answer."""
    await database.ping()
    return models.Health()
