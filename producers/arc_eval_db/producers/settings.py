"""Settings of the SDK, read from the environment once per emitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from arc_eval_db.producers.origin import source_from, traceparent_from
from arc_eval_db.settings import (
    ENVIRONMENT_PREFIX,
    KafkaSettings,
    as_path,
    check_choice,
    check_range,
    read_environment,
    setting,
)

if TYPE_CHECKING:
    from pathlib import Path

TRANSPORTS = ("kafka", "file", "stdout", "memory", "none")


@dataclass(frozen=True, slots=True)
class EmitterSettings:
    """How events leave the process; the variables are `ARC_EVAL_` plus the field's name in capitals.

    Raises SettingsError when a value does not fit.
    """

    transport: str | None = setting(None, str.lower)
    """Unset: `kafka` where brokers are set, otherwise `none`, which does nothing and says so once."""
    events_file: Path | None = setting(None, as_path)
    """Where the transport `file` appends: one event a line."""
    close_timeout_s: float = setting(2.0, float)
    """How long leaving an execution may wait for the broker."""
    queue_records_max: int = setting(10_000, int)
    """Events waiting to be sent. When full, tool uses and progress are dropped first, and counted."""
    queue_bytes_max: int = setting(64 * 1024 * 1024, int)
    """Bytes of events waiting to be sent."""
    spool_dir: Path | None = setting(None, as_path)
    """Where events are kept until the broker has them; unset: nowhere. Processes may share it."""
    spool_bytes_max: int = setting(256 * 1024 * 1024, int)
    """Bytes of the whole directory, whoever filled it. The last eighth is for starts, failures and outcomes."""

    def __post_init__(self) -> None:
        check_choice("TRANSPORT", self.transport, TRANSPORTS)
        check_range("CLOSE_TIMEOUT_S", self.close_timeout_s, 0.05, 3600)
        check_range("QUEUE_RECORDS_MAX", self.queue_records_max, 1, 10_000_000)
        check_range("QUEUE_BYTES_MAX", self.queue_bytes_max, 1024, 2**40)
        check_range("SPOOL_BYTES_MAX", self.spool_bytes_max, 8 * 1024 * 1024, 2**40)


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """Everything the SDK reads from outside."""

    emitter: EmitterSettings
    kafka: KafkaSettings
    source: str
    """What emits, as a URI path: "/sandboxes/<id>"."""
    traceparent: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, hostname: str, pid: int) -> Self:
        """Read every setting.

        Raises:
            SettingsError: a value does not fit; the message names the variable.
        """
        return cls(
            emitter=read_environment(EmitterSettings, environment, ENVIRONMENT_PREFIX),
            kafka=KafkaSettings.from_environment(environment),
            source=source_from(environment, hostname=hostname, pid=pid),
            traceparent=traceparent_from(environment),
        )
