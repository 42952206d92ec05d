"""A message to everybody who is to be told, to see whether it gets there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from arc_eval_db.consumers.alerts.alert import Alert, Message
from arc_eval_db.consumers.alerts.receivers import MessageRefusedError, Receiver, ReceiverUnavailableError
from arc_eval_db.consumers.alerts.rule import Severity
from arc_eval_db.consumers.alerts.settings import AlertSettings
from arc_eval_db.consumers.alerts.standings import Change


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a message to one receiver."""

    receiver: str
    error: str | None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver took it."""
        return self.error is None


async def try_receivers(receivers: Sequence[Receiver], settings: AlertSettings, now: float) -> list[Trial]:
    """Send each the same message, once. It raises nothing that a receiver does.

    Args:
        now: Unix time.
    """
    summary = "this is a test: nothing is the matter"
    alert = Alert("ArcEvalTest", Severity.WARNING, (), 0, summary, "nothing is to be done", now)
    message = Message(Change.OPENED, alert, settings.source or socket.gethostname(), is_test=True)
    return await asyncio.gather(*(_try(receiver, message) for receiver in receivers))


async def _try(receiver: Receiver, message: Message) -> Trial:
    try:
        await receiver.deliver(message)
    except (ReceiverUnavailableError, MessageRefusedError) as error:
        return Trial(receiver.name, str(error))
    return Trial(receiver.name, None)
