"""When lag is too much."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.database import settings_error
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "LAG_"


class LagSettings(BaseSettings):
    """From when on a state is more than ok; the variables are `ARC_EVAL_LAG_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    lagging_s: float = Field(default=30, ge=0)
    """An oldest unread record older than this is `lagging`."""
    stalled_s: float = Field(default=60, gt=0)
    """`stalled`: an offset that has not moved for so long, with a record as old unread. A large batch takes less."""
    retention_share_max: float = Field(default=0.8, gt=0, le=1)
    """`losing_data`: the oldest unread record has used up more of the topic's retention than this."""
    overtaken_s_min: float = Field(default=3600, ge=0)
    """`losing_data`: at the present rates, and with half of it used up, retention will have caught up in less."""
    history_s: float = Field(default=900, gt=0, le=86_400)
    """How far back samples are looked at: for rates, and for a group that was sent back."""

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
