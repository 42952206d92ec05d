"""What the Kafka client raises, in this project's terms."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiokafka
import pytest

from arc_eval_db.consumers.kafka import KafkaUnavailableError
from arc_eval_db.consumers.kafka.errors import translated_errors
from arc_eval_db.consumers.kafka.log_reader import stop

uvloop = pytest.importorskip("uvloop")


async def write_to_a_lost_connection() -> None:
    """As aiokafka does that has not noticed yet."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await asyncio.sleep(0.01)
        writer.write(b"request")


def test_a_connection_that_uvloop_has_lost_is_an_outage() -> None:
    """It raises RuntimeError where asyncio writes into the void."""
    with pytest.raises(RuntimeError, match="the handler is closed"):
        uvloop.run(write_to_a_lost_connection())
    with pytest.raises(KafkaUnavailableError, match="connection was lost while asking"), translated_errors("asking"):
        uvloop.run(write_to_a_lost_connection())


def test_a_defect_is_not_taken_for_an_outage() -> None:
    with pytest.raises(RuntimeError, match="another"), translated_errors("asking"):
        raise RuntimeError("another")


@pytest.mark.parametrize("error", [None, OSError(), TimeoutError(), aiokafka.errors.KafkaError()])
def test_a_client_that_cannot_stop_holds_nobody_up(error: Exception | None) -> None:
    class Consumer:
        async def stop(self) -> None:
            if error is not None:
                raise error
            await write_to_a_lost_connection()

    uvloop.run(stop(cast("Any", Consumer()), 1.0))
