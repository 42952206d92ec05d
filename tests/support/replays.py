"""What tests of replays share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from arc_eval_db.bench import wire
from arc_eval_db.bench.kafka import fill
from arc_eval_db.bench.workloads import LIFECYCLE, Workload
from arc_eval_db.replay import RangeSpec, ReplayOptions, ReplayPlan, Source, make_plan, open_log
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.events import event
from support.topics import produce

EVENTS = 2_000
OPTIONS = ReplayOptions(by="tests@here")


async def fill_topics(settings: KafkaSettings, partitions: int, events: int = EVENTS) -> None:
    """Whole executions of today, and two records that are no events."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    await fill(settings, wire.records(Workload(LIFECYCLE, events, partitions, 1, begin.isoformat())))
    bad = [event(TOOL_USED, {"tool": ""}), event(TOOL_USED, {"success": "perhaps"})]
    await produce(settings, TopicPartition(TopicNames(settings.topic_prefix).all[1], 0), bad)


async def whole(kafka: KafkaSettings, *topics: str) -> ReplayPlan:
    """Everything that these topics hold; by default all of them."""
    async with open_log(kafka) as reader:
        names: Any = topics or TopicNames(kafka.topic_prefix).all
        return await make_plan(reader, [Source(name, None, RangeSpec()) for name in names])
