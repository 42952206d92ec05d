"""Evaluates the rules again and again over a registry's metrics, and tells the receivers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import structlog
from prometheus_client import CollectorRegistry

from arc_eval_db.consumers.alerts.alert import Alert, Message
from arc_eval_db.consumers.alerts.delivering import Delivery
from arc_eval_db.consumers.alerts.evaluating import Evaluator, Samples
from arc_eval_db.consumers.alerts.measures import Sample, labels_of
from arc_eval_db.consumers.alerts.metrics import AlertMetrics
from arc_eval_db.consumers.alerts.receiver_list import receivers_of
from arc_eval_db.consumers.alerts.receivers import Receiver
from arc_eval_db.consumers.alerts.rule import Rule
from arc_eval_db.consumers.alerts.rules import alert_rules
from arc_eval_db.consumers.alerts.settings import AlertSettings
from arc_eval_db.consumers.alerts.standings import Change
from arc_eval_db.consumers.alerts.state_file import AlertState, StateFile, StateUnreadableError

_RECENT_MAX = 100

# A disk that takes longer holds no message up.
_SAVE_S = 5.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.alerts")


@dataclass(frozen=True, slots=True)
class Alerts:
    """What a page shows."""

    open: tuple[Alert, ...]
    """The oldest first."""
    recent: tuple[Alert, ...]
    """Resolved, the latest first; at most a hundred."""


class AlertRunner:
    """Alerts of one process, from the metrics in its registry. Use with `async with`; it belongs to one event loop.

    Entering restores what was open when the process before it ended; leaving waits for messages for a moment, and keeps
    the rest in the state file where there is one. Once entered it raises nothing: what fails is logged and counted.

    Example:
        async with AlertRunner(AlertSettings.load(), monitor.metrics.registry, name="dashboard") as runner:
            ...
            print(runner.alerts.open)
    """

    def __init__(
        self,
        settings: AlertSettings,
        registry: CollectorRegistry,
        *,
        name: str,
        rules: Sequence[Rule] | None = None,
        receivers: Sequence[Receiver] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            registry: whose metrics the rules look at; the runner's own go there too.
            name: the kind of process, such as "supervisor": what its state file is called.
            rules: instead of all of the list. Those whose metric is not in the registry never open.
            receivers: instead of those of the settings.
            clock: Unix time.

        Raises:
            ValueError: the registry has a runner already.
        """
        self.metrics = AlertMetrics(registry)
        self._settings = settings
        self._registry = registry
        self._name = name
        self._clock = clock
        self._source = settings.source or socket.gethostname()
        self._rules = tuple(alert_rules(settings) if rules is None else rules)
        self._evaluator = Evaluator(self._rules, alerts_max=settings.alerts_max)
        self._wanted = {rule.measure.metric for rule in self._rules}
        self._recent: deque[Alert] = deque(maxlen=_RECENT_MAX)
        self._unsaved = asyncio.Event()
        self._deliveries = [
            self._delivery(each) for each in (receivers_of(settings) if receivers is None else receivers)
        ]
        self._file: StateFile | None = None
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="arc-eval-alerts")
        self._delivering: list[asyncio.Task[None]] = []
        self._working: list[asyncio.Task[None]] = []

    def _delivery(self, receiver: Receiver) -> Delivery:
        settings = self._settings
        return Delivery(
            receiver,
            self.metrics,
            # An alert that is open and one that was, at the most: see Delivery.
            messages_max=2 * settings.alerts_max + 2,
            retry_s_max=settings.retry_s_max,
            give_up_s=settings.give_up_s,
            on_change=self._unsaved.set,
            clock=self._clock,
        )

    @property
    def alerts(self) -> Alerts:
        """What is open, and what was lately."""
        return Alerts(self._evaluator.open, tuple(reversed(self._recent)))

    async def __aenter__(self) -> Self:
        """
        Raises:
            SettingsError: the state's directory cannot be used.
        """
        if self._settings.state_dir is not None and self._settings.interval_s:
            self._file = StateFile(self._settings.state_dir, self._name)
            self._restore(self._read(self._file))
        self._delivering = [asyncio.create_task(delivery.run()) for delivery in self._deliveries]
        if self._settings.interval_s:
            self._working = [asyncio.create_task(self._evaluate_always()), asyncio.create_task(self._save_always())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._working:
            task.cancel()
        if self._working:
            await asyncio.wait(self._working)
        if self._deliveries:
            await asyncio.gather(*(each.drained(self._settings.drain_s) for each in self._deliveries))
        for task in self._delivering:
            task.cancel()
        if self._delivering:
            await asyncio.wait(self._delivering)
        if self._file is not None:
            await self._save()
            self._file.close()
        self._disk.shutdown(wait=False)

    async def run(self) -> None:
        """The same as one coroutine that ends when it is cancelled."""
        async with self:
            await asyncio.Event().wait()

    async def evaluate(self) -> list[Message]:
        """Evaluate once, now, and hand what changed to the receivers. It is done at intervals without this.

        What changed is in the state file before anybody is told: a process that is killed in between has not told
        anybody of an alert that its successor does not know.
        """
        now = self._clock()
        changes = self._evaluator.evaluate(self._samples(), now)
        messages = [Message(change, alert, self._source) for change, alert in changes]
        for message in messages:
            self._say(message)
        self._show(now)
        try:
            if messages:
                await self._save(unsent=messages)
        finally:  # cancelled or not, the evaluator has taken note of them
            for delivery in self._deliveries:
                delivery.put(messages)
        return messages

    async def _evaluate_always(self) -> None:
        while True:
            try:
                await self.evaluate()
            except Exception as error:
                self.metrics.count("arc_eval_alerts_evaluations_failed_total")
                log.exception("alerts_evaluation_failed", error=type(error).__name__)
            await asyncio.sleep(self._settings.interval_s)

    def _samples(self) -> Samples:
        found: dict[str, list[Sample]] = {}
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name in self._wanted:
                    found.setdefault(sample.name, []).append(Sample(labels_of(sample.labels), sample.value))
        return found

    def _say(self, message: Message) -> None:
        alert = message.alert
        self.metrics.count("arc_eval_alerts_changes_total", rule=alert.rule, change=message.change.value)
        fields = {
            "rule": alert.rule,
            "labels": dict(alert.labels),
            "value": alert.value,
            "summary": alert.summary,
            "message": message.id,
        }
        if message.change is Change.OPENED:
            log.warning("alert_opened", **fields, severity=alert.severity.value, next_step=alert.next_step)
        else:
            self._recent.append(alert)
            log.info("alert_resolved", **fields, seconds=message.duration_s)

    def _show(self, now: float) -> None:
        numbers = {(rule.name, rule.severity.value): 0 for rule in self._rules}
        for alert in self._evaluator.open:
            numbers[alert.rule, alert.severity.value] += 1
        for (rule, severity), number in numbers.items():
            self.metrics.set("arc_eval_alerts_open", number, rule=rule, severity=severity)
        self.metrics.set("arc_eval_alerts_untracked", self._evaluator.untracked)
        self.metrics.set("arc_eval_alerts_evaluated_timestamp_seconds", now)

    def _read(self, file: StateFile) -> AlertState:
        try:
            return file.read()
        except (StateUnreadableError, OSError) as error:
            log.exception("alert_state_unreadable", error=str(error))
            return AlertState()

    def _restore(self, state: AlertState) -> None:
        self._evaluator.restore(state.tracked, self._clock())
        self._recent.extend(state.recent)
        for delivery in self._deliveries:
            delivery.put(state.waiting.get(delivery.receiver.name, ()))
        nobody = set(state.waiting) - {delivery.receiver.name for delivery in self._deliveries}
        for name in (name for name in sorted(nobody) if state.waiting[name]):
            log.warning("alert_messages_without_receiver", receiver=name, messages=len(state.waiting[name]))
        log.info("alert_state_restored", open=len(self._evaluator.open))

    async def _save_always(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            await self._save()

    async def _save(self, unsent: Sequence[Message] = ()) -> None:
        """Write the state file, if there is one, and wait for it for a moment."""
        if self._file is None:
            return
        waiting = {each.receiver.name: (*each.waiting, *unsent) for each in self._deliveries}
        content = AlertState(self._evaluator.tracked, waiting, tuple(self._recent)).to_bytes()
        try:
            # One thread, so that what is written last is what was handed over last.
            writing = asyncio.get_running_loop().run_in_executor(self._disk, self._file.write, content)
            async with asyncio.timeout(_SAVE_S):
                await asyncio.shield(writing)
        except OSError as error:  # a time-out is one too
            self.metrics.count("arc_eval_alerts_state_writes_failed_total")
            log.exception("alert_state_not_written", error=type(error).__name__)
