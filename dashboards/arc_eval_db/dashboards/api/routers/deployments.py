"""Deployments: which version was where, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from arc_eval_db.configurations import VersionNotFoundError
from arc_eval_db.dashboards.api import models, requests
from arc_eval_db.dashboards.api.authentication import By
from arc_eval_db.dashboards.api.cursors import CursorText, Limit, page, read_cursor
from arc_eval_db.dashboards.api.parameters import (
    AtQuery,
    Manager,
    NameQuery,
    SinceQuery,
    UntilQuery,
    require_span,
)
from arc_eval_db.dashboards.api.problems import Kind, invalid
from arc_eval_db.dashboards.api.responses import LINK, changing, reading

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])


@router.get("", responses=reading(headers=LINK))
async def list_deployments(
    request: Request,
    response: Response,
    manager: Manager,
    deployment: NameQuery = None,
    environment: NameQuery = None,
    configuration: NameQuery = None,
    at: AtQuery = None,
    since: SinceQuery = None,
    until: UntilQuery = None,
    current: Annotated[bool, Query(description="Only what is there now.")] = False,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> models.DeploymentPage:
    """List deployments, the latest first: at a moment, or at any from `since` up to, not including, `until`."""
    if at is not None and (since is not None or until is not None):
        raise invalid("query.at", "is a moment, since and until are a span: give either")
    require_span(since, until)
    found = await manager.deployments(
        deployment=deployment,
        environment=environment,
        configuration=configuration,
        at=at,
        since=since,
        until=until,
        current=current,
        before_id=read_cursor(request, cursor, int),
        limit=limit + 1,
    )
    one = page(request, response, found, limit, lambda row: row.id)
    return models.DeploymentPage(items=[models.DeploymentModel.model_validate(row) for row in one.rows], next=one.next)


@router.post(
    "",
    status_code=201,
    response_model=models.Deployed,
    responses={
        200: {"model": models.Deployed, "description": "It was there already."},
        **changing(Kind.NOT_FOUND, Kind.CONFLICT, status=201),
    },
)
async def deploy(body: requests.NewDeployment, response: Response, manager: Manager, by: By) -> models.Deployed:
    """Note that a version is in a deployment from now on."""
    version = await manager.get_version(body.version)
    if version.configuration is None or version.number is None:
        raise VersionNotFoundError(f"{body.version} has no name yet; add it to a configuration first")
    is_new = await manager.deploy(
        version.reference, deployment=body.deployment, environment=body.environment, by=by, replace=body.replace
    )
    response.status_code = 201 if is_new else 200
    there = await manager.deployments(
        deployment=body.deployment, environment=body.environment, configuration=version.configuration, current=True
    )
    mine = next((one for one in there if one.number == version.number), None)
    return models.Deployed(
        is_new=is_new, deployment=None if mine is None else models.DeploymentModel.model_validate(mine)
    )


@router.post("/end", responses=changing(Kind.NOT_FOUND, Kind.CONFLICT))
async def undeploy(body: requests.DeploymentEnd, manager: Manager, by: By) -> models.Undeployed:
    """Note that a version, or every version of a configuration, has left a deployment."""
    numbers = await manager.undeploy(body.version, deployment=body.deployment, environment=body.environment, by=by)
    return models.Undeployed(numbers=list(numbers))
