"""A worker process as its supervisor sees it: by what it says of itself, and by how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from arc_eval_db.consumers.heartbeat import Heartbeat
from arc_eval_db.consumers.supervisor_metrics import SupervisorMetrics

SOUND_S = 60.0
"""One that ran for so long did not fail because of how it was started."""

_FAILURES_MAX = 3


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a worker."""

    reason: str
    next_step: str


class SupervisedWorker:
    """Written on the supervisor's event loop; read from any thread."""

    def __init__(self, number: int, metrics: SupervisorMetrics) -> None:
        self.number = number
        self.pid: int | None = None
        """None while it does not run."""
        self.has_ended = False
        """It ended well, and is not started again."""
        self.heartbeat: Heartbeat | None = None
        """The latest of the process that runs."""
        self._metrics = metrics
        self._started_at = self._moved_at = time.monotonic()
        self._starts = 0
        self._failures_in_row = 0
        self._exit = ""
        labels = {"worker": str(number)}
        metrics.count("arc_eval_supervisor_worker_restarts_total", 0, **labels)
        metrics.compute("arc_eval_supervisor_worker_up", lambda: float(self.pid is not None), **labels)
        metrics.compute("arc_eval_supervisor_worker_progress_age_seconds", self.age_s, **labels)

    def started(self, pid: int) -> None:
        """Its process runs."""
        self.heartbeat = None
        self._started_at = self._moved_at = time.monotonic()
        self.pid = pid
        if self._starts:
            self._metrics.count("arc_eval_supervisor_worker_restarts_total", worker=str(self.number))
        self._starts += 1

    def heard(self, heartbeat: Heartbeat) -> None:
        """Its process has said something."""
        self.heartbeat = heartbeat
        # Later than before only where it has moved: clocks do not matter, as both figures are spans.
        self._moved_at = max(self._moved_at, time.monotonic() - heartbeat.overdue_s)

    def ended(self, how: str, *, for_good: bool) -> None:
        """Its process has ended.

        Args:
            for_good: well, and it is not started again.
        """
        self.pid = None
        self.has_ended = for_good
        self._exit = how
        is_sound = time.monotonic() - self._started_at >= SOUND_S
        self._failures_in_row = 1 if is_sound else self._failures_in_row + 1

    def age_s(self) -> float:
        """How long it has not said that it moves."""
        return 0.0 if self.has_ended else time.monotonic() - self._moved_at

    def trouble(self, silence_limit_s: float) -> Trouble | None:
        """What is wrong with it; None where nothing is."""
        if self.has_ended:
            return None
        is_sound = self.pid is not None and time.monotonic() - self._started_at >= SOUND_S
        if self._failures_in_row >= _FAILURES_MAX and not is_sound:
            return Trouble(
                f"it has ended {self._failures_in_row} times in a row soon after its start, the last time with "
                f"{self._exit}",
                "its log says why; it is started again later and later",
            )
        age_s = self.age_s()
        if age_s <= silence_limit_s:
            return None
        if self.pid is None:
            return Trouble(f"it has not run for {age_s:.0f} s; it ended with {self._exit or 'an error'}", "see its log")
        doing = f"; it was last {self.heartbeat.doing}" if self.heartbeat else ""
        return Trouble(
            f"it has not said for {age_s:.0f} s that it moves{doing}",
            f"if it was stopped: kill -CONT {self.pid}; otherwise kill -KILL {self.pid}: another is started, and "
            "nothing is lost",
        )

    def fields(self, silence_limit_s: float) -> dict[str, Any]:
        """For JSON."""
        trouble, age_s, beat = self.trouble(silence_limit_s), self.age_s(), self.heartbeat
        return {
            "worker": self.number,
            "pid": self.pid,
            "status": "ended" if self.has_ended else "failing" if trouble else "ok",
            "moved_at": datetime.now(UTC) - timedelta(seconds=age_s),
            "progress_age_s": round(age_s, 3),
            "doing": beat.doing if beat else "starting" if self.pid else "waiting to be started again",
            "paused": beat.is_paused if beat else False,
            "unready": self.unready,
            "restarts": max(0, self._starts - 1),
            "reason": trouble.reason if trouble else None,
            "next_step": trouble.next_step if trouble else None,
        }

    @property
    def unready(self) -> str | None:
        """Why it is not ready for work; None where it is."""
        if self.has_ended:
            return None
        beat = self.heartbeat
        return "it is being started" if self.pid is None or beat is None else beat.unready
