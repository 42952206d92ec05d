"""The only module of the SDK that knows aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports.base import TransportError
from arc_eval_db.schemas.topics import RECORD_BYTES_MAX
from arc_eval_db.settings import KafkaSettings

_STOP_TIMEOUT_S = 0.2

# Of the records of one partition, and far below what a topic takes. With the client's default of 16 kB a batch of 500
# events is 17 requests, one after the other, and costs the process half as much again. A line of 13 kB/s delivers one
# within the default deadline.
_REQUEST_BYTES_MAX = 128 * 1024

# What no broker of the cluster will ever take, however often it is sent; it must not hold up what is behind it.
_REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)


class KafkaTransport:
    """Sends to Kafka and waits until every in-sync replica has the records.

    aiokafka's idempotence is left off: with it a batch never expires while the broker is away, and duplicates are
    recognised by their event id anyway. The client's own waits have no deadline, so each is given one here.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._timeout_s = settings.request_timeout_ms / 1000

    async def open(self) -> None:
        """Connect to the cluster."""
        self._producer = AIOKafkaProducer(
            **self._settings.client_options(),
            acks="all",
            enable_idempotence=False,
            # The sender has collected a batch already.
            linger_ms=0,
            max_request_size=RECORD_BYTES_MAX,
            max_batch_size=_REQUEST_BYTES_MAX,
        )
        try:
            await asyncio.wait_for(self._producer.start(), self._timeout_s)
        except (KafkaError, OSError, TimeoutError) as error:
            raise TransportError(f"cannot reach Kafka: {type(error).__name__}") from error

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Produce and wait for the acknowledgements."""
        assert self._producer is not None, "send before open"
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                sends = [await self._send_one(self._producer, record) for record in records]
                results = await asyncio.gather(*sends, return_exceptions=True)
        except (KafkaError, OSError, TimeoutError) as error:
            raise TransportError(f"Kafka did not take the events: {type(error).__name__}") from error
        refused = []
        for position, result in enumerate(results):
            if isinstance(result, _REFUSED):
                refused.append(position)
            elif isinstance(result, BaseException):
                raise TransportError(f"Kafka did not take the events: {type(result).__name__}") from result
        return refused

    async def close(self) -> None:
        """Disconnect. aiokafka would first wait for ever for what is not acknowledged."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), _STOP_TIMEOUT_S)
        except (KafkaError, OSError, TimeoutError):
            # Closing its connections is the last thing that it does.
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.client.close(), _STOP_TIMEOUT_S)

    @staticmethod
    async def _send_one(producer: AIOKafkaProducer, record: OutgoingRecord) -> asyncio.Future[object]:
        try:
            sent: asyncio.Future[object] = await producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            )
        except MessageSizeTooLargeError as error:
            sent = asyncio.get_running_loop().create_future()
            sent.set_exception(error)
        # When sending is given up half-way, nobody looks at what came of the first half; asyncio would complain.
        sent.add_done_callback(_look_at)
        return sent


def _look_at(sent: asyncio.Future[object]) -> None:
    if not sent.cancelled():
        sent.exception()
