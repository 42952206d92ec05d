"""Differences of two versions."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from arc_eval_db.configurations import ConfigurationVersion
from arc_eval_db.configurations.bounded import TooMuchWorkError
from arc_eval_db.configurations.bounded_child import TASKS
from arc_eval_db.configurations.differences import pretty
from arc_eval_db.dashboards.api import models
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.parameters import Database, FirstReferenceQuery, SecondReferenceQuery
from arc_eval_db.dashboards.api.problems import Kind, ProblemError, invalid
from arc_eval_db.dashboards.api.responses import reading

router = APIRouter(prefix="/v1/diffs", tags=["diffs"])

LINES_AT_ONCE_MAX = 2_000
"""Of both contents as indented JSON: 0.2 s at the worst. What has more is done in a process of its own, which takes
0.4 s to start, and is ended: 10,000 lines a side can take 6 s."""

Format = Annotated[models.DiffFormat, Query(alias="format", description="By path, as JSON Patch, or as text.")]


@router.get("", response_model_exclude_unset=True, responses=reading(Kind.NOT_FOUND, Kind.CONFLICT))
async def diff_versions(
    before: FirstReferenceQuery, after: SecondReferenceQuery, database: Database, format_: Format = "changes"
) -> models.Diff:
    """What must be done to one version to make it equal to another, in this order."""
    manager = database.configurations
    first, second = await manager.get_version(before), await manager.get_version(after)
    for version in (first, second):
        if version.content is None:
            raise ProblemError(
                Kind.CONFLICT, f"the content of {version.reference} is not known: no event has brought it"
            )
    found = await _found(database, first, second, format_)
    summaries = {
        name: models.VersionSummary.model_validate(version) for name, version in (("before", first), ("after", second))
    }
    return models.Diff(**summaries, is_equal=first.content_hash == second.content_hash, **{format_: found})


async def _found(
    database: ApiDatabase, before: ConfigurationVersion, after: ConfigurationVersion, format_: models.DiffFormat
) -> Any:
    contents = {"before": before.content, "after": after.content, "names": (before.reference, after.reference)}
    # Large ones take a while: the other requests get their turn.
    if await asyncio.to_thread(_lines, before, after) <= LINES_AT_ONCE_MAX:
        return await asyncio.to_thread(TASKS[format_], contents)
    try:
        return await database.bounded.run(format_, contents)
    except TooMuchWorkError as error:
        raise invalid(
            "query.format",
            f"to find these differences takes more than {database.bounded.cpu_s} s; ask for another, or compare less",
        ) from error


def _lines(*versions: ConfigurationVersion) -> int:
    return sum(pretty(version.content).count("\n") for version in versions)
