"""How close retention is to what a group has not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arc_eval_db.consumers.lag.measuring import PartitionLag
from arc_eval_db.consumers.lag.rates import Rates


@dataclass(frozen=True, slots=True)
class Retention:
    """What a topic keeps; None for no limit, or where the login may not read it."""

    seconds: float | None = None
    size_bytes: int | None = None


def retention_of(settings: Mapping[str, str] | None) -> Retention:
    """From a topic's settings. A topic that is compacted and not deleted from keeps everything."""
    if not settings or "delete" not in settings.get("cleanup.policy", "delete"):
        return Retention()
    milliseconds = int(settings.get("retention.ms") or -1)
    size_bytes = int(settings.get("retention.bytes") or -1)
    return Retention(
        milliseconds / 1000 if milliseconds >= 0 else None,
        size_bytes if size_bytes >= 0 else None,
    )


def share_used(retention: Retention, lag: PartitionLag, unread_messages: int, lag_s: float | None) -> float | None:
    """How much of the retention the oldest unread record has used up: at 1 it may be deleted. None: not known.

    By size it is a share of what the log holds, as if all records were of one size, and only once the log has lost
    something: before that it is not known to be full.
    """
    if unread_messages == 0:
        return 0.0
    shares = []
    if retention.seconds and lag_s is not None:
        shares.append(lag_s / retention.seconds)
    if retention.size_bytes is not None and lag.log_start > 0:
        shares.append(lag.lag_messages / (lag.log_end - lag.log_start))
    return max(shares, default=None)


def overtaken_in_s(retention: Retention, lag_s: float | None, rates: Rates) -> float | None:
    """Seconds until records are deleted unread, if the rates stay; None where that will not happen or is not known.

    While the group takes out a share of what comes in, the oldest unread record gets older by the rest of each second.
    """
    if retention.seconds is None or not lag_s or rates.in_per_s is None or rates.out_per_s is None:
        return None
    if rates.out_per_s >= rates.in_per_s > 0 or (rates.out_per_s > 0 and rates.in_per_s <= 0):
        return None
    ageing = 1.0 if rates.out_per_s <= 0 else 1 - rates.out_per_s / rates.in_per_s
    return max(0.0, retention.seconds - lag_s) / ageing
