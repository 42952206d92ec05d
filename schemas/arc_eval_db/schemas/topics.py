"""The topic registry: which topics there are, how they are made, and which event types each carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

STARTED = "arc_eval.execution.started.v1"
PROGRESSED = "arc_eval.execution.progressed.v1"
COMPLETED = "arc_eval.execution.completed.v1"
TOOL_USED = "arc_eval.tool.used.v1"
FAILURE_RECORDED = "arc_eval.failure.recorded.v1"

DAY_MS = 86_400_000
RECORD_BYTES_MAX = 1_048_576
"""The largest record a topic takes: the largest event and its headers fit."""

DEFAULT_PREFIX = "arc-eval"
DEFAULT_PARTITIONS = 6
"""Consumers of one group can share at most this many partitions a topic. Adding partitions later is possible."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the log."""

    suffix: str
    """The name after the prefix and a dot."""
    event_types: tuple[str, ...]
    retention_ms: int
    """How long the log can be replayed."""
    description: str

    def name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The full name, such as "arc-eval.executions"."""
        return f"{prefix}.{self.suffix}"

    def config(self) -> dict[str, str]:
        """Topic settings for the broker."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(RECORD_BYTES_MAX),
            # By the broker's clock. By the sandboxes', an event that arrives late would be deleted before it was read,
            # and one with a wrong clock would be refused. The event's own time is in the event.
            "message.timestamp.type": "LogAppendTime",
        }


EXECUTIONS = Topic(
    "executions",
    (STARTED, PROGRESSED, COMPLETED),
    30 * DAY_MS,
    "Executions that started, progressed and completed.",
)
TOOL_USAGE = Topic("tool-usage", (TOOL_USED,), 30 * DAY_MS, "Tools that agents used.")
FAILURES = Topic("failures", (FAILURE_RECORDED,), 30 * DAY_MS, "What went wrong inside executions.")

TOPICS: tuple[Topic, ...] = (EXECUTIONS, TOOL_USAGE, FAILURES)

TOPIC_OF_TYPE = MappingProxyType({event_type: topic for topic in TOPICS for event_type in topic.event_types})


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The registry under one prefix: looks a topic up by its full name, and an event type's topic name."""

    prefix: str = DEFAULT_PREFIX
    _topics: dict[str, Topic] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_topics", {topic.name(self.prefix): topic for topic in TOPICS})

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic's full name."""
        return tuple(self._topics)

    def of_type(self, event_type: str) -> str:
        """The full name of the topic that carries `event_type`; KeyError for an unknown type."""
        return TOPIC_OF_TYPE[event_type].name(self.prefix)

    def carries(self, topic_name: str, event_type: str) -> bool:
        """Whether events of this type belong on the topic of this name."""
        return event_type in self.types_on(topic_name)

    def types_on(self, topic_name: str) -> tuple[str, ...]:
        """The event types that belong on the topic of this name; none where it is no topic of the registry."""
        topic = self._topics.get(topic_name)
        return topic.event_types if topic is not None else ()
