"""Two configuration versions of the database, compared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.configurations import ConfigurationVersion, ReferenceRefusedError, resolve_reference
from arc_eval_db.database import Session
from arc_eval_db.recommendations.comparison import compare_samples
from arc_eval_db.recommendations.metrics import Metric
from arc_eval_db.recommendations.report import ComparisonOptions, ComparisonReport
from arc_eval_db.recommendations.samples import Moments, Sample, ScenarioSample
from arc_eval_db.schemas.limits import TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.sql import queries

DEFAULT_RUNS_MAX = 50_000
"""Of each side, the latest: what more would tell is less than what differs between two weeks."""
_FEW_RUNS = 1_000
"""Of each side: of so many the tool uses are looked up one by one; of more it is faster to read all of their time."""

# Not on the event loop: 50,000 scenarios take seconds. And so few at once, as nothing ends a thread: others wait, and
# whoever gives up leaves the queue.
_STATISTICS = ThreadPoolExecutor(2, thread_name_prefix="comparison")


async def compare(
    source: ArcEvalDBClient | Session,
    a: UUID | str,
    b: UUID | str,
    options: ComparisonOptions | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    runs_max: int = DEFAULT_RUNS_MAX,
) -> ComparisonReport:
    """B against A, the baseline, by the outcomes from `since` up to, not including, `until`.

    Args:
        source: an open client, or a session that nobody else uses meanwhile.
        a: a configuration version, as `arc-eval-db config` names it: `careful` (its latest), `careful@3`,
            `careful@production`, its id, or `sha256:` and the beginning of its hash.
        runs_max: of each side, the latest.

    Raises:
        ConfigurationNotFoundError, VersionNotFoundError: there is no such version.
        ReferenceRefusedError, AmbiguousReferenceError: no one version is meant, or both are the same.
        ValueError: a time without its offset from UTC, `since` not before `until`, or `runs_max` below 1.
        RetryableError, FatalError: as every method of the client.
    """
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise ValueError("since and until need an offset from UTC, such as datetime.now(UTC) has")
    if since is not None and until is not None and since >= until:
        raise ValueError("since must be before until")
    if runs_max < 1:
        raise ValueError(f"runs_max: must be at least 1, not {runs_max}")

    async def read(session: Session) -> tuple[Sample, Sample]:
        found_a, found_b = await resolve_reference(session, str(a)), await resolve_reference(session, str(b))
        if found_a.id == found_b.id:
            raise ReferenceRefusedError(f"{a} and {b} are the same configuration version: name two")
        return await read_samples(session, found_a, found_b, since=since, until=until, runs_max=runs_max)

    samples = await (read(source) if isinstance(source, Session) else source.read("compare", read))
    work = partial(compare_samples, *samples, options, since=since, until=until)
    return await asyncio.get_running_loop().run_in_executor(_STATISTICS, work)


async def read_samples(
    session: Session,
    a: ConfigurationVersion,
    b: ConfigurationVersion,
    *,
    since: datetime | None,
    until: datetime | None,
    runs_max: int,
) -> tuple[Sample, Sample]:
    """Both versions' runs, added up by scenario in the database: one statement, so that both are of the same moment."""
    statements, versions = queries("comparison"), [a.id, b.id]
    window = since or TIME_MIN, until or datetime.now(UTC) + TIME_AHEAD_MAX
    unended = await session.fetch(statements["unended_executions"], versions, *window)
    async with session.transaction():
        if runs_max > _FEW_RUNS and await session.fetch_value(
            statements["has_more_outcomes"], versions, *window, _FEW_RUNS
        ):
            await session.execute(statements["prefer_hash_joins"])
        rows = await session.fetch(statements["scenario_samples"], versions, *window, runs_max)
    samples = (_sample(version, rows, unended, runs_max) for version in (a, b))
    return next(samples), next(samples)


def _sample(
    version: ConfigurationVersion,
    rows: Sequence[Mapping[str, Any]],
    unended: Sequence[Mapping[str, Any]],
    runs_max: int,
) -> Sample:
    own = [row for row in rows if row["configuration_version_id"] == version.id]
    silent = next((row for row in unended if row["configuration_version_id"] == version.id), None)
    return Sample(
        tuple(_scenario(row) for row in own),
        configuration_version_id=version.id,
        name=version.reference if version.number is not None else None,
        running=silent["running"] if silent else 0,
        abandoned=silent["abandoned"] if silent else 0,
        is_limited=any(row["outcomes_read"] >= runs_max for row in own),
    )


def _scenario(row: Mapping[str, Any]) -> ScenarioSample:
    measured: dict[Metric, Moments] = {
        metric: Moments(row[f"{metric}_count"], row[f"{metric}_mean"], row[f"{metric}_variance"])
        for metric in Metric
        if metric is not Metric.SUCCESS and row[f"{metric}_count"]
    }
    return ScenarioSample(
        scenario_id=UUID(str(row["scenario_id"])),
        scenario=row["scenario"],
        statuses={status: row[status.value] for status in ExecutionStatus},
        measured=measured,
    )
