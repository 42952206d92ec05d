"""E-mail over SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Literal, TypeVar

import structlog

from arc_eval_db.consumers.alerts.addresses import mail_addresses
from arc_eval_db.consumers.alerts.alert import Message
from arc_eval_db.consumers.alerts.receivers import MessageRefusedError, ReceiverUnavailableError, plain
from arc_eval_db.consumers.alerts.standings import Change

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.alerts")

_SUBJECT_MAX = 200
# How long a thread whose connection was taken away may need to notice it.
_END_S = 2.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    context: ssl.SSLContext
    timeout_s: float
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """Mails each message to everybody on a list."""

    name = "email"

    def __init__(self, server: MailServer, sender: str, recipients: str) -> None:
        """
        Args:
            recipients: addresses with commas between them.
        """
        self._server = server
        self._sender = sender
        self._recipients = mail_addresses(recipients)
        # A name server that does not answer holds a thread up beyond the deadline: one of ours, and one only.
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="arc-eval-mail")

    async def deliver(self, message: Message) -> None:
        """See `Receiver`."""
        mail = compose(message, self._sender, self._recipients)
        connection = _Connection(self._server)
        try:
            refused = await self._in_thread(lambda: connection.send(mail), connection.cut)
            if refused:
                log.warning("alert_mail_recipients_refused", recipients=refused, message=message.id)
        except smtplib.SMTPResponseException as error:
            _raise_for(error.smtp_code)
        except smtplib.SMTPRecipientsRefused as error:
            _raise_for(max(code for code, _ in error.recipients.values()))
        except smtplib.SMTPNotSupportedError:
            raise MessageRefusedError("the server offers no STARTTLS, or no login that is known here") from None
        except ssl.SSLCertVerificationError as error:
            raise ReceiverUnavailableError(f"its certificate is not to be trusted: {error.verify_message}") from None
        except (OSError, ValueError) as error:
            raise ReceiverUnavailableError(f"the connection failed: {type(error).__name__}") from None

    async def _in_thread(self, work: Callable[[], T], cut: Callable[[], None]) -> T:
        """Run `work` in the thread; when its time is over, or this is cancelled, `cut` makes it end."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            done, _ = await asyncio.wait({running}, timeout=self._server.timeout_s)
        except asyncio.CancelledError:
            cut()
            _forget(running)
            raise
        if not done:
            cut()
            await asyncio.wait({running}, timeout=_END_S)
            _forget(running)
            raise ReceiverUnavailableError(f"not done within {self._server.timeout_s:g} s")
        return running.result()


def _forget(running: asyncio.Future[T]) -> None:
    """Nobody waits for what comes of it."""
    running.cancel()
    running.add_done_callback(lambda done: done.cancelled() or done.exception())


def _raise_for(code: int) -> None:
    """4xx passes; so may a refused login or sender, once a person has changed it. 5xx of the mail itself does not."""
    if code in (500, 501, 552, 554):
        raise MessageRefusedError(f"it answered {code}")
    raise ReceiverUnavailableError(f"it answered {code}")


class _Connection:
    """One connection, for one mail. `cut` may be called from another thread."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None
        self._is_cut = False

    def send(self, mail: EmailMessage) -> int:
        """Hand the mail in; returns how many of its recipients the server does not want, though it wants others."""
        server = self._server
        self._smtp = smtp = _TlsSmtp(server) if server.security == "tls" else _PlainSmtp(server)
        try:
            smtp.connect(server.host, server.port)
            if self._is_cut:
                raise TimeoutError
            if server.security == "starttls":
                smtp.starttls(context=server.context)
            if server.username is not None and server.password is not None:
                smtp.login(server.username, server.password)
            refused = smtp.send_message(mail)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # the mail has been taken
            return len(refused)
        finally:
            smtp.close()

    def cut(self) -> None:
        """End whatever waits for the server."""
        self._is_cut = True
        if self._smtp is not None and (sock := self._smtp.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


# Both are made without a connection, so that there is something to cut from the beginning; the host, which certificates
# are compared with, is then named apart.
class _PlainSmtp(smtplib.SMTP):
    def __init__(self, server: MailServer) -> None:
        super().__init__(timeout=server.timeout_s, local_hostname=_own_name())
        self._host = server.host


class _TlsSmtp(smtplib.SMTP_SSL):
    def __init__(self, server: MailServer) -> None:
        super().__init__(timeout=server.timeout_s, local_hostname=_own_name(), context=server.context)
        self._host = server.host


def _own_name() -> str:
    """Without asking a name server."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "localhost"


def compose(message: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """The mail; that an alert is resolved answers the mail that it is open."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = plain(message.title, length_max=_SUBJECT_MAX)
    mail["Date"] = formatdate(message.alert.resolved_at or message.alert.opened_at)
    mail["Message-ID"] = f"<{message.id}@arc-eval-db.invalid>"
    if message.change is Change.RESOLVED:
        mail["In-Reply-To"] = mail["References"] = f"<{message.key}-{Change.OPENED.value}@arc-eval-db.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([plain(message.title), "", *(plain(line) for line in message.lines())]) + "\n")
    return mail
