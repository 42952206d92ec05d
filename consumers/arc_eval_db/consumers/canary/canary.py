"""Sends one small execution through the whole path, again and again, and says whether it arrived."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Self

import structlog

from arc_eval_db.consumers.canary.arrival import Arrival, ArrivalWatch
from arc_eval_db.consumers.canary.diagnosis import Diagnosis, Finding, of_database_error, of_failure
from arc_eval_db.consumers.canary.emission import Emission, EmittedEvent
from arc_eval_db.consumers.canary.metrics import CanaryMetrics
from arc_eval_db.consumers.canary.report import CanaryEvent, CanaryReport, CanaryResult
from arc_eval_db.consumers.canary.settings import CanarySettings
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseError, DatabaseSettings, Session
from arc_eval_db.settings import KafkaSettings

# Several canaries that were started together do not stay together.
_JITTER_SHARE = 0.1

# Connecting, looking for the reason and letting go have deadlines of their own; all of them together end before this.
_GRACE_S = 40.0
_CONNECT_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


class Canary:
    """Sends one execution at a time, and looks for its rows. Whatever goes wrong is a report, and never an exception.

    Its login must be able to read: `arc_eval_reader`. It deletes nothing. Several may run at once. With `async with` it
    runs beside whatever the block does:

        async with Canary(KafkaSettings.from_environment(os.environ), DatabaseSettings.load()) as canary:
            ...  # canary.last is the last report
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        settings: CanarySettings | None = None,
        *,
        group: str | None = None,
        metrics: CanaryMetrics | None = None,
    ) -> None:
        """
        Args:
            settings: by default from the environment.
            group: the consumer group whose lag explains what does not arrive; by default the setting of the workers.
            metrics: in a registry of the caller's, if they are to be served with others.

        Raises:
            SettingsError: a variable is wrong.
        """
        self._kafka = kafka
        self.settings = settings or CanarySettings.load()
        wait_s = min(self.settings.timeout_s, _CONNECT_TIMEOUT_S)
        self._database = database.model_copy(
            update={
                "database_connect_timeout_s": min(database.database_connect_timeout_s, wait_s),
                "database_command_timeout_s": min(database.database_command_timeout_s, wait_s),
            }
        )
        group = group or ConsumerSettings.load().group
        self._diagnosis = Diagnosis(kafka, self._database, group, self.settings.timeout_s)
        self.metrics = metrics or CanaryMetrics()
        self.last: CanaryReport | None = None
        """The last run's; None before the first has ended."""
        self._random = random.Random()  # noqa: S311 - spreads runs, guards nothing
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._stopping.clear()
        self._running = asyncio.create_task(self.run(), name="canary")
        return self

    async def __aexit__(self, *_: object) -> None:
        running, self._running = self._running, None
        assert running is not None
        self.stop()
        running.cancel()
        await asyncio.wait({running}, timeout=_STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End `run` after the run in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until stopped or cancelled: at once, and then at the interval."""
        async for _ in self.reports():
            continue

    async def reports(self) -> AsyncIterator[CanaryReport]:
        """The same, for those who want to see each run."""
        while not self._stopping.is_set():
            began = time.monotonic()
            yield await self.run_once()
            pause_s = self.settings.interval_s * self._random.uniform(1 - _JITTER_SHARE, 1 + _JITTER_SHARE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(0.0, began + pause_s - time.monotonic()))

    async def run_once(self) -> CanaryReport:
        """Send one execution, and wait until it has arrived, or is known not to."""
        started_at = datetime.now(UTC)
        try:
            async with asyncio.timeout(self.settings.timeout_s + _GRACE_S):
                report = await self._run(started_at)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not worth the host of the canary
            report = _report(started_at, of_failure(error), None, None)
        self.last = report
        self.metrics.add(report)
        if report.has_arrived:
            log.info("canary_arrived", execution_id=str(report.execution_id), seconds=report.seconds)
        else:
            log.warning(
                "canary_not_arrived", result=report.result.value, reason=report.reason, next_step=report.next_step
            )
        return report

    async def _run(self, started_at: datetime) -> CanaryReport:
        emission = Emission(self._kafka, self.settings.timeout_s)
        try:
            session = await Session.connect(self._database, application_name="arc-eval-db canary")
        except DatabaseError as error:
            return _report(started_at, of_database_error(error), emission, None)
        watch = ArrivalWatch(session, emission)
        try:
            finding = await self._watched(emission, watch)
        except BaseException:
            session.terminate()  # it may be in the middle of a look
            raise
        await session.close()
        return _report(started_at, finding, emission, watch.arrival)

    async def _watched(self, emission: Emission, watch: ArrivalWatch) -> Finding:
        emitting: asyncio.Task[None] | None = None
        try:
            await watch.look()  # what cannot be looked at is not sent; and the connection is warm
            emitting = asyncio.create_task(emission.run())
            arrival = await watch.until_whole(time.monotonic() + self.settings.timeout_s)
            if not arrival.is_whole(emission.events):
                return await self._diagnosis.of(emission, watch)
            await emitting  # Kafka's word may come after the row
        except DatabaseError as error:
            return of_database_error(error)
        finally:
            if emitting is not None:
                emitting.cancel()
                await asyncio.wait({emitting}, timeout=_STOP_TIMEOUT_S)
                await emission.close()
        wrong = watch.not_as_said()
        return Finding(CanaryResult.WRONG, wrong, "arc-eval-db replay TOPIC --verify") if wrong else _ARRIVED


_ARRIVED = Finding(CanaryResult.ARRIVED)


def _report(started_at: datetime, finding: Finding, emission: Emission | None, arrival: Arrival | None) -> CanaryReport:
    seen_at = arrival.seen_at if arrival else {}
    events = tuple(_event(event, seen_at.get(event.sequence)) for event in (emission.events if emission else ()))
    seconds = None
    if finding.result is CanaryResult.ARRIVED:
        seconds = max(event.visible_s for event in events if event.visible_s is not None)
    execution_id = emission.execution_id if emission else None
    return CanaryReport(started_at, execution_id, finding.result, seconds, events, finding.reason, finding.next_step)


def _event(event: EmittedEvent, seen_at: float | None) -> CanaryEvent:
    acknowledged_at = event.acknowledged_at
    return CanaryEvent(
        event.type,
        event.relation,
        event.event_id,
        None if acknowledged_at is None else acknowledged_at - event.emitted_at,
        None if seen_at is None else seen_at - event.emitted_at,
    )
