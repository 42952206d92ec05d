"""What a worker and a supervisor answer to probes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from arc_eval_db.consumers.monitoring.answers import Answer, json_answer
from arc_eval_db.consumers.pulse import Pulse
from arc_eval_db.consumers.supervision import SupervisedWorker

_UNAVAILABLE = 503


class WorkerProbe:
    """One worker, by its pulse."""

    def __init__(self, pulse: Pulse, silence_limit_s: float, records: Callable[[], int]) -> None:
        """
        Args:
            silence_limit_s: for how much longer than a step may take the worker may be at it.
            records: how many the worker has committed.
        """
        self._pulse = pulse
        self._limit_s = silence_limit_s
        self._records = records

    def health(self) -> Answer:
        """Does it move?"""
        beat = self._pulse.beat()
        if beat.overdue_s <= self._limit_s:
            return json_answer({"status": "ok", **beat.fields()})
        reason = f"{beat.doing} for {beat.since_s:.0f} s, {beat.overdue_s:.0f} s longer than it may: it does not move"
        next_step = "its log says where it waits (worker_stalled); restart it: nothing is lost"
        return json_answer(
            {"status": "failing", "reason": reason, "next_step": next_step, **beat.fields()}, _UNAVAILABLE
        )

    def readiness(self) -> Answer:
        """Has it joined its group, with the right schema, and is it not about to end?"""
        return _readiness(self._pulse.beat().unready)

    def progress(self) -> dict[str, Any]:
        """For the stream."""
        return {"pid": os.getpid(), "records": self._records(), **self._pulse.beat().fields()}


class SupervisorProbe:
    """All workers of one machine, by what they say to the process that started them."""

    def __init__(
        self, workers: Sequence[SupervisedWorker], silence_limit_s: float, is_draining: Callable[[], bool]
    ) -> None:
        self._workers = workers
        self._limit_s = silence_limit_s
        self._is_draining = is_draining

    def health(self) -> Answer:
        """Does each of them move, and stay?"""
        workers = [each.fields(self._limit_s) for each in self._workers]
        if all(each["reason"] is None for each in workers):
            return json_answer({"status": "ok", "workers": workers})
        failing = [f"worker {each['worker']}: {each['reason']}" for each in workers if each["reason"] is not None]
        return json_answer({"status": "failing", "reason": "; ".join(failing), "workers": workers}, _UNAVAILABLE)

    def readiness(self) -> Answer:
        """Is each of them ready?"""
        if self._is_draining():
            return _readiness("it was told to stop")
        unready = [f"worker {each.number}: {why}" for each in self._workers if (why := each.unready) is not None]
        return _readiness("; ".join(unready) or None)

    def progress(self) -> dict[str, Any]:
        """For the stream."""
        return {"workers": [each.fields(self._limit_s) for each in self._workers]}


def _readiness(unready: str | None) -> Answer:
    if unready is None:
        return json_answer({"status": "ready"})
    return json_answer({"status": "unready", "reason": unready}, _UNAVAILABLE)
