"""From which figure on a check warns, or calls it critical."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database import settings_error
from arc_eval_db.errors import SettingsError
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = f"{ENVIRONMENT_PREFIX}HEALTH_"
_DAY_S = 86_400.0
_GIB = 1024.0**3


class HealthSettings(BaseSettings):
    """The thresholds; the variables are `ARC_EVAL_HEALTH_` plus the field's name in capitals.

    A figure that reaches a threshold is past it.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    check_timeout_s: float = Field(default=5, gt=0, le=600)
    """Deadline of one check."""
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """Deadline of all of them together; what is left then is unknown."""
    sample_s: float = Field(default=1, gt=0, le=600)
    """Time between the two looks from which rates are computed, at the least."""

    latency_warn_ms: float = Field(default=250, gt=0)
    latency_critical_ms: float = Field(default=2_000, gt=0)
    write_warn_ms: float = Field(default=500, gt=0)
    """One row, with its indexes, in a transaction that is rolled back."""
    write_critical_ms: float = Field(default=3_000, gt=0)
    throughput_warn_rows_per_s: float = Field(default=0, ge=0)
    """A floor: fewer rows are a warning. 0: none, as nobody but you knows when agents run."""

    connections_warn_share: float = Field(default=0.8, gt=0)
    connections_critical_share: float = Field(default=0.95, gt=0)
    pool_warn_share: float = Field(default=0.8, gt=0)
    pool_critical_share: float = Field(default=1.0, gt=0)

    idle_transaction_warn_s: float = Field(default=10, gt=0)
    """Roles and clients of this project end theirs after 10 to 60 s."""
    idle_transaction_critical_s: float = Field(default=300, gt=0)
    transaction_warn_s: float = Field(default=600, gt=0)
    transaction_critical_s: float = Field(default=3_600, gt=0)
    query_warn_s: float = Field(default=60, gt=0)
    query_critical_s: float = Field(default=600, gt=0)
    statement_warn_ms: float = Field(default=5_000, gt=0)
    statement_critical_ms: float = Field(default=60_000, gt=0)
    statement_calls_min: int = Field(default=10, ge=1)
    """A statement that ran less often is not looked at."""
    lock_wait_warn_s: float = Field(default=2, gt=0)
    lock_wait_critical_s: float = Field(default=30, gt=0)

    dead_tuples_warn_share: float = Field(default=0.3, gt=0)
    dead_tuples_critical_share: float = Field(default=0.6, gt=0)
    dead_tuples_min: int = Field(default=10_000, ge=1)
    """A table with fewer is not looked at."""
    autovacuum_warn_tables: float = Field(default=1, gt=0)
    autovacuum_critical_tables: float = Field(default=20, gt=0)
    autovacuum_overdue_s: float = Field(default=3_600, gt=0)
    wraparound_warn_transactions: float = Field(default=500_000_000, gt=0)
    wraparound_critical_transactions: float = Field(default=1_200_000_000, gt=0)
    """The server refuses writes at about 2.1 billion."""

    standby_warn_bytes: float = Field(default=_GIB / 4, gt=0)
    standby_critical_bytes: float = Field(default=4 * _GIB, gt=0)
    slot_warn_bytes: float = Field(default=_GIB, gt=0)
    slot_critical_bytes: float = Field(default=10 * _GIB, gt=0)
    checkpoint_warn_share: float = Field(default=1.0, gt=0)
    """WAL since the last checkpoint, of max_wal_size."""
    checkpoint_critical_share: float = Field(default=2.0, gt=0)
    disk_bytes: float | None = Field(default=None, gt=0)
    """The room there is for the database. A server does not tell, so by default nothing is judged."""
    disk_warn_share: float = Field(default=0.8, gt=0)
    disk_critical_share: float = Field(default=0.9, gt=0)

    chunks_warn_future: float = Field(default=1, gt=0)
    chunks_critical_future: float = Field(default=10, gt=0)
    chunks_ahead_s: float = Field(default=_DAY_S, ge=0)
    """Events may be a day ahead."""
    compression_warn_chunks: float = Field(default=1, gt=0)
    compression_critical_chunks: float = Field(default=14, gt=0)
    compression_grace_s: float = Field(default=_DAY_S, ge=0)
    compression_warn_share: float = Field(default=0.7, gt=0)
    """Compressed size over the size before."""
    jobs_warn_failed: float = Field(default=1, gt=0)
    jobs_critical_failed: float = Field(default=5, gt=0)
    aggregate_warn_s: float = Field(default=_DAY_S / 4, gt=0)
    aggregate_critical_s: float = Field(default=_DAY_S, gt=0)

    dead_letters_warn: float = Field(default=1, gt=0)
    dead_letters_critical: float = Field(default=1_000, gt=0)
    new_dead_letters_warn: float = Field(default=100, gt=0)
    new_dead_letters_critical: float = Field(default=10_000, gt=0)
    orphans_warn: float = Field(default=1, gt=0)
    orphans_critical: float = Field(default=1, gt=0)
    """There should never be one."""
    incomplete_warn: float = Field(default=1, gt=0)
    incomplete_critical: float = Field(default=100, gt=0)
    incomplete_grace_s: float = Field(default=300, ge=0)
    """How long after its end an execution's events may be on their way."""
    recent_s: float = Field(default=6 * 3_600, gt=0, le=2 * _DAY_S)
    """How far back rows are looked through for orphans and incomplete executions."""
    recent_rows_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """And how many of each table."""
    log_gaps_warn_records: float = Field(default=1, gt=0)
    log_gaps_critical_records: float = Field(default=10_000, gt=0)
    log_gaps_s: float = Field(default=7 * _DAY_S, gt=0)
    """How far back gaps are looked at."""
    partition_halted_warn_s: float = Field(default=300, gt=0)
    partition_halted_critical_s: float = Field(default=1_800, gt=0)

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        for name in type(self).model_fields:
            critical = name.replace("_warn", "_critical")
            if critical != name and hasattr(self, critical) and getattr(self, name) > getattr(self, critical):
                raise SettingsError(f"{_PREFIX}{name.upper()}: must not be above {_PREFIX}{critical.upper()}")
        return self

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value is wrong; the message names the variable.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise settings_error(error, _PREFIX) from None
