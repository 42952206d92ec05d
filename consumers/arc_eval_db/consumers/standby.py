"""Tells a worker that has nothing to do from one that its group has forgotten."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from arc_eval_db.writer import TopicPartition

_PATIENCE_S_MAX = 600.0

Offsets = Mapping[TopicPartition, int]


class StandbyCheck:
    """For a worker without partitions. In a group of more workers than partitions that is as it should be.

    But aiokafka can also lose its group without raising anything (aio-libs/aiokafka#1154). What tells them apart is
    the group: where it is behind and stands still, nobody reads for it.
    """

    def __init__(self, patience_s: float) -> None:
        """
        Args:
            patience_s: how long the group may be behind and stand still. Where joining anew did not help, as with a
                halted partition, it is twice as long the next time: each time the others have to pause.
        """
        self._patience_s_min = patience_s
        self._patience_s = patience_s
        self._since: float | None = None
        self._seen: Offsets | None = None

    async def forgotten(
        self, assigned: bool, stored: Callable[[], Awaitable[Offsets]], ends: Callable[[], Awaitable[Offsets]]
    ) -> bool:
        """Whether the worker had better join the group anew. Asks the database and Kafka once in `patience_s`.

        Args:
            assigned: whether the worker has any partition at the moment.
            stored: where the group stands.
            ends: where the log ends.
        """
        now = time.monotonic()
        if assigned:
            self._since = self._seen = None
            self._patience_s = self._patience_s_min
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self._patience_s:
            return False
        self._since = now
        before, self._seen = self._seen, await stored()
        if before is None or before != self._seen:
            return False
        if all(self._seen.get(partition, 0) >= end for partition, end in (await ends()).items()):
            return False
        self._seen = None
        self._patience_s = min(2 * self._patience_s, max(self._patience_s_min, _PATIENCE_S_MAX))
        return True
