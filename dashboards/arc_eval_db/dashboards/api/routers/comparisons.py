"""Comparisons: which of two versions is better, and how sure that is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from arc_eval_db.dashboards.api import comparing, models
from arc_eval_db.dashboards.api.parameters import (
    Database,
    FirstReferenceQuery,
    SecondReferenceQuery,
    SinceQuery,
    UntilQuery,
    require_span,
)
from arc_eval_db.dashboards.api.problems import Kind, invalid
from arc_eval_db.dashboards.api.responses import reading

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])

MetricName = Literal["success", "score", "cost_usd", "duration_ms", "tool_errors"]


@router.get("", response_model=models.Comparison, responses=reading(Kind.NOT_FOUND, Kind.CONFLICT))
async def compare_versions(
    a: FirstReferenceQuery,
    b: SecondReferenceQuery,
    database: Database,
    since: SinceQuery = None,
    until: UntilQuery = None,
    metric: Annotated[MetricName, Query(description="What the verdict is about.")] = "success",
    detect: Annotated[float, Query(gt=0, le=1000, description="The smallest difference of interest.")] = 0.05,
    margin: Annotated[
        float | None, Query(gt=0, le=1000, description="With it the verdict may be that both are equivalent.")
    ] = None,
    alpha: Annotated[float, Query(ge=1e-6, lt=0.5)] = 0.05,
    power: Annotated[float, Query(gt=0, le=0.9999)] = 0.8,
    scenarios_min: Annotated[int, Query(ge=2, le=10_000)] = 10,
    runs_max: Annotated[int, Query(ge=1, le=50_000, description="Of each side, the latest.")] = 50_000,
) -> Any:
    """Compare B with A, the baseline, over the scenarios that both have run."""
    require_span(since, until)
    first = await database.configurations.get_version(a)
    second = await database.configurations.get_version(b)
    if first.id == second.id:
        raise invalid("query.b", "is the same version as a; name another")
    options = {
        "metric": metric,
        "detect": detect,
        "margin": margin,
        "alpha": alpha,
        "power": power,
        "scenarios_min": scenarios_min,
    }
    # By name and number: a label may be elsewhere by now, and of a version with two names the id means the first.
    return await comparing.report(
        database.client, first.reference, second.reference, options, since=since, until=until, runs_max=runs_max
    )
