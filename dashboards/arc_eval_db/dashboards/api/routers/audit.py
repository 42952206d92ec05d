"""The audit trail."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from arc_eval_db.dashboards.api import models
from arc_eval_db.dashboards.api.cursors import CursorText, Limit, page, read_cursor
from arc_eval_db.dashboards.api.parameters import Manager, NameQuery
from arc_eval_db.dashboards.api.problems import Kind
from arc_eval_db.dashboards.api.responses import LINK, reading

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", responses=reading(Kind.NOT_FOUND, headers=LINK))
async def list_audit(
    request: Request,
    response: Response,
    manager: Manager,
    configuration: NameQuery = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> models.AuditPage:
    """Who did what, and when, to one configuration or to all, the latest first."""
    before = read_cursor(request, cursor, int)
    found = await manager.audit(configuration, before_id=before, limit=limit + 1)
    one = page(request, response, found, limit, lambda row: row.id)
    return models.AuditPage(items=[models.AuditEntryModel.model_validate(row) for row in one.rows], next=one.next)
