"""Bounded reads of the log, which join no consumer group and move no offsets."""

from __future__ import annotations

from arc_eval_db.replay.reading import read_all

__all__ = ["read_all"]
