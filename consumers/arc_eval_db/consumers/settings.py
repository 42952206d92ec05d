"""Settings of a worker."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database import settings_error
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "CONSUMER_"


class ConsumerSettings(BaseSettings):
    """How a worker consumes; the variables are `ARC_EVAL_CONSUMER_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    group: str = Field(default="arc-eval-db", min_length=1, max_length=200)
    """The consumer group: workers of one group share the partitions."""
    instance_id: str | None = None
    """A stable name of this worker (such as its pod's) lets it restart without moving partitions between the others."""
    batch_records_max: int = Field(default=10_000, ge=1, le=100_000)
    """Records in one transaction at the most. Below 2,000, transactions cost more than rows."""
    fetch_wait_ms: int = Field(default=50, ge=0, le=500)
    """How long a broker may collect records before it answers a fetch: more of it costs time from emit to row, less of
    it costs CPU while events trickle in. 0: it answers with the first record. A consumer that is behind never waits."""
    partition_fetch_bytes_max: int = Field(default=2_097_152, ge=1_048_576)
    """Bytes fetched and held per partition; no less than the topics' largest record."""
    poll_timeout_s: float = Field(default=0.5, gt=0, le=10)
    """How long one look for records waits; also how soon a stop is noticed."""
    session_timeout_s: float = Field(default=30, ge=1)
    """How long a silent worker keeps its partitions."""
    drain_timeout_s: float = Field(default=10, gt=0)
    """How long a stop waits for the batch in hand; what is not committed by then is read again by the next worker."""
    retry_backoff_s_max: float = Field(default=10, gt=0)
    """The longest pause between attempts while Kafka or the database is away."""
    stall_timeout_s: float = Field(default=300, gt=0)
    """A worker that has not moved for so long starts over with new connections. Longer than a large batch takes."""
    dead_letter_share_max: float = Field(default=0.5, ge=0, le=1)
    """Where a larger share of a topic's latest records would become dead letters, the worker ends instead: after a bad
    deploy, all of them would. 1 sets no limit."""
    dead_letter_window_records: int = Field(default=1_000, ge=1)
    """How many of a topic's records the share is taken of, at the least."""
    lag_sample_interval_s: float = Field(default=15, ge=0, le=3600)
    """How often the lag of each partition is measured and kept in `consumer_lag_samples`. 0: never."""
    http_port: int | None = Field(default=None, ge=0, le=65535)
    """Where probes, Prometheus and others find the worker. Unset: nowhere."""
    http_host: str | None = None
    """The address to listen on. Unset: 127.0.0.1, which only this machine reaches."""
    http_token: SecretStr | None = Field(default=None, min_length=16)
    """What requests to /api/ have to bring. Without one they are answered on loopback only."""
    http_listeners_max: int = Field(default=8, ge=1, le=1_000)
    """How many may listen to /api/stream at once; each has a thread."""
    silence_limit_s: float = Field(default=30, ge=3, le=3600)
    """For how much longer than its step may take a worker may be at it, or say nothing, before /healthz turns 503."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """The older name of `http_port`, which goes first."""
    metrics_host: str | None = None
    """The older name of `http_host`, which goes first."""

    @property
    def port(self) -> int | None:
        """Where to listen; None for nowhere."""
        return self.metrics_port if self.http_port is None else self.http_port

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.http_host or self.metrics_host or "127.0.0.1"

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; arguments that are not None win.

        Raises:
            SettingsError: a value does not fit; the message names the variable.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})
        except ValidationError as error:
            raise settings_error(error, _PREFIX) from None
