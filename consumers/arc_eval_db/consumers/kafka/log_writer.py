"""Writes records into a topic as they are: key, value and headers, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Self

import aiokafka
from aiokafka.errors import MessageSizeTooLargeError

from arc_eval_db.consumers.kafka.errors import KafkaUnavailableError, RecordTooLargeError, translated_errors
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.schemas.topics import RECORD_BYTES_MAX
from arc_eval_db.settings import KafkaSettings

_STOP_TIMEOUT_S = 5.0
_BATCH_BYTES_MAX = 131_072

# What a mark adds to a record that is as large as one may be.
_MARK_BYTES_MAX = 4_096


class LogWriter:
    """Appends records to one topic, each key's in their order. Use with `async with`."""

    def __init__(self, settings: KafkaSettings, topic: str, *, client_id: str) -> None:
        self._topic = topic
        self._timeout_s = settings.request_timeout_ms / 1000
        self._producer = aiokafka.AIOKafkaProducer(
            **settings.client_options(),
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            max_request_size=RECORD_BYTES_MAX + _MARK_BYTES_MAX,
            max_batch_size=_BATCH_BYTES_MAX,
        )

    async def __aenter__(self) -> Self:
        try:
            with translated_errors("connecting"):
                await asyncio.wait_for(self._producer.start(), self._timeout_s)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def append(self, records: Sequence[LogRecord], marks: Sequence[tuple[str, bytes]]) -> None:
        """Append records and wait until all in-sync replicas have them.

        Args:
            marks: a header for each record, behind its own.

        Raises:
            KafkaUnavailableError: not all of them are known to be there. Appending them again may append some twice.
            RecordTooLargeError: the topic does not take one of them.
        """
        with translated_errors("appending records"):
            async with asyncio.timeout(4 * self._timeout_s):
                sent = []
                for record, mark in zip(records, marks, strict=True):
                    with self._naming(record):
                        sent.append(await self._send(record, [*record.headers, mark]))
                for record, acknowledged in zip(records, sent, strict=True):
                    with self._naming(record):
                        await acknowledged

    async def _send(self, record: LogRecord, headers: list[tuple[str, bytes]]) -> asyncio.Future[object]:
        if record.key is not None or record.value is not None:
            sending = self._producer.send(self._topic, record.value, key=record.key, headers=headers)
        else:
            # aiokafka's `send` takes no record that has neither; its batches do.
            batch = self._producer.create_batch()
            batch.append(timestamp=None, key=None, value=None, headers=headers)
            batch.close()
            sending = self._producer.send_batch(batch, self._topic, partition=0)
        acknowledged: asyncio.Future[object] = await sending
        return acknowledged

    @contextlib.contextmanager
    def _naming(self, record: LogRecord) -> Iterator[None]:
        try:
            yield
        except MessageSizeTooLargeError as error:
            raise RecordTooLargeError(
                f"the topic {self._topic} does not take {record.topic_partition}@{record.offset}, or another of its"
                f" batch: {record.size_bytes:,} bytes are too many; raise its max.message.bytes"
            ) from error

    async def _stop(self) -> None:
        """aiokafka would first wait for ever for what is not acknowledged."""
        with contextlib.suppress(KafkaUnavailableError), translated_errors("stopping"):
            try:
                await asyncio.wait_for(self._producer.stop(), _STOP_TIMEOUT_S)
            except TimeoutError:
                await asyncio.wait_for(self._producer.client.close(), _STOP_TIMEOUT_S)
