"""From facts to a state, a reason in words, and what to do next. Pure: no clock, no connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from arc_eval_db.consumers.lag.durations import in_words
from arc_eval_db.consumers.lag.rates import Rates
from arc_eval_db.consumers.lag.settings import LagSettings

_HALF = 0.5


class LagState(StrEnum):
    """How a group does on a partition, the best first."""

    OK = "ok"
    REPLAYING = "replaying"
    """As `ok` or `lagging`, while a replay reads this topic or writes to it."""
    LAGGING = "lagging"
    REWOUND = "rewound"
    """It was sent back, and is not yet where it was."""
    PAUSED = "paused"
    """Its worker does not get through to the database: the breaker is open."""
    STOPPED = "stopped"
    """There is something to read, and nobody to read it."""
    STALLED = "stalled"
    """There is something to read and somebody who has it, and nothing moves."""
    LOSING_DATA = "losing_data"
    """Retention has deleted records unread, or is about to."""


def worst(states: Iterable[LagState]) -> LagState:
    """The one to look at first; ok for none."""
    order = list(LagState)
    return max(states, key=order.index, default=LagState.OK)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a group on one partition."""

    has_begun: bool
    """The group has a stored offset."""
    unread_messages: int
    lost_messages: int = 0
    lag_s: float | None = None
    """Since Kafka got the oldest unread record."""
    unmoved_s: float | None = None
    """Since the stored offset last moved; None where it is not known."""
    is_owned: bool | None = None
    """Whether some worker has the partition; None where Kafka does not say."""
    is_paused: bool = False
    """Its worker says that the breaker is open."""
    another_log: str | None = None
    """What speaks for a topic that was made anew, in words."""
    rewound_by: int = 0
    rates: Rates = field(default_factory=Rates)
    retention_share: float | None = None
    overtaken_in_s: float | None = None
    replays: tuple[str, ...] = ()
    """Running replays of the topic: what each is, in words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, why, and what to do; nothing where nothing is to be done."""

    state: LagState
    reason: str
    next_step: str | None = None


def judge(facts: Facts, limits: LagSettings) -> Verdict:
    """The worst that the facts say."""
    return (
        _another_log(facts)
        or _losing(facts, limits)
        or _paused(facts)
        or _nothing_to_read(facts)
        or _stopped(facts)
        or _stalled(facts, limits)
        or _rewound(facts)
        or _behind(facts, limits)
    )


def _another_log(facts: Facts) -> Verdict | None:
    if facts.another_log is None:
        return None
    return Verdict(
        LagState.STALLED, f"halted: {facts.another_log}", "look at the topic, then run: arc-eval-db topics accept"
    )


def _losing(facts: Facts, limits: LagSettings) -> Verdict | None:
    faster = "run more workers, or let the topic keep more: kafka-configs.sh --alter --add-config retention.ms=…"
    if facts.lost_messages:
        lost = f"retention has deleted {facts.lost_messages:,} messages that the group never read"
        return Verdict(LagState.LOSING_DATA, lost, faster)
    if facts.retention_share is None or not facts.unread_messages:
        return None
    used = f"the oldest unread record has used up {facts.retention_share:.0%} of the topic's retention"
    if facts.retention_share >= limits.retention_share_max:
        return Verdict(LagState.LOSING_DATA, used, faster)
    soon = facts.overtaken_in_s is not None and facts.overtaken_in_s < limits.overtaken_s_min
    if soon and facts.retention_share >= _HALF:
        overtaken = f"{used}, and it will be deleted in {in_words(facts.overtaken_in_s)} at these rates"
        return Verdict(LagState.LOSING_DATA, overtaken, faster)
    return None


def _paused(facts: Facts) -> Verdict | None:
    if not facts.is_paused or not facts.is_owned:
        return None
    return Verdict(
        LagState.PAUSED,
        "the worker does not get through to the database; its breaker is open, and it goes on by itself",
        "arc-eval-db doctor --database, from where the worker runs",
    )


def _nothing_to_read(facts: Facts) -> Verdict | None:
    if facts.unread_messages:
        return None
    replaying = _replaying(facts, "nothing to read")
    idle = "nothing to read" if facts.is_owned is not False else "nothing to read; no worker has the partition"
    return replaying or Verdict(LagState.OK, idle)


def _stopped(facts: Facts) -> Verdict | None:
    if facts.is_owned is not False:
        return None
    waiting = "" if facts.lag_s is None else f", and an event has waited for {in_words(facts.lag_s)}"
    begun = "no worker of the group has the partition" if facts.has_begun else "the group has never consumed it"
    return Verdict(LagState.STOPPED, begun + waiting, "arc-eval-db consume")


def _stalled(facts: Facts, limits: LagSettings) -> Verdict | None:
    # The event too must have waited: the first one after a quiet night finds an offset that has not moved for hours.
    if facts.unmoved_s is None:
        return None
    waited_s = facts.unmoved_s if facts.lag_s is None else min(facts.lag_s, facts.unmoved_s)
    if waited_s < limits.stalled_s:
        return None
    who = "a worker has the partition" if facts.is_owned else "a worker may have the partition"
    since = f"and has read nothing for {in_words(waited_s)}, though there is something to read"
    return Verdict(LagState.STALLED, f"{who} {since}", "look at the workers' log; a restart loses and repeats nothing")


def _rewound(facts: Facts) -> Verdict | None:
    if not facts.rewound_by:
        return None
    again = f"the group was sent back, and has {facts.rewound_by:,} messages to read again"
    return Verdict(LagState.REWOUND, again + _outlook(facts))


def _behind(facts: Facts, limits: LagSettings) -> Verdict:
    age = "of unknown age" if facts.lag_s is None else f"{in_words(facts.lag_s)} old"
    behind = f"the oldest unread event is {age}{_outlook(facts)}"
    if replaying := _replaying(facts, behind):
        return replaying
    if facts.lag_s is not None and facts.lag_s <= limits.lagging_s:
        return Verdict(LagState.OK, behind)
    growing = facts.rates.gain_per_s is not None and facts.rates.gain_per_s <= 0
    return Verdict(LagState.LAGGING, behind, "run more workers: arc-eval-db consume --workers N" if growing else None)


def _replaying(facts: Facts, lag: str) -> Verdict | None:
    if not facts.replays:
        return None
    return Verdict(LagState.REPLAYING, f"{', '.join(facts.replays)}; the group itself: {lag}")


def _outlook(facts: Facts) -> str:
    catch_up_s = facts.rates.catch_up_s(facts.unread_messages)
    if catch_up_s is not None:
        return f"; caught up in {in_words(catch_up_s)} at these rates"
    gain = facts.rates.gain_per_s
    return "" if gain is None else "; not catching up" if gain == 0 else f"; falls behind by {-gain:,.1f} a second"
