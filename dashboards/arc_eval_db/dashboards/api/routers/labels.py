"""Labels: where they are, and moving them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from arc_eval_db.configurations import ConfigurationManager, LabelMove
from arc_eval_db.dashboards.api import models, requests
from arc_eval_db.dashboards.api.authentication import By
from arc_eval_db.dashboards.api.etags import IfMatch, IfNoneMatch, configuration_tag, expected_revision, not_modified
from arc_eval_db.dashboards.api.parameters import LabelPath, Manager, NamePath
from arc_eval_db.dashboards.api.problems import Kind
from arc_eval_db.dashboards.api.responses import ETAG, changing, reading
from arc_eval_db.dashboards.api.routers.configurations import changed

router = APIRouter(prefix="/v1/configurations/{name}/labels", tags=["labels"])

_MOVE = changing(Kind.NOT_FOUND, Kind.CONFLICT, headers=ETAG, conditional=True)


@router.get("", response_model=models.Labels, responses=reading(Kind.NOT_FOUND, headers=ETAG, cached=True))
async def list_labels(name: NamePath, response: Response, manager: Manager, if_none_match: IfNoneMatch = None) -> Any:
    """The labels of a configuration."""
    found = await manager.get(name)
    tag = configuration_tag(found)
    response.headers["ETag"] = tag
    return not_modified(if_none_match, tag) or models.Labels(labels=dict(found.labels))


@router.put("/{label}", responses=_MOVE)
async def move_label(
    name: NamePath,
    label: LabelPath,
    body: requests.LabelTarget,
    response: Response,
    manager: Manager,
    by: By,
    if_match: IfMatch = None,
) -> models.LabelMoved:
    """Put a label on a version, from wherever it is, at once."""
    revision = await expected_revision(manager, name, if_match)
    move = await manager.label(f"{name}@{body.number}", label, by=by, expected_revision=revision)
    return await _moved(move, manager, response)


@router.delete("/{label}", responses=_MOVE)
async def remove_label(
    name: NamePath, label: LabelPath, response: Response, manager: Manager, by: By, if_match: IfMatch = None
) -> models.LabelMoved:
    """Take a label away; `previous_number` is null where there was none."""
    revision = await expected_revision(manager, name, if_match)
    move = await manager.unlabel(name, label, by=by, expected_revision=revision)
    return await _moved(move, manager, response)


async def _moved(move: LabelMove, manager: ConfigurationManager, response: Response) -> models.LabelMoved:
    return models.LabelMoved(
        label=move.label,
        number=move.number,
        previous_number=move.previous_number,
        configuration=await changed(manager, move.configuration, response),
    )
