"""When alerts open, and who is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.consumers.alerts.addresses import check_mail_addresses, check_url, is_loopback
from arc_eval_db.database import settings_error
from arc_eval_db.errors import SettingsError
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_PREFIX = ENVIRONMENT_PREFIX + "ALERT_"


class AlertSettings(BaseSettings):
    """Thresholds, receivers and deadlines; the variables are `ARC_EVAL_ALERT_` plus the field's name in capitals.

    A threshold with `_resolve` is where an open alert may resolve; it is not past the one that opens it.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    interval_s: float = Field(default=5, ge=0, le=600)
    """How often the rules are evaluated. 0: never."""
    source: str | None = Field(default=None, max_length=200)
    """What messages name as the place they come from. Unset: the host's name."""
    state_dir: Path | None = None
    """Where open alerts and unsent messages outlive a restart, a file for each kind of process. Unset: they do not."""
    alerts_max: int = Field(default=500, ge=1, le=10_000)
    """Alerts at one time, at the most; more are counted and not sent."""

    webhook_url: SecretStr | None = None
    """Gets each message as JSON."""
    webhook_secret: SecretStr | None = Field(default=None, min_length=16)
    """Signs what the webhook gets (HMAC-SHA256)."""
    slack_url: SecretStr | None = None
    """An incoming webhook of Slack, or of what is compatible with it (Mattermost, Rocket.Chat, …)."""
    email_to: str | None = None
    """Addresses, with commas between them."""
    email_from: str | None = None
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` on loopback only."""
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    ssl_cafile: str | None = None
    """Certificates to trust, PEM, of webhooks and of the mail server. Unset: the system's."""
    allow_insecure: bool = False
    """Let messages go over a network without TLS: they can be read on the way, and so can what the URL holds."""

    send_timeout_s: float = Field(default=10, gt=0, le=300)
    """Deadline of one attempt to deliver a message."""
    retry_s_max: float = Field(default=60, gt=0, le=3600)
    """The longest pause between attempts."""
    give_up_s: float = Field(default=86_400, gt=0)
    """A message that could not be delivered for so long is given up, and counted."""
    drain_s: float = Field(default=5, ge=0, le=60)
    """How long the end of the process waits for messages that have not been sent."""

    lag_s: float = Field(default=120, gt=0)
    """Age of the oldest unread event."""
    lag_resolve_s: float = Field(default=60, ge=0)
    lag_for_s: float = Field(default=60, ge=0)
    state_for_s: float = Field(default=60, ge=0)
    """How long a partition is stalled or stopped, or a check of health has failed, before the alert opens."""
    paused_for_s: float = Field(default=300, ge=0)
    """How long a database may be away before that is an alert."""
    retention_share: float = Field(default=0.5, gt=0, le=1)
    """How much of a topic's retention the oldest unread event has used up."""
    retention_resolve_share: float = Field(default=0.4, ge=0, le=1)
    dead_letters: float = Field(default=0, ge=0)
    """More new dead letters than this in 15 minutes."""
    health_warn_for_s: float = Field(default=300, ge=0)
    blind_s: float = Field(default=120, gt=0)
    """Nobody has seen the lag for so long."""
    health_blind_s: float = Field(default=600, gt=0)
    canary_for_s: float = Field(default=150, ge=0)
    """How long the canary has failed: by default more than two runs."""
    canary_overdue_s: float = Field(default=600, gt=0)
    canary_slow_s: float = Field(default=10, gt=0)
    canary_slow_resolve_s: float = Field(default=5, ge=0)
    worker_stuck_s: float = Field(default=60, gt=0)
    """A worker has not moved for so long, or not said so."""
    worker_stuck_resolve_s: float = Field(default=30, ge=0)
    worker_down_for_s: float = Field(default=60, ge=0)
    worker_restarts: int = Field(default=3, ge=1)
    """So many restarts of one worker in 15 minutes."""
    keep_s: float = Field(default=60, ge=0)
    """How long a figure has to be past its threshold no more before an alert resolves."""

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        for opens, resolves in (
            ("lag_s", "lag_resolve_s"),
            ("retention_share", "retention_resolve_share"),
            ("canary_slow_s", "canary_slow_resolve_s"),
            ("worker_stuck_s", "worker_stuck_resolve_s"),
        ):
            if getattr(self, resolves) > getattr(self, opens):
                raise SettingsError(f"{_PREFIX}{resolves.upper()}: must not be above {_PREFIX}{opens.upper()}")
        return self

    @model_validator(mode="after")
    def _receivers_can_be_used(self) -> Self:
        for name in ("webhook_url", "slack_url"):
            if (url := getattr(self, name)) is not None:
                check_url(url.get_secret_value(), _PREFIX + name.upper(), allow_insecure=self.allow_insecure)
        self._check_mail()
        return self

    def _check_mail(self) -> None:
        if self.email_to is None:
            return
        for name in ("email_from", "smtp_host"):
            if not getattr(self, name):
                raise SettingsError(f"{_PREFIX}{name.upper()}: must be set where {_PREFIX}EMAIL_TO is")
        assert self.email_from is not None
        assert self.smtp_host is not None
        check_mail_addresses(self.email_to, f"{_PREFIX}EMAIL_TO")
        check_mail_addresses(self.email_from, f"{_PREFIX}EMAIL_FROM")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise SettingsError(f"{_PREFIX}SMTP_USERNAME and {_PREFIX}SMTP_PASSWORD: set both, or none")
        if self.smtp_security == "none" and not (is_loopback(self.smtp_host) or self.allow_insecure):
            raise SettingsError(
                f"{_PREFIX}SMTP_SECURITY: `none` is for a server on this machine only; use starttls or tls, "
                f"or waive it with {_PREFIX}ALLOW_INSECURE=true"
            )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; arguments that are not None win.

        Raises:
            SettingsError: a value does not fit; the message names the variable, and no value.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})
        except ValidationError as error:
            raise settings_error(error, _PREFIX) from None
