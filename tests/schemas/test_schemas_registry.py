"""Invariants of the topic registry, and that the package loads no more than it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arc_eval_db import schemas
from arc_eval_db.schemas import generate, topics
from arc_eval_db.schemas.events import EVENT_MODELS, type_name
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX
from arc_eval_db.schemas.topics import TOPIC_OF_TYPE, TOPICS, Topic, TopicNames

TYPES = [type_name(model) for model in EVENT_MODELS]

# Key, two headers and the record's framing; compression can also make a record longer.
HEADER_ROOM_BYTES = 64 * 1024


def test_every_event_type_is_on_exactly_one_topic() -> None:
    registered = [name for topic in TOPICS for name in topic.event_types]
    assert sorted(registered) == sorted(set(registered)) == sorted(TYPES)
    assert TOPIC_OF_TYPE.keys() == set(TYPES)
    assert all(name in topic.event_types for name, topic in TOPIC_OF_TYPE.items())


def test_every_event_type_has_exactly_one_schema() -> None:
    folder = Path(__file__).parents[2] / "schemas" / "json"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.schema.json" for name in TYPES)
    assert {generate.schema_path(name) for name in TYPES} <= generate.all_files().keys()


def test_topic_names() -> None:
    assert [topic.name() for topic in TOPICS] == ["arc-eval.executions", "arc-eval.tool-usage", "arc-eval.failures"]
    assert TopicNames().all == tuple(topic.name() for topic in TOPICS)
    # Kafka's metrics write both "." and "_" as "_": a suffix with either could collide with another topic.
    assert all(set(topic.suffix) <= set("abcdefghijklmnopqrstuvwxyz-") for topic in TOPICS)


def test_names_of_types_end_in_their_version_and_have_the_words_of_the_contract() -> None:
    for name in TYPES:
        assert name.startswith("arc_eval.")
        assert name.rpartition(".")[2] == "v1"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.suffix)
def test_topic_takes_the_largest_event_and_keeps_a_month(topic: Topic) -> None:
    config = topic.config()
    assert int(config["max.message.bytes"]) >= EVENT_BYTES_MAX + HEADER_ROOM_BYTES
    assert int(config["retention.ms"]) == topic.retention_ms >= 7 * topics.DAY_MS
    assert config["cleanup.policy"] == "delete", "compaction would drop events of one execution: they share a key"
    assert config["message.timestamp.type"] == "LogAppendTime", "a late or wrong clock must cost no event"
    assert all(isinstance(value, str) for value in config.values())


def test_topic_names_under_a_prefix() -> None:
    names = TopicNames("staging")
    assert names.of_type(topics.TOOL_USED) == "staging.tool-usage"
    assert names.carries("staging.tool-usage", topics.TOOL_USED)
    assert not names.carries("staging.tool-usage", topics.STARTED)
    assert not names.carries("arc-eval.tool-usage", topics.TOOL_USED)
    assert not names.carries("staging.tool-usage", "arc_eval.tool.used.v2")
    with pytest.raises(KeyError):
        names.of_type("arc_eval.tool.used.v2")


def test_package_exports_what_it_names() -> None:
    assert all(getattr(schemas, name) is not None for name in schemas.__all__)
    assert schemas.ToolUsedEvent.__module__ == "arc_eval_db.schemas.events"
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = schemas.Nothing


def test_topics_and_ids_come_without_pydantic_and_generation_without_yaml() -> None:
    code = (
        "import sys\n"
        "from arc_eval_db.schemas import TOPICS, ids, json_depth, text\n"
        "assert 'pydantic' not in sys.modules\n"
        "import arc_eval_db.schemas.generate\n"
        "assert 'yaml' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
