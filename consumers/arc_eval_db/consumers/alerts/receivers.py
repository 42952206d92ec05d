"""Those who are told of alerts. The seam, and what can go wrong at it."""

from __future__ import annotations

from typing import Protocol

from arc_eval_db.consumers.alerts.alert import Message
from arc_eval_db.errors import PoisonError, RetryableError


class ReceiverUnavailableError(RetryableError):
    """The receiver did not take the message for a reason that may pass; it may have got it all the same."""


class MessageRefusedError(PoisonError):
    """The receiver does not want this message, however often it is sent."""


class Receiver(Protocol):
    """Takes messages, one at a time.

    `deliver` may be called again with the same message, whose `id` is the same. It keeps the deadline that the receiver
    was made with, and can be cancelled. Neither its errors nor its `name` hold anything secret.
    """

    name: str
    """What metrics, logs and the state file call it."""

    async def deliver(self, message: Message) -> None:
        """Return once the message has been taken.

        Raises:
            ReceiverUnavailableError, MessageRefusedError: it has not.
        """
        ...


def plain(text: str, *, length_max: int = 1_000) -> str:
    """One line without control characters, for headers and the like."""
    line = "".join(one if one.isprintable() else " " for one in text)
    return line if len(line) <= length_max else line[: length_max - 1] + "…"
