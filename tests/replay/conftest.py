"""Topics to replay."""

from __future__ import annotations

import pytest

from arc_eval_db.settings import KafkaSettings
from conftest import TEST_PARTITIONS
from support.replays import fill_topics


@pytest.fixture
async def filled(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Topics with whole executions of today, and two records that are no events."""
    await fill_topics(kafka_settings, TEST_PARTITIONS)
    return kafka_settings
