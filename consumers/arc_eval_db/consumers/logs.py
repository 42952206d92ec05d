"""Structured logs. Event names are part of the interface: alerts and tests rely on them.

`worker_started`, `worker_stopped`, `partitions_positioned`, `batch_committed`, `dead_letters_written`, `batch_fenced`,
`attempt_failed`, `kafka_commit_failed`, `caught_up`, `drain_timed_out`, `breaker_changed`, `worker_stalled`,
`log_gap_recorded`, `partition_halted`, `partition_resumed`, `canary_arrived`, `canary_not_arrived`,
`alert_opened`, `alert_resolved`, `alert_message_sent`, `alert_message_failed`, `alert_message_dropped`.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure_logging(level: str = "info", *, as_json: bool | None = None) -> None:
    """Send logs to standard error: as JSON lines, or readable where standard error is a terminal."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if as_json is None:
        as_json = not sys.stderr.isatty()
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if as_json else _unchanged,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # One write a line: several workers may share their standard error, which need not be buffered.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(number, shared, renderer)


def _configure_libraries(level: int, shared: list[Any], renderer: Any) -> None:
    """Bring aiokafka's and asyncpg's own logs into the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    # Its reconnect attempts would fill the log while a broker is away; the worker says so itself, once an attempt.
    # Nor may it say all at the level of debug: there it prints every request, events and passwords included.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL if level > logging.DEBUG else logging.INFO)
    # While a database is away a pool says so at each of its tries; where it was in the code says nothing more.
    logging.getLogger("asyncpg.pool").addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[0] is not None:
        record.msg, record.args = f"{record.getMessage()} ({record.exc_info[0].__name__})", ()
        record.exc_info = None
    return True


def _unchanged(_: Any, __: str, event: Any) -> Any:
    return event
