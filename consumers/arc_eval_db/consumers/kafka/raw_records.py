"""Spares a consumer the object that aiokafka makes of each record."""

from __future__ import annotations

from typing import Any

import aiokafka


def hand_out_raw_records(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Let a started consumer hand out records as its parser made them: with offset, timestamp, key, value and headers.

    A ConsumerRecord, with the topic, the sizes and more, takes as long as reading the record from the fetched bytes.
    aiokafka 0.14 has no setting for this. A release that works otherwise is not harmed: it hands out its own objects,
    which have the same attributes.
    """
    fetcher = consumer._fetcher  # noqa: SLF001 - see above
    fetcher._records = _RawResults(fetcher._records)  # noqa: SLF001


class _RawResults(dict[aiokafka.TopicPartition, Any]):
    """The fetched and not yet read records by partition."""

    def __setitem__(self, partition: aiokafka.TopicPartition, result: Any) -> None:
        records = getattr(result, "_partition_records", None)
        if records is not None:
            records._consumer_record = _as_it_is  # noqa: SLF001
        super().__setitem__(partition, result)


def _as_it_is(_partition: aiokafka.TopicPartition, record: Any) -> Any:
    return record
