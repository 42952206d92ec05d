"""Content schemas: what contents that people push must fit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from arc_eval_db.dashboards.api import models, requests
from arc_eval_db.dashboards.api.authentication import By
from arc_eval_db.dashboards.api.etags import IfMatch, IfNoneMatch, configuration_tag, expected_revision, not_modified
from arc_eval_db.dashboards.api.parameters import Manager, NamePath
from arc_eval_db.dashboards.api.problems import Kind, content_at
from arc_eval_db.dashboards.api.responses import ETAG, changing, reading
from arc_eval_db.dashboards.api.routers.configurations import changed

router = APIRouter(prefix="/v1/configurations/{name}/content-schema", tags=["content schemas"])

_CHANGE = changing(Kind.NOT_FOUND, Kind.CONFLICT, headers=ETAG, conditional=True)


@router.get("", response_model=models.ContentSchema, responses=reading(Kind.NOT_FOUND, headers=ETAG, cached=True))
async def get_content_schema(
    name: NamePath, response: Response, manager: Manager, if_none_match: IfNoneMatch = None
) -> Any:
    """The JSON Schema of a configuration."""
    # Before the schema: where somebody changes it in between, the tag is too old, not too new, and no change is lost.
    tag = configuration_tag(await manager.get(name))
    response.headers["ETag"] = tag
    if unchanged := not_modified(if_none_match, tag):
        return unchanged
    return models.ContentSchema(content_schema=await manager.get_content_schema(name))


@router.put("", responses=_CHANGE)
async def set_content_schema(
    name: NamePath,
    body: requests.NewContentSchema,
    response: Response,
    manager: Manager,
    by: By,
    if_match: IfMatch = None,
) -> models.ConfigurationModel:
    """Let contents that people push have to fit a schema from now on; versions that are there stay."""
    revision = await expected_revision(manager, name, if_match)
    with content_at("$.content_schema"):
        await manager.set_content_schema(name, body.content_schema, by=by, expected_revision=revision)
    return await changed(manager, name, response)


@router.delete("", responses=_CHANGE)
async def clear_content_schema(
    name: NamePath, response: Response, manager: Manager, by: By, if_match: IfMatch = None
) -> models.ConfigurationModel:
    """Let any content fit."""
    revision = await expected_revision(manager, name, if_match)
    await manager.set_content_schema(name, None, by=by, expected_revision=revision)
    return await changed(manager, name, response)
