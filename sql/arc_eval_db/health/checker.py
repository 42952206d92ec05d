"""Looks at a database from all sides, within a deadline, and says what it saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from arc_eval_db.database import DatabaseSettings, Session, SessionPool
from arc_eval_db.errors import ArcEvalError, SettingsError
from arc_eval_db.health.benchmark import WriteBenchmark, benchmark_on
from arc_eval_db.health.check import Check, Context, Judgement, Rows
from arc_eval_db.health.checks import CHECK_NAMES, CHECKS
from arc_eval_db.health.checks.connections import POOL
from arc_eval_db.health.checks.server import SERVER
from arc_eval_db.health.looker import Looker
from arc_eval_db.health.report import CheckResult, HealthReport, State
from arc_eval_db.health.settings import HealthSettings
from arc_eval_db.health.unseen import judge_error, judge_lack

LOST_WITHOUT_TIMESCALEDB = (
    "compression: rows take about six times the room",
    "retention: rows stay until somebody deletes them",
    "continuous aggregates: rollups are computed anew when they are read",
)


class HasPool(Protocol):
    """A client: whatever has a pool."""

    @property
    def pool(self) -> SessionPool:
        """The open pool."""
        ...


class DatabaseHealthChecker:
    """Looks at the database of a client, of a pool, or at an address.

    Example:
        report = await DatabaseHealthChecker(client).check()
        if report.state is State.CRITICAL:
            print(report.to_json())

    It opens a connection of its own for each look, and takes none from the pool. It changes nothing: what it writes to
    see whether that works is rolled back. Keep the object to have rates over the time between two looks. Not for use by
    two tasks at once.
    """

    def __init__(
        self, source: HasPool | SessionPool | DatabaseSettings, *, settings: HealthSettings | None = None
    ) -> None:
        """
        Args:
            settings: the thresholds; by default from the environment.

        Raises:
            SettingsError: a threshold is wrong.
            PoolClosedError: the client is not open.
        """
        self.settings = settings or HealthSettings.load()
        self._pool: SessionPool | None = None
        if isinstance(source, DatabaseSettings):
            self._database = source
        else:
            self._pool = source if isinstance(source, SessionPool) else source.pool
            self._database = self._pool.settings
        self._earlier: dict[str, Rows] = {}
        self._earlier_at = 0.0

    async def check(self, only: Collection[str] | None = None) -> HealthReport:
        """Look, within `timeout_s`. An unreachable server is reported, not raised; nothing is tried again.

        Args:
            only: names of checks; the server itself is always looked at.

        Raises:
            SettingsError: the address is wrong, or there is no check of this name.
        """
        if unknown := set(only or ()) - set(CHECK_NAMES):
            raise SettingsError(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECK_NAMES)}")
        wanted = [check for check in CHECKS if check.name in only] if only else list(CHECKS)
        if self._pool is None and not only:
            wanted.remove(POOL)
        async with Looker(self._database, self.settings) as looker:
            context, first = await self._look_at_server(looker)
            results = [first, *await self._look_at(looker, context, [one for one in wanted if one is not SERVER])]
        is_seen = first.state is not State.CRITICAL or first.value is not None
        edition = ("timescaledb" if context.has_timescaledb else "postgresql") if is_seen else None
        lost = LOST_WITHOUT_TIMESCALEDB if edition == "postgresql" else ()
        return HealthReport(datetime.now(UTC), edition, tuple(results), lost)

    async def benchmark_writes(self, rows: int = 100_000, *, deadline_s: float = 60.0) -> WriteBenchmark:
        """How many rows a second the database takes, on a copy of a table that is gone afterwards.

        Raises:
            ValueError: more than a million rows, or none.
            DatabaseError: the server said no, or did not answer in time.
        """
        limits = {
            "database_command_timeout_s": deadline_s,
            "database_statement_timeout_ms": max(1, int(deadline_s * 1000)),
            "database_idle_in_transaction_timeout_ms": max(1, int(deadline_s * 1000)),
        }
        database = self._database.model_copy(update=limits)
        async with await Session.connect(database, application_name="arc-eval-db health") as session:
            return await benchmark_on(session, rows, deadline_s)

    async def _look_at_server(self, looker: Looker) -> tuple[Context, CheckResult]:
        context = Context(self.settings, self._pool.statistics if self._pool else None)
        try:
            await looker.look(SERVER, context)  # to be connected
            begun = time.monotonic()
            (row,) = await looker.look(SERVER, context)
        except SettingsError:
            raise
        except ArcEvalError as error:
            judged = replace(judge_error(SERVER, context, error), state=State.CRITICAL)
            return context, _result(SERVER, judged)
        latency_ms = (time.monotonic() - begun) * 1000
        context = replace(
            context,
            has_timescaledb=row["has_timescaledb"],
            has_statements=row["has_statements"],
            user_name=row["user_name"],
            may_write=row["may_write"],
        )
        return context, _result(SERVER, SERVER.judge([{**row, "latency_ms": latency_ms}], context))

    async def _look_at(self, looker: Looker, context: Context, checks: Sequence[Check]) -> list[CheckResult]:
        rates = [check for check in checks if check.is_rate]
        if any(check.name not in self._earlier for check in rates):
            self._earlier = await self._seen(looker, context, rates)
            self._earlier_at = time.monotonic()
        context = replace(context, earlier=self._earlier)
        results = {check.name: await self._judged(looker, context, check) for check in checks if not check.is_rate}
        if rates and self._earlier:
            await asyncio.sleep(max(0.0, self._earlier_at + self.settings.sample_s - time.monotonic()))
        now: dict[str, Rows] = {}
        for check in rates:
            results[check.name] = await self._judged(looker, context, check, now)
        self._earlier, self._earlier_at = now, time.monotonic()
        return [results[check.name] for check in checks]

    async def _seen(self, looker: Looker, context: Context, checks: Sequence[Check]) -> dict[str, Rows]:
        seen = {}
        for check in checks:
            try:
                seen[check.name] = await looker.look(check, context)
            except ArcEvalError:
                continue  # the second look says why
        return seen

    async def _judged(
        self, looker: Looker, context: Context, check: Check, seen: dict[str, Rows] | None = None
    ) -> CheckResult:
        if context.lacks(check.needs):
            return _result(check, judge_lack(check))
        try:
            rows = await looker.look(check, context)
        except ArcEvalError as error:
            return _result(check, judge_error(check, context, error))
        if seen is not None:
            seen[check.name] = rows
            if check.name not in context.earlier:
                return _result(check, Judgement(State.UNKNOWN, None, "there was no look before"))
        return _result(check, check.judge(rows, context))


def _result(check: Check, judged: Judgement) -> CheckResult:
    next_step = judged.next_step
    if next_step is None:
        next_step = "" if judged.state is State.OK else check.next_step
    value = None if judged.value is None else float(judged.value)
    return CheckResult(check.name, judged.state, value, check.unit, judged.found, next_step)
