"""Serving the API: one process, its own address, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.errors import SettingsError

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.api")

_DRAIN_TIMEOUT_S = 10
_BACKLOG = 128
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class QuietServer(uvicorn.Server):
    """Ends at the first signal, and does not raise it again when it is done: to end so is no failure.

    It logs nothing of its own but what is wrong, and tells clients nothing of itself.
    """

    def __init__(self, app: ASGIApp, *, on_started: Callable[[], None], **options: Any) -> None:
        """
        Args:
            on_started: is called when requests are answered and a signal ends it cleanly, not earlier.
            options: more of uvicorn's.
        """
        config = uvicorn.Config(
            app,
            # What a proxy says of the client is believed by nobody here.
            proxy_headers=False,
            server_header=False,
            log_config=None,
            # What it says of WebSockets holds the ids of pages.
            log_level="warning",
            access_log=False,
            **options,
        )
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        # The second one does not wait for requests at work.
        self.force_exit = self.should_exit
        self.should_exit = True


OPEN_TO_ANYBODY = (
    "there is no token: whoever reaches this address may change everything, also through a proxy on this machine that "
    "adds no header of its own; make one: arc-eval-db api token create --scope admin --name NAME"
)


async def serve(settings: ApiSettings, database: ApiDatabase, *, on_listening: Callable[[str, bool], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests at work have ten seconds to end.

    Args:
        on_listening: is told the address, and whether anybody may use it.

    Raises:
        SettingsError: the address cannot be listened on, or others could reach it and there is no token.
        RetryableError, FatalError: the database cannot be used.
    """
    async with database:
        if settings.tokens_required and not await database.has_usable_token():
            raise SettingsError(
                f"{reach(settings)} and there is no token that would keep them out; "
                "make one first: arc-eval-db api token create --scope admin --name NAME"
            )
        is_open = not settings.tokens_required and await database.is_open_to_anybody()
        with listening(settings) as listener:

            def tell() -> None:
                on_listening(url_of(listener), is_open)
                if is_open:
                    log.warning("api_open_to_anybody", advice=OPEN_TO_ANYBODY)

            app = create_app(settings, database)
            server = QuietServer(app, on_started=tell, ws="none", timeout_graceful_shutdown=_DRAIN_TIMEOUT_S)
            await server.serve(sockets=[listener])


def reach(settings: ApiSettings) -> str:
    """Why others could come here, in words."""
    if settings.is_loopback:
        return "with --allowed-host others may be let through to it"
    return f"--host {settings.host} can be reached from other machines"


def url_of(listener: socket.socket) -> str:
    """Where browsers on this machine find it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listening(settings: ApiSettings) -> socket.socket:
    """A socket that is listened on.

    Raises:
        SettingsError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"--host {settings.host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Whoever is told the address may come at once.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}; "
            "name another with --port"
        ) from error
    return listener
