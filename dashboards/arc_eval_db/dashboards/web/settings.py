"""How the dashboard is served, and how often it looks."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.dashboards.api.settings import DEFAULT_HOST, ApiSettings
from arc_eval_db.database import settings_error
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "DASHBOARD_"


class DashboardSettings(BaseSettings):
    """The variables are `ARC_EVAL_DASHBOARD_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = DEFAULT_HOST
    """Anything but loopback needs a token first: arc-eval-db api token create."""
    port: int = Field(default=8330, ge=0, le=65_535)
    """0: any."""
    allowed_hosts: frozenset[str] = frozenset()
    """Names besides those of loopback that requests may be for, as behind a proxy; a token is needed then too. In the
    environment a JSON list."""
    session_hours: float = Field(default=12, gt=0, le=24 * 30)
    """How long a login is good for; it ends sooner with its token."""
    token_check_s: float = Field(default=5, gt=0, le=300)
    """How long a token that was revoked may still be in use."""
    panel_interval_s: float = Field(default=5, gt=0, le=3600)
    """How often what a page shows is read again; what takes the database long is read less often."""
    query_timeout_s: float = Field(default=10, gt=0, le=600)
    """Deadline of one query of a page."""
    canary: bool = False
    """Whether the server sends a canary through the whole path again and again, and shows how it fares."""
    send_alerts: bool = True
    """Whether receivers are told of alerts; False where another dashboard or `alerts run` tells them already."""
    queries_max: int = Field(default=4, ge=1, le=50)
    """Queries of pages at once, and connections for them."""
    pages_max: int = Field(default=200, ge=1, le=10_000)
    """Pages open at once; more are told to come back."""

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

    def api(self) -> ApiSettings:
        """Where to listen and whom to let in, in the words of the API, which is served beside the pages."""
        return ApiSettings(host=self.host, port=self.port, allowed_hosts=self.allowed_hosts)
