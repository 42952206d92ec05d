"""Versions: the history of a configuration, one of them, and a new one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from arc_eval_db.configurations import ConfigurationVersion
from arc_eval_db.dashboards.api import models, requests
from arc_eval_db.dashboards.api.authentication import By
from arc_eval_db.dashboards.api.cursors import CursorText, Limit, page, read_cursor
from arc_eval_db.dashboards.api.etags import IfMatch, IfNoneMatch, expected_revision, not_modified, version_tag
from arc_eval_db.dashboards.api.parameters import Manager, NamePath, ReferencePath, SelectorPath
from arc_eval_db.dashboards.api.paths import address
from arc_eval_db.dashboards.api.problems import Kind, content_at
from arc_eval_db.dashboards.api.responses import ETAG, LINK, LOCATION, changing, reading
from arc_eval_db.dashboards.api.routers.configurations import changed

router = APIRouter(prefix="/v1", tags=["versions"])

_ONE_YEAR_S = 31_536_000
_READ = reading(Kind.NOT_FOUND, Kind.CONFLICT, headers=ETAG, cached=True)


@router.get("/configurations/{name}/versions", responses=reading(Kind.NOT_FOUND, headers=LINK))
async def list_versions(
    name: NamePath,
    request: Request,
    response: Response,
    manager: Manager,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> models.VersionPage:
    """The history of a configuration, the newest version first, without contents."""
    before = read_cursor(request, cursor, int)
    found = await manager.history(name, before_number=before, limit=limit + 1)
    one = page(request, response, found, limit, lambda row: row.number or 0)
    return models.VersionPage(items=[models.VersionSummary.model_validate(row) for row in one.rows], next=one.next)


@router.post(
    "/configurations/{name}/versions",
    status_code=201,
    response_model=models.VersionAdded,
    responses={
        200: {"model": models.VersionAdded, "description": "It was there already.", "headers": ETAG | LOCATION},
        **changing(Kind.NOT_FOUND, Kind.CONFLICT, status=201, headers=ETAG | LOCATION, conditional=True),
    },
)
async def add_version(
    name: NamePath,
    body: requests.NewVersion,
    response: Response,
    manager: Manager,
    by: By,
    if_match: IfMatch = None,
) -> models.VersionAdded:
    """Make a content a version; the same content is the same version. If-Match is needed where labels move."""
    revision = None
    if if_match is not None or body.labels:
        revision = await expected_revision(manager, name, if_match)
    with content_at("$.content"):
        pushed = await manager.update(
            name, body.content, by=by, description=body.description, labels=body.labels, expected_revision=revision
        )
    assert pushed is not None
    response.status_code = 201 if pushed.is_new else 200
    response.headers["Location"] = address("v1", "configurations", name, "versions", str(pushed.version.number))
    return models.VersionAdded(
        is_new=pushed.is_new,
        version=models.VersionModel.model_validate(pushed.version),
        configuration=await changed(manager, name, response),
    )


@router.get("/configurations/{name}/versions/{selector}", response_model=models.VersionModel, responses=_READ)
async def get_version(
    name: NamePath, selector: SelectorPath, response: Response, manager: Manager, if_none_match: IfNoneMatch = None
) -> Any:
    """Read a version by number, label, or `latest`. By number it may be cached for ever."""
    found = await manager.get_version(f"{name}@{selector}")
    return _answer(found, response, if_none_match, is_fixed=selector.isdecimal())


@router.get("/versions/{reference}", response_model=models.VersionModel, responses=_READ)
async def resolve_version(
    reference: ReferencePath, response: Response, manager: Manager, if_none_match: IfNoneMatch = None
) -> Any:
    """Read the version that a reference means. By number or id it may be cached for ever."""
    found = await manager.get_version(reference)
    is_fixed = reference in (str(found.id), f"{found.configuration}@{found.number}")
    return _answer(found, response, if_none_match, is_fixed=is_fixed)


def _answer(version: ConfigurationVersion, response: Response, if_none_match: str | None, *, is_fixed: bool) -> Any:
    # What lacks its name or content may get it later.
    tag = version_tag(version) if version.number is not None and version.content is not None else None
    headers = {}
    if tag is not None:
        headers["ETag"] = tag
        if is_fixed:
            headers["Cache-Control"] = f"private, max-age={_ONE_YEAR_S}, immutable"
    if unchanged := not_modified(if_none_match, tag):
        unchanged.headers.update(headers)
        return unchanged
    response.headers.update(headers)
    return models.VersionModel.model_validate(version)
