"""Quix Streams with its PostgreSQL sink."""

from __future__ import annotations

import os
import tempfile
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2.extras
from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from arc_eval_db.bench.measured import Figures, Span, run
from arc_eval_db.bench.peers.rows import COLUMNS, TABLE, row_of
from arc_eval_db.schemas import CompletedEvent
from arc_eval_db.settings import KafkaSettings

# A checkpoint is a batch of the sink. It comes after a while, too: the last records would wait for five seconds.
_CHECKPOINT_RECORDS = 10_000
_CHECKPOINT_S = 0.5
_CONSUMER_CONFIG = {"fetch.min.bytes": 1, "queued.min.messages": 100_000, "max.partition.fetch.bytes": 4_194_304}


def _row(value: bytes) -> dict[str, Any]:
    return dict(zip(COLUMNS, row_of(CompletedEvent.model_validate_json(value)), strict=True))


async def consume(options: dict[str, Any]) -> Figures:
    """Options: `topic`, `group`, and `records`, how many there are."""
    span = Span()
    psycopg2.extras.register_uuid()
    url = urlsplit(os.environ["ARC_EVAL_DATABASE_URL"])
    sink = PostgreSQLSink(
        host=url.hostname or "localhost",
        port=url.port or 5432,
        dbname=url.path.lstrip("/"),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        table_name=TABLE,
        schema_auto_update=False,
        include_metadata=False,
        on_conflict_do_nothing=True,
    )
    with tempfile.TemporaryDirectory() as state:
        application = Application(
            broker_address=",".join(KafkaSettings.from_environment(os.environ).client_options()["bootstrap_servers"]),
            consumer_group=options["group"],
            auto_offset_reset="earliest",
            commit_every=_CHECKPOINT_RECORDS,
            commit_interval=_CHECKPOINT_S,
            consumer_extra_config=_CONSUMER_CONFIG,
            auto_create_topics=False,
            state_dir=state,
            loglevel="ERROR",
        )
        topic = application.topic(options["topic"], value_deserializer="bytes", key_deserializer="bytes")
        application.dataframe(topic).apply(_row).sink(sink)
        _watch(application, sink, span, options["records"])
        application.run()
    return span.figures()


def _watch(application: Any, sink: Any, span: Span, records: int) -> None:
    """The span begins with the partitions and ends with the last write; then the application is told to stop."""
    assigned, write = application._on_assign, sink.write  # noqa: SLF001 - nothing public tells when a group is joined
    count = 0

    def on_assign(*arguments: Any) -> None:
        assigned(*arguments)
        if span.began is None:
            span.begin()

    def marked(batch: Any) -> None:
        nonlocal count
        write(batch)
        count += batch.size
        span.mark()
        if count >= records:
            application.stop()

    application._on_assign = on_assign  # noqa: SLF001 - see above
    sink.write = marked


if __name__ == "__main__":
    run(consume)
