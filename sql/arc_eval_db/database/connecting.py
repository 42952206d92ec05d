"""How every connection is opened: arguments for asyncpg, TLS, and what its failures mean."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

from arc_eval_db.database.address import DatabaseAddress, check_protection
from arc_eval_db.database.errors import DatabaseUnavailableError, RowRefusedError, translated_errors
from arc_eval_db.database.settings import DatabaseSettings
from arc_eval_db.errors import SettingsError

_VERIFYING_MODES = ("verify-ca", "verify-full")


def connection_arguments(settings: DatabaseSettings, *, application_name: str) -> dict[str, Any]:
    """What asyncpg is given for every connection, be it one of its own or one of a pool.

    Raises:
        SettingsError: the URL or the file of certificates cannot be used, or the URL asks for too little protection.
    """
    url = settings.database_url.get_secret_value()
    address = check_protection(url, allow_insecure=settings.database_allow_insecure)
    return {
        "dsn": url,
        "host": list(address.hosts),
        "port": list(address.ports),
        "ssl": _tls(settings, address),
        "direct_tls": address.direct_tls,
        "timeout": settings.database_connect_timeout_s,
        "command_timeout": settings.database_command_timeout_s,
        "server_settings": {
            "application_name": application_name,
            "timezone": "UTC",
            "statement_timeout": str(settings.database_statement_timeout_ms),
            "lock_timeout": str(settings.database_lock_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.database_idle_in_transaction_timeout_ms),
        },
    }


def _tls(settings: DatabaseSettings, address: DatabaseAddress) -> ssl.SSLContext | str:
    """A context of our own where certificates are to be checked; otherwise the mode's name, which asyncpg knows.

    asyncpg's own context for these modes knows neither the system's certificates nor `sslrootcert=system`.
    """
    mode = address.ssl_mode or "prefer"
    if mode not in _VERIFYING_MODES:
        return mode
    file = address.ssl_root_certificate or settings.database_ssl_cafile
    try:
        context = ssl.create_default_context(cafile=None if file == "system" else file)
        if address.ssl_certificate:
            context.load_cert_chain(address.ssl_certificate, address.ssl_key)
    except OSError as error:
        variable = "URL" if address.ssl_root_certificate or address.ssl_certificate else "SSL_CAFILE"
        reason = error.strerror or "not certificates in PEM form"
        raise SettingsError(f"ARC_EVAL_DATABASE_{variable}: the certificates cannot be read: {reason}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    if address.direct_tls:
        context.set_alpn_protocols(["postgresql"])
    return context


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """Translates the errors of opening a connection.

    A certificate that is not trusted, or a server without TLS, is no passing fault: waiting would hide it.
    """
    try:
        with translated_errors():
            yield
    except RowRefusedError as error:
        # asyncpg checks the URL with the same kinds of exceptions as values; none was sent yet.
        raise SettingsError(
            "ARC_EVAL_DATABASE_URL: cannot be used; it must look like "
            "postgresql://user:password@host:port/database?sslmode=verify-full"
        ) from error.__cause__
    except DatabaseUnavailableError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise SettingsError(
                f"the server's certificate was refused: {cause.verify_message.rstrip('.')}; "
                "ARC_EVAL_DATABASE_SSL_CAFILE names the certificates to trust (unset: the system's), "
                "and the URL must use the host name that the certificate was issued for"
            ) from cause
        # asyncpg has no class of its own for this answer.
        if type(cause) is ConnectionError and "rejected SSL upgrade" in str(cause):
            raise SettingsError(
                "ARC_EVAL_DATABASE_URL: its sslmode demands TLS and the server offers none; nothing was sent to it. "
                "Turn TLS on at the server, or check host and port"
            ) from cause
        raise
