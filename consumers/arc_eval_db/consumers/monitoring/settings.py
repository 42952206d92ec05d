"""How often the pipeline is looked at."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database import settings_error
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "MONITOR_"


class MonitorSettings(BaseSettings):
    """How a monitor looks; the variables are `ARC_EVAL_MONITOR_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    lag_interval_s: float = Field(default=5, ge=0.1, le=3600)
    """Between the beginnings of two looks at the lag; also how old the lag may be that somebody asks for."""
    lag_timeout_s: float = Field(default=30, gt=0, le=600)
    """Deadline of one. It takes milliseconds; with brokers that do not answer, as long as their time-outs."""
    health_interval_s: float = Field(default=60, ge=0.1, le=86_400)
    """The same for the database's health, which takes some thirty queries."""
    health_timeout_s: float = Field(default=60, gt=0, le=3600)
    """Longer than `ARC_EVAL_HEALTH_TIMEOUT_S`, within which the look itself says what it could not see."""
    listeners_max: int = Field(default=64, ge=1, le=10_000)
    """How many may follow at once; the next one is told to come back."""

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
