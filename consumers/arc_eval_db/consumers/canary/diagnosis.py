"""Why a canary has not arrived: at which stage it hangs, in words, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from arc_eval_db.consumers.canary.arrival import ArrivalWatch
from arc_eval_db.consumers.canary.emission import Emission
from arc_eval_db.consumers.canary.report import CanaryResult
from arc_eval_db.consumers.lag import LagSettings, LagState, LagWatcher, PartitionReport
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.settings import KafkaSettings

_LOOK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How a run ended, why, and what to do next."""

    result: CanaryResult
    reason: str = ""
    next_step: str = ""


def of_database_error(error: ArcEvalError) -> Finding:
    """The database cannot be looked at."""
    steps = {
        "42501": "let the canary log in as arc_eval_reader, or as a member of it",
        "42P01": "arc-eval-db migrate up",
        "42703": "arc-eval-db migrate up",
    }
    sqlstate = getattr(error, "sqlstate", None)
    return Finding(
        CanaryResult.DATABASE_AWAY,
        f"the canary cannot look into the database: {error}",
        steps.get(sqlstate or "", "arc-eval-db doctor --database"),
    )


def of_failure(error: BaseException) -> Finding:
    """Something that nobody expected, or a setting that is wrong."""
    step = "mend the setting" if isinstance(error, ArcEvalError) else "report it, with this line"
    return Finding(CanaryResult.FAILED, f"the canary failed: {type(error).__name__}: {error}", step)


class Diagnosis:
    """Looks at the stages in the order of the way."""

    def __init__(self, kafka: KafkaSettings, database: DatabaseSettings, group: str, timeout_s: float) -> None:
        self._kafka = kafka
        self._database = database
        self._group = group
        self._timeout_s = timeout_s

    async def of(self, emission: Emission, watch: ArrivalWatch) -> Finding:
        """Why it is not whole, after its time.

        Raises:
            DatabaseError: the database does not answer any more.
        """
        if letter := await watch.dead_letter():
            return Finding(
                CanaryResult.DEAD_LETTERED,
                f"an event was set aside as dead letter {letter['id']}, reason {letter['reason']}: {letter['detail']}",
                f"arc-eval-db dead-letters show {letter['id']}",
            )
        unsent = [event for event in emission.events if event.acknowledged_at is None]
        if unsent:
            trouble = f": {emission.trouble}" if emission.trouble else ""
            return Finding(
                CanaryResult.NOT_ACKNOWLEDGED,
                f"Kafka has not taken {len(unsent)} of {len(emission.events)} events in {self._timeout_s:g} s{trouble}",
                "arc-eval-db doctor",
            )
        missing = watch.arrival.missing(emission.events)
        lag = await self._lag(list(dict.fromkeys(event.topic for event in missing or emission.events)))
        if (await watch.look()).is_whole(emission.events):
            reason = f"all rows are there by now, and it took more than {self._timeout_s:g} s"
            return Finding(CanaryResult.NOT_CONSUMED, f"{reason}; {lag.reason}", lag.next_step)
        what = ", ".join(event.type for event in missing) or "the execution's own row"
        reason = f"Kafka has all events, and after {self._timeout_s:g} s there is no row of {what}; {lag.reason}"
        return Finding(CanaryResult.NOT_CONSUMED, reason, lag.next_step)

    async def _lag(self, topics: Sequence[str]) -> Finding:
        """What keeps the group from these topics, as `arc-eval-db lag` says it."""
        result, default = CanaryResult.NOT_CONSUMED, f"arc-eval-db lag --group {self._group}"
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                async with LagWatcher(self._kafka, self._database, self._group, topics, LagSettings.load()) as watcher:
                    report = await watcher.look()
        except (ArcEvalError, TimeoutError) as error:
            return Finding(result, f"the lag of group {self._group} could not be looked at: {error}", default)
        found = _worst([each for each in report.partitions if each.lag_messages])
        if found is None:
            return Finding(
                result,
                f"group {self._group} has read up to the log's end, and set nothing of it aside in this database",
                "compare the workers' ARC_EVAL_DATABASE_URL and ARC_EVAL_CONSUMER_GROUP with the canary's",
            )
        reason = f"{found.lag.partition}, group {self._group}: {found.verdict.state.value}: {found.verdict.reason}"
        return Finding(result, reason, found.verdict.next_step or default)


def _worst(partitions: Sequence[PartitionReport]) -> PartitionReport | None:
    order = list(LagState)
    return max(partitions, key=lambda each: (order.index(each.verdict.state), each.lag_messages), default=None)
