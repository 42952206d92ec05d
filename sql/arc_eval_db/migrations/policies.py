"""How long rows stay and when they are compressed: recorded in `storage_policies`, done by TimescaleDB's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.migrations.edition import Edition
from arc_eval_db.sql import queries

# Which table each continuous aggregate is computed from, at once or by way of another.
AGGREGATES: Mapping[str, str] = {
    "outcomes_hourly": "outcomes",
    "outcomes_daily": "outcomes",
    "scenario_outcomes_hourly": "outcomes",
    "scenario_outcomes_daily": "outcomes",
    "errors_hourly": "outcomes",
    "errors_daily": "outcomes",
    "tool_usage_hourly": "tool_usage",
    "tool_usage_daily": "tool_usage",
    "failures_hourly": "failures",
    "failures_daily": "failures",
}

# A refresh ends two days before rows are dropped, and must span at least two of its buckets, which are days; the view
# execution_completeness reads three days of all tables of events.
KEPT_MIN = timedelta(days=7)

# Of the continuous aggregates only this one has a columnstore.
_SMALL = AGGREGATES.keys() - {"scenario_outcomes_hourly"}

_READ_BY_VIEWS = frozenset({*AGGREGATES.values(), "execution_events"})

_REFRESH_MARGIN = timedelta(days=2)


class PolicyError(FatalError):
    """This cannot be a policy."""


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """What becomes of the rows of one hypertable or continuous aggregate as they grow old."""

    relation: str
    compress_after: timedelta | None
    """None: never."""
    drop_after: timedelta | None
    """None: never."""

    def __post_init__(self) -> None:
        for name, value in (("compress", self.compress_after), ("drop", self.drop_after)):
            if value is not None and value < timedelta(days=1):
                raise PolicyError(
                    f"{self.relation}: can {name} after one day at the earliest, which is a chunk's length"
                )
        if self.relation in _READ_BY_VIEWS and self.drop_after is not None and self.drop_after < KEPT_MIN:
            raise PolicyError(
                f"{self.relation}: must be kept for at least {KEPT_MIN.days} days; views are computed from it"
            )
        if self.relation in _SMALL and self.compress_after is not None:
            raise PolicyError(f"{self.relation}: it is small, and is not compressed")


async def read_policies(session: Session) -> list[StoragePolicy]:
    """What is recorded, by relation."""
    rows = await session.fetch(queries("policies")["recorded_policies"])
    return [StoragePolicy(row["relation"], row["compress_after"], row["drop_after"]) for row in rows]


async def chunks_to_drop(session: Session, policy: StoragePolicy) -> int:
    """How many chunks this policy will drop when it next runs."""
    if policy.drop_after is None:
        return 0
    return int(await session.fetch_value(queries("policies")["chunks_older_than"], policy.relation, policy.drop_after))


async def set_policy(session: Session, edition: Edition, policy: StoragePolicy) -> None:
    """Record a policy and, on TimescaleDB, have it done.

    Before rows are dropped earlier than so far, what is computed from them is brought up to date, which can take as
    long as it takes to read them.

    Raises:
        PolicyError: there is no such relation.
    """
    known = {recorded.relation: recorded for recorded in await read_policies(session)}
    if policy.relation not in known:
        raise PolicyError(f"{policy.relation}: nothing is recorded for it; there are {', '.join(known)}")
    if edition is not Edition.TIMESCALEDB:
        await _record(session, policy)
        return
    if _drops_earlier(policy, known[policy.relation]):
        await refresh_aggregates_of(session, policy.relation)
    async with session.transaction():
        await record_and_apply(session, policy)


async def _record(session: Session, policy: StoragePolicy) -> None:
    await session.execute(
        queries("policies")["record_policy"], policy.relation, policy.compress_after, policy.drop_after
    )


async def record_and_apply(session: Session, policy: StoragePolicy) -> None:
    """Record a policy and set the server's jobs, in the caller's transaction."""
    await _record(session, policy)
    await _apply(session, policy)


def _drops_earlier(policy: StoragePolicy, before: StoragePolicy) -> bool:
    if policy.drop_after is None:
        return False
    return before.drop_after is None or policy.drop_after < before.drop_after


def _computed_from(relation: str) -> list[str]:
    """The continuous aggregates of a table, hours before days."""
    return [aggregate for aggregate, source in AGGREGATES.items() if source == relation]


async def refresh_aggregates_of(session: Session, relation: str) -> None:
    """Run the refresh of everything that is computed from a table, hours before days; not in a transaction."""
    aggregates = _computed_from(relation)
    rows = await session.fetch(queries("policies")["refresh_jobs"], aggregates)
    jobs = {row["aggregate"]: row["job_id"] for row in rows}
    for aggregate in aggregates:
        if aggregate in jobs:
            await session.execute(f"CALL run_job({int(jobs[aggregate])})")


async def _apply(session: Session, policy: StoragePolicy) -> None:
    statements = queries("policies")
    await session.execute(statements["remove_retention"], policy.relation)
    if policy.drop_after is not None:
        await session.execute(statements["add_retention"], policy.relation, policy.drop_after)
    if policy.relation not in _SMALL:
        await session.execute(statements["remove_compression"], policy.relation)
        if policy.compress_after is not None:
            await session.execute(statements["add_compression"], policy.relation, policy.compress_after)
    if policy.drop_after is not None:
        for aggregate in _computed_from(policy.relation):
            await session.execute(statements["limit_refresh"], aggregate, policy.drop_after - _REFRESH_MARGIN)


async def keep_old_rows(session: Session, policy: StoragePolicy) -> StoragePolicy:
    """For tables of which nothing was ever dropped: the policy, but without an end where rows are older than that.

    What is computed from such a table reaches back to its first row.
    """
    if policy.drop_after is None or policy.relation in AGGREGATES:
        return policy
    statement = f"SELECT min(time) < now() - $1::interval FROM {policy.relation}"  # noqa: S608 - a recorded table
    if not await session.fetch_value(statement, policy.drop_after):
        return policy
    for aggregate in _computed_from(policy.relation):
        await session.execute(queries("policies")["unlimit_refresh"], aggregate)
    return replace(policy, drop_after=None)


async def running_policies(session: Session) -> list[str]:
    """TimescaleDB's jobs in words, one line each; one that does what is recorded has the same line whatever that is.

    None before the migration that makes the table in which they are recorded.
    """
    if not await session.fetch_value("SELECT to_regclass('storage_policies')::text"):
        return []
    rows = await session.fetch(
        queries("policies")["running_policies"], list(AGGREGATES.keys()), list(AGGREGATES.values())
    )
    return [f"{row['procedure']} on {row['relation']}: {_in_words(row)}" for row in rows]


def _is_within(reach: timedelta | None, limit: timedelta | None) -> bool:
    return limit is None or (reach is not None and reach <= limit)


def _in_words(row: Mapping[str, Any]) -> str:
    if row["is_wanted"] and not row["is_there"]:
        return "missing"
    if row["procedure"] == "policy_refresh_continuous_aggregate":
        if not _is_within(row["running_after"], row["recorded_after"]):
            return f"reaches back {row['running_after'] or 'for ever'}, where rows are dropped two days later"
    elif row["recorded_after"] != row["running_after"]:
        return f"after {row['running_after']}, where storage_policies says {row['recorded_after'] or 'never'}"
    if row["is_there"] and not row["is_scheduled"]:
        return "paused"
    return "as in storage_policies" + (f", every {row['every']}, up to {row['until']} ago" if row["until"] else "")
