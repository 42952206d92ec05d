"""Messages on their way to one receiver: in order, again and again if need be, and bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from arc_eval_db.consumers.alerts.alert import Message
from arc_eval_db.consumers.alerts.metrics import AlertMetrics
from arc_eval_db.consumers.alerts.receivers import MessageRefusedError, Receiver, ReceiverUnavailableError
from arc_eval_db.consumers.alerts.standings import Change
from arc_eval_db.retries import Backoff

_BACKOFF_S_MIN = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.alerts")


class Delivery:
    """The queue of one receiver, and what empties it.

    Messages leave in the order in which they came, so that "open" is there before "resolved". What a receiver does not
    take is logged and counted, and never raised.
    """

    def __init__(
        self,
        receiver: Receiver,
        metrics: AlertMetrics,
        *,
        messages_max: int,
        retry_s_max: float,
        give_up_s: float,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            messages_max: how many wait at the most. With twice as many as there are alerts at one time, and a few more,
                nothing else is dropped than both messages of an alert that came and went while its receiver was away.
            give_up_s: how old a message may become.
            on_change: called when a message has left the queue.
            clock: Unix time.
        """
        self.receiver = receiver
        self._metrics = metrics
        self._messages_max = messages_max
        self._give_up_s = give_up_s
        self._on_change = on_change
        self._clock = clock
        self._backoff = Backoff(min(_BACKOFF_S_MIN, retry_s_max), retry_s_max, share_min=0.5)
        self._queue: list[Message] = []
        self._in_hand: Message | None = None
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        for name in ("arc_eval_alerts_sent_total", "arc_eval_alerts_attempts_failed_total"):
            metrics.count(name, 0, receiver=receiver.name)
        self._show()

    @property
    def waiting(self) -> tuple[Message, ...]:
        """What the receiver has not taken yet, in order."""
        in_hand = () if self._in_hand is None else (self._in_hand,)
        return (*in_hand, *self._queue)

    def put(self, messages: Iterable[Message]) -> None:
        """Add messages to the queue. Never waits."""
        for message in messages:
            if len(self._queue) >= self._messages_max:
                self._make_room()
            self._queue.append(message)
        if self._queue:
            self._arrived.set()
            self._emptied.clear()
        self._show()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._arrived.wait()
            self._in_hand = self._queue.pop(0)
            try:
                await self._deliver(self._in_hand)
            except asyncio.CancelledError:
                self._queue.insert(0, self._in_hand)
                raise
            finally:
                self._in_hand = None
                if not self._queue:
                    self._arrived.clear()
                    self._emptied.set()
                self._show()
            self._on_change()

    async def drained(self, timeout_s: float) -> bool:
        """Whether nothing waits any more, within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver(self, message: Message) -> None:
        """Until it is taken, refused, or too old."""
        name = self.receiver.name
        self._backoff.reset()
        while True:
            try:
                await self.receiver.deliver(message)
            except MessageRefusedError as error:
                self._drop(message, "refused", str(error))
                return
            except ReceiverUnavailableError as error:
                self._metrics.count("arc_eval_alerts_attempts_failed_total", receiver=name)
                cause = str(error)
            except Exception as error:  # noqa: BLE001 - alerting must go on, whatever a receiver raises
                self._metrics.count("arc_eval_alerts_attempts_failed_total", receiver=name)
                cause = type(error).__name__
            else:
                self._metrics.count("arc_eval_alerts_sent_total", receiver=name)
                log.info("alert_message_sent", receiver=name, message=message.id)
                return
            pause_s = self._backoff.next()
            moment = message.alert.resolved_at or message.alert.opened_at
            if self._clock() + pause_s - moment > self._give_up_s:
                self._drop(message, "expired", cause)
                return
            log.warning("alert_message_failed", receiver=name, error=cause, again_in_s=round(pause_s, 2))
            await asyncio.sleep(pause_s)

    def _make_room(self) -> None:
        """Drop what tells nobody anything: both messages of an alert that came and went meanwhile."""
        opened: dict[str, int] = {}
        gone: set[int] = set()
        for index, message in enumerate(self._queue):
            if message.change is Change.OPENED:
                opened[message.key] = index
            elif message.key in opened:
                gone |= {opened[message.key], index}
        for index in sorted(gone, reverse=True):
            self._drop(self._queue.pop(index), "superseded")
        while len(self._queue) >= self._messages_max:
            self._drop(self._queue.pop(0), "overflow")

    def _drop(self, message: Message, reason: str, error: str | None = None) -> None:
        self._metrics.count("arc_eval_alerts_dropped_total", receiver=self.receiver.name, reason=reason)
        log.error(
            "alert_message_dropped",
            receiver=self.receiver.name,
            reason=reason,
            error=error,
            rule=message.alert.rule,
            change=message.change.value,
            message=message.id,
        )

    def _show(self) -> None:
        self._metrics.set("arc_eval_alerts_waiting", len(self.waiting), receiver=self.receiver.name)
