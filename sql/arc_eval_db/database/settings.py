"""How to reach the database."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database.address import check_protection
from arc_eval_db.errors import SettingsError
from arc_eval_db.settings import ENVIRONMENT_PREFIX


def settings_error(error: ValidationError, prefix: str) -> SettingsError:
    """pydantic's error as one line that names the environment variables; values are left out, as they may be secret."""
    problems = [
        f"{prefix}{'_'.join(str(part) for part in detail['loc'])}".upper() + f": {detail['msg']}"
        for detail in error.errors(include_input=False, include_url=False)
    ]
    return SettingsError("; ".join(problems))


class DatabaseSettings(BaseSettings):
    """How to reach the database; the variables are `ARC_EVAL_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr
    """postgresql://user:password@host:port/database?sslmode=verify-full"""
    database_ssl_cafile: str | None = None
    """Certificates to trust, PEM. Unset: the system's. `sslrootcert` in the URL goes first."""
    database_allow_insecure: bool = False
    """Let a connection over a network go without `sslmode=verify-full`: it can be read or impersonated on the way."""
    database_connect_timeout_s: float = Field(default=10, gt=0)
    database_command_timeout_s: float = Field(default=60, gt=0)
    """Deadline of one statement or COPY on the client's side. Without one asyncpg waits for ever when cancelling."""
    database_statement_timeout_ms: int = Field(default=55_000, ge=0)
    database_lock_timeout_ms: int = Field(default=5_000, ge=0)
    database_idle_in_transaction_timeout_ms: int = Field(default=10_000, ge=0)
    """How long a frozen consumer can hold the locks of its transaction against the one that takes over."""
    database_pool_size_min: int = Field(default=10, ge=0)
    """Connections that a pool keeps open. Workers and migrations have one of their own, and no pool."""
    database_pool_size_max: int = Field(default=50, ge=1)
    database_pool_acquire_timeout_s: float = Field(default=10, gt=0)
    """How long to wait for a connection of a pool that has none to spare."""

    @model_validator(mode="after")
    def _pool_sizes_fit(self) -> Self:
        # A smaller maximum alone also lowers the default minimum.
        if (
            "database_pool_size_min" in self.model_fields_set
            and self.database_pool_size_max < self.database_pool_size_min
        ):
            raise SettingsError("ARC_EVAL_DATABASE_POOL_SIZE_MAX: must not be below ARC_EVAL_DATABASE_POOL_SIZE_MIN")
        return self

    @model_validator(mode="after")
    def _way_is_protected(self) -> Self:
        check_protection(self.database_url.get_secret_value(), allow_insecure=self.database_allow_insecure)
        return self

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value is missing or wrong; the message names the variable.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            if any(detail["loc"] == ("database_url",) and detail["type"] == "missing" for detail in error.errors()):
                raise SettingsError(
                    "ARC_EVAL_DATABASE_URL is not set; "
                    'for a local database: arc-eval-db local up, then eval "$(arc-eval-db local env)"'
                ) from None
            raise settings_error(error, ENVIRONMENT_PREFIX) from None

    def with_database(self, name: str) -> Self:
        """The same server, another database."""
        url = self.database_url.get_secret_value()
        head, _, query = url.partition("?")
        server = head.rpartition("/")[0]
        return self.model_copy(update={"database_url": SecretStr(f"{server}/{name}" + (f"?{query}" if query else ""))})
