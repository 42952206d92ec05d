"""Configurations: list and search, create, read, describe, archive."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from arc_eval_db.configurations import Configuration, ConfigurationManager
from arc_eval_db.dashboards.api import models, requests
from arc_eval_db.dashboards.api.authentication import By
from arc_eval_db.dashboards.api.bodies import read_json
from arc_eval_db.dashboards.api.cursors import CursorText, Limit, page, read_cursor
from arc_eval_db.dashboards.api.etags import (
    IfMatch,
    IfNoneMatch,
    configuration_tag,
    expected_revision,
    not_modified,
)
from arc_eval_db.dashboards.api.parameters import LABEL_PATTERN, Manager, NamePath
from arc_eval_db.dashboards.api.paths import address
from arc_eval_db.dashboards.api.problems import Kind, content_at, invalid
from arc_eval_db.dashboards.api.responses import ETAG, LINK, LOCATION, changing, reading

router = APIRouter(prefix="/v1/configurations", tags=["configurations"])

Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="In the name or description.")]
Label = Annotated[str | None, Query(pattern=LABEL_PATTERN, description="With this label on a version.")]
Containing = Annotated[
    str | None,
    Query(
        max_length=10_000,
        description="A JSON object that a version holds.",
        examples=['{"model": "m1"}'],
        json_schema_extra={"contentMediaType": "application/json"},
    ),
]


@router.get("", responses=reading(headers=LINK))
async def list_configurations(
    request: Request,
    response: Response,
    manager: Manager,
    text: Text = None,
    label: Label = None,
    containing: Containing = None,
    archived: Annotated[bool, Query(description="Archived ones too.")] = False,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> models.ConfigurationPage:
    """List configurations by name, or search: every condition that is given holds."""
    after = read_cursor(request, cursor, str)
    with content_at("query.containing"):
        found = await manager.search(
            text, label=label, containing=_object(containing), archived=archived, after=after, limit=limit + 1
        )
    one = page(request, response, found, limit, lambda row: row.name)
    return models.ConfigurationPage(items=[_model(row) for row in one.rows], next=one.next)


@router.post("", status_code=201, responses=changing(Kind.CONFLICT, status=201, headers=ETAG | LOCATION))
async def create_configuration(
    body: requests.NewConfiguration, response: Response, manager: Manager, by: By
) -> models.Created:
    """Create a configuration; refused where there is one with this name, perhaps made by a sandbox's event."""
    with content_at("$.content"):
        pushed = await manager.create(body.name, body.content, by=by, description=body.description, labels=body.labels)
    response.headers["Location"] = address("v1", "configurations", body.name)
    configuration = await changed(manager, body.name, response)
    version = None if pushed is None else models.VersionModel.model_validate(pushed.version)
    return models.Created(configuration=configuration, version=version)


@router.get(
    "/{name}", response_model=models.ConfigurationModel, responses=reading(Kind.NOT_FOUND, headers=ETAG, cached=True)
)
async def get_configuration(
    name: NamePath, response: Response, manager: Manager, if_none_match: IfNoneMatch = None
) -> Any:
    """Read a configuration, archived or not."""
    found = await manager.get(name)
    tag = configuration_tag(found)
    response.headers["ETag"] = tag
    return not_modified(if_none_match, tag) or _model(found)


@router.patch("/{name}", responses=changing(Kind.NOT_FOUND, Kind.CONFLICT, headers=ETAG, conditional=True))
async def describe_configuration(
    name: NamePath,
    body: requests.ConfigurationChange,
    response: Response,
    manager: Manager,
    by: By,
    if_match: IfMatch = None,
) -> models.ConfigurationModel:
    """Say what a configuration is for."""
    revision = await expected_revision(manager, name, if_match)
    await manager.update(name, by=by, description=body.description, expected_revision=revision)
    return await changed(manager, name, response)


@router.delete("/{name}", responses=changing(Kind.NOT_FOUND, headers=ETAG, conditional=True))
async def archive_configuration(
    name: NamePath, response: Response, manager: Manager, by: By, if_match: IfMatch = None
) -> models.ConfigurationModel:
    """Archive a configuration: it is out of lists and takes no change. Nothing is deleted."""
    revision = await expected_revision(manager, name, if_match)
    await manager.archive(name, by=by, expected_revision=revision)
    return await changed(manager, name, response)


@router.post("/{name}/unarchive", responses=changing(Kind.NOT_FOUND, headers=ETAG, conditional=True))
async def unarchive_configuration(
    name: NamePath, response: Response, manager: Manager, by: By, if_match: IfMatch = None
) -> models.ConfigurationModel:
    """Take back that it was archived."""
    # Without a body, and no page of another site can ask for it all the same: If-Match is no header of forms.
    revision = await expected_revision(manager, name, if_match)
    await manager.unarchive(name, by=by, expected_revision=revision)
    return await changed(manager, name, response)


async def changed(manager: ConfigurationManager, name: str, response: Response) -> models.ConfigurationModel:
    """The configuration after a change, as it is now, and its ETag: what others have changed meanwhile is in both."""
    found = await manager.get(name)
    response.headers["ETag"] = configuration_tag(found)
    return _model(found)


def _model(configuration: Configuration) -> models.ConfigurationModel:
    return models.ConfigurationModel.model_validate(configuration)


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    value = read_json(text, "query.containing")
    if not isinstance(value, dict):
        raise invalid("query.containing", "must be a JSON object")
    return value
