"""What an event is: models, ids, limits, topics, and the reasons for which one is refused.

Names are looked up when they are first used: a sandbox needs the topics and not the models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arc_eval_db.schemas.events import (
        CompletedEvent,
        Event,
        FailureRecordedEvent,
        ProgressedEvent,
        StartedEvent,
        ToolUsedEvent,
    )
    from arc_eval_db.schemas.parsing import parse_event
    from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
    from arc_eval_db.schemas.status import ExecutionStatus
    from arc_eval_db.schemas.topics import TOPICS, Topic, TopicNames

__all__ = [
    "TOPICS",
    "CompletedEvent",
    "Event",
    "EventRefusedError",
    "ExecutionStatus",
    "FailureRecordedEvent",
    "ProgressedEvent",
    "RefusalReason",
    "StartedEvent",
    "ToolUsedEvent",
    "Topic",
    "TopicNames",
    "parse_event",
]

_MODULES = {
    "events": ("CompletedEvent", "Event", "FailureRecordedEvent", "ProgressedEvent", "StartedEvent", "ToolUsedEvent"),
    "parsing": ("parse_event",),
    "refusals": ("EventRefusedError", "RefusalReason"),
    "status": ("ExecutionStatus",),
    "topics": ("TOPICS", "Topic", "TopicNames"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if (module := _MODULE_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
