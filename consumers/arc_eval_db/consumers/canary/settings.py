"""How often a canary runs, and how long it may take."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database import settings_error
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "CANARY_"


class CanarySettings(BaseSettings):
    """The variables are `ARC_EVAL_CANARY_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    interval_s: float = Field(default=60, ge=0.1, le=86_400)
    """From the begin of one run to that of the next, on average: each pause is up to a tenth shorter or longer."""
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """How long an execution may take from its first event to its last row; what takes longer has not arrived."""

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
