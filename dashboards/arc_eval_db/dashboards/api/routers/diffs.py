"""Differences of two versions."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from arc_eval_db.configurations import ConfigurationVersion, differences, json_patch, text_diff
from arc_eval_db.configurations.differences import pretty
from arc_eval_db.dashboards.api import models
from arc_eval_db.dashboards.api.parameters import Manager, ReferenceQuery
from arc_eval_db.dashboards.api.problems import Kind, ProblemError, invalid
from arc_eval_db.dashboards.api.responses import reading

router = APIRouter(prefix="/v1/diffs", tags=["diffs"])

LINES_MAX = 20_000
"""Of both contents as indented JSON: what lines have in common takes up to the square of their number to find."""

Format = Annotated[models.DiffFormat, Query(alias="format", description="By path, as JSON Patch, or as text.")]


@router.get("", response_model_exclude_unset=True, responses=reading(Kind.NOT_FOUND, Kind.CONFLICT))
async def diff_versions(
    before: ReferenceQuery, after: ReferenceQuery, manager: Manager, format_: Format = "changes"
) -> models.Diff:
    """What must be done to one version to make it equal to another, in this order."""
    first, second = await manager.get_version(before), await manager.get_version(after)
    for version in (first, second):
        if version.content is None:
            raise ProblemError(
                Kind.CONFLICT, f"the content of {version.reference} is not known: no event has brought it"
            )
    if format_ == "text" and sum(pretty(one.content).count("\n") for one in (first, second)) > LINES_MAX:
        raise invalid("query.format", f"more than {LINES_MAX:,} lines; ask for changes, or for a patch")
    # Large ones take a while: the other requests get their turn.
    found = await asyncio.to_thread(_differences, first, second, format_)
    summaries = {
        name: models.VersionSummary.model_validate(version) for name, version in (("before", first), ("after", second))
    }
    return models.Diff(**summaries, is_equal=first.content == second.content, **{format_: found})


def _differences(before: ConfigurationVersion, after: ConfigurationVersion, format_: models.DiffFormat) -> Any:
    if format_ == "patch":
        return json_patch(before.content, after.content)
    if format_ == "text":
        return text_diff(before.content, after.content, names=(before.reference, after.reference))
    return [
        models.ChangeModel(
            kind=change.kind,
            path=list(change.path),
            place=change.place,
            before=change.before,
            after=change.after,
        )
        for change in differences(before.content, after.content)
    ]
