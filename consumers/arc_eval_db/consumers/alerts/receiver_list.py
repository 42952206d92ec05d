"""The receivers that settings name."""

from __future__ import annotations

from arc_eval_db.consumers.alerts.addresses import HttpTarget
from arc_eval_db.consumers.alerts.mail import Mail, MailServer
from arc_eval_db.consumers.alerts.posting import Poster, tls_context
from arc_eval_db.consumers.alerts.receivers import Receiver
from arc_eval_db.consumers.alerts.settings import AlertSettings
from arc_eval_db.consumers.alerts.webhook import SlackWebhook, Webhook
from arc_eval_db.errors import SettingsError


def receivers_of(settings: AlertSettings) -> list[Receiver]:
    """One for each that is set; none where nobody is to be told.

    Raises:
        SettingsError: the file of certificates cannot be used.
    """
    try:
        context = tls_context(settings.ssl_cafile)
    except OSError as error:
        raise SettingsError(f"ARC_EVAL_ALERT_SSL_CAFILE: {settings.ssl_cafile}: {type(error).__name__}") from error
    receivers: list[Receiver] = []
    timeout_s = settings.send_timeout_s
    if settings.webhook_url is not None:
        secret = None if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
        target = HttpTarget.parse(settings.webhook_url.get_secret_value())
        receivers.append(Webhook(Poster(target, timeout_s, context), secret))
    if settings.slack_url is not None:
        target = HttpTarget.parse(settings.slack_url.get_secret_value())
        receivers.append(SlackWebhook(Poster(target, timeout_s, context)))
    if settings.email_to is not None:
        assert settings.email_from is not None
        assert settings.smtp_host is not None
        server = MailServer(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_security,
            tls_context(settings.ssl_cafile),
            timeout_s,
            settings.smtp_username,
            None if settings.smtp_password is None else settings.smtp_password.get_secret_value(),
        )
        receivers.append(Mail(server, settings.email_from, settings.email_to))
    return receivers
