"""What a worker says of itself beside the offsets that it commits to Kafka, where the database cannot be in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

NOTE_AGE_S_MAX = 60.0
"""An older note says nothing any more: a worker repeats it every few seconds, also while it is paused."""


class Activity(StrEnum):
    """What a worker is doing with a partition."""

    CONSUMING = "consuming"
    PAUSED = "paused"
    """The breaker around the database is open: the worker stays in its group and reads nothing."""


@dataclass(frozen=True, slots=True)
class WorkerNote:
    """One worker on one partition, at one moment."""

    activity: Activity
    at_s: float
    """Unix time, by the worker's clock."""
    broker_to_consumer_s: float | None = None
    """Of the newest record of the last batch: from Kafka's time to its arrival in the worker."""
    consumer_to_commit_s: float | None = None
    """Of the last batch: from there to the commit in the database."""

    def encode(self) -> str:
        """Short: Kafka keeps it in memory."""
        document = {
            "v": 1,
            "activity": self.activity.value,
            "at": round(self.at_s, 3),
            "received_s": self.broker_to_consumer_s,
            "committed_s": self.consumer_to_commit_s,
        }
        return orjson.dumps({key: value for key, value in document.items() if value is not None}).decode()


def decode_note(text: str) -> WorkerNote | None:
    """What `encode` made; None for anything else, such as what another version or another tool has left there."""
    try:
        document = orjson.loads(text)
        return WorkerNote(
            Activity(document["activity"]),
            float(document["at"]),
            _seconds(document.get("received_s")),
            _seconds(document.get("committed_s")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _seconds(value: Any) -> float | None:
    seconds = None if value is None else float(value)
    return seconds if seconds is None or math.isfinite(seconds) else None
