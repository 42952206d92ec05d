"""What the environment asks for. A wrong setting must not end a run: it is logged once, and nothing is sent."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports import Transport, make_transport

logger = logging.getLogger("arc_eval_db.producers")

_said: set[str] = set()
_said_lock = threading.RLock()


def settings_or_default() -> ProducerSettings:
    """The settings of the environment; those that send nothing where a variable is wrong."""
    try:
        return _read_settings(os.environ)
    except SettingsError as error:
        _say_once(logging.ERROR, f"arc-eval-db sends nothing, because of a wrong setting: {error}")
        return _read_settings({"ARC_EVAL_TRANSPORT": "none"})


def transport_or_none(settings: ProducerSettings) -> Transport | None:
    """The transport that the settings ask for; None where there is none or it lacks a setting."""
    try:
        transport = make_transport(settings)
    except SettingsError as error:
        _say_once(logging.ERROR, f"arc-eval-db sends nothing, because of a wrong setting: {error}")
        return None
    if transport is None and settings.emitter.transport is None:
        _say_once(
            logging.WARNING,
            "arc-eval-db records nothing: set ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS, or ARC_EVAL_TRANSPORT to file or "
            "stdout (or to none, to silence this warning)",
        )
    return transport


def _read_settings(environment: Mapping[str, str]) -> ProducerSettings:
    import socket  # noqa: PLC0415 - not needed by those who bring their own settings

    return ProducerSettings.from_environment(environment, hostname=socket.gethostname(), pid=os.getpid())


def _say_once(level: int, message: str) -> None:
    # Each execution of a process reads the settings anew; an agent's log needs each message once.
    with _said_lock:
        if message in _said:
            return
        _said.add(message)
    logger.log(level, "%s", message)
