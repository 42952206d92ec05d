"""A small HTTP server in threads: it answers when the event loop is blocked, which is when it is needed most.

One request a connection. Their number is bounded, and so are the size of a request's head and the time it has. No file
and no body is read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from http import HTTPStatus
from types import TracebackType
from typing import Self

import structlog

from arc_eval_db.consumers.http.request import METHODS, RequestRefusedError, read_request
from arc_eval_db.consumers.http.routes import Routes, Stream
from arc_eval_db.consumers.monitoring.answers import EVENT_STREAM, HEADERS, Answer, busy, problem
from arc_eval_db.errors import ArcEvalError, SettingsError

# Connections at once, besides those that listen to a stream. Probes and Prometheus need one or two.
CONNECTIONS_MAX = 32

READ_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 5.0
_BACKLOG = 64
_ACCEPT_S = 0.5
_SLOT_WAIT_S = 0.5
_STOP_TIMEOUT_S = 3.0
# Unread bytes at the end of a connection would make the kernel reset it, and lose the answer on its way.
_LINGER_BYTES_MAX = 65_536
_LINGER_S = 0.2
_LINGER_S_MAX = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.http")


class HttpServer:
    """Serves routes on one address. Use with `with`."""

    def __init__(self, routes: Routes, host: str, port: int, *, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        """
        Args:
            port: 0 lets the system choose.

        Raises:
            SettingsError: it cannot be listened on.
        """
        self._routes = routes
        self._read_timeout_s = read_timeout_s
        self._listener = _listening(host, port)
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._lock = threading.Lock()
        self._reading: dict[socket.socket, float] = {}
        """Connections whose request is not there yet, and since when."""
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="arc-eval-db http", daemon=True)

    @property
    def port(self) -> int:
        """The port, chosen by the system where 0 was asked for."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it within some seconds, whatever listens."""
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._routes.close()
        self._thread.join(_STOP_TIMEOUT_S)
        self._listener.close()
        with self._lock:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            _end(connection)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Out of files, for instance. The worker goes on, and so does this.
                if not self._is_over.wait(_ACCEPT_S):
                    log.warning("http_accept_failed", error=os.strerror(error.errno or 0))
                continue
            if self._has_slot():
                self._start(connection)
            else:
                _refuse(connection)

    def _has_slot(self) -> bool:
        """Where there is none, whoever takes longest to ask has to make room: slow ones must not keep probes out."""
        if self._slots.acquire(blocking=False):
            return True
        with self._lock:
            if self._reading:
                _end(min(self._reading, key=self._reading.__getitem__))
        return self._slots.acquire(timeout=_SLOT_WAIT_S)

    def _start(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), name="arc-eval-db http", daemon=True)
        with self._lock:
            self._threads.add(thread)
            self._connections.add(connection)
            self._reading[connection] = time.monotonic()
        try:
            thread.start()
        except RuntimeError as error:
            # No more threads are to be had. The next connection may have one.
            log.warning("http_thread_failed", error=str(error))
            self._forget(connection, thread)
            self._slots.release()
            _refuse(connection)

    def _forget(self, connection: socket.socket, thread: threading.Thread) -> None:
        with self._lock:
            self._reading.pop(connection, None)
            self._connections.discard(connection)
            self._threads.discard(thread)

    def _serve(self, connection: socket.socket) -> None:
        slot = contextlib.ExitStack()
        slot.callback(self._slots.release)
        try:
            with slot:
                self._answer(connection, slot)
        except OSError:
            pass  # whoever asked has gone
        except Exception as error:  # noqa: BLE001 - a bug in one answer; there is nobody above to tell
            log.error("http_request_failed", cause=type(error).__name__, error=_safe(error))
        finally:
            self._forget(connection, threading.current_thread())
            connection.close()

    def _answer(self, connection: socket.socket, slot: contextlib.ExitStack) -> None:
        try:
            request = read_request(connection, self._read_timeout_s)
        except RequestRefusedError as error:
            _send(connection, _malformed(error), has_body=True)
            return
        with self._lock:
            self._reading.pop(connection, None)
        try:
            answer = self._routes.answer(request)
        except Exception as error:  # noqa: BLE001 - said to whoever asked, and in the log
            log.error("http_request_failed", path=request.path, cause=type(error).__name__, error=_safe(error))
            answer = problem(500, "internal", "The server has failed", "its log says how", "tell its operator")
        if isinstance(answer, Answer):
            _send(connection, answer, has_body=request.method != "HEAD")
        else:
            slot.close()  # streams are bounded by themselves
            self._send_stream(connection, answer)

    def _send_stream(self, connection: socket.socket, parts: Stream) -> None:
        with contextlib.closing(parts):
            connection.settimeout(_SEND_TIMEOUT_S)
            connection.sendall(_head(200, {"Content-Type": EVENT_STREAM}))
            for part in parts:
                if self._is_over.is_set():
                    return
                connection.sendall(part)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in {**HEADERS, **headers, "Connection": "close"}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _as_bytes(answer: Answer, *, has_body: bool) -> bytes:
    headers = {"Content-Type": answer.media_type, "Content-Length": str(len(answer.body)), **answer.headers}
    return _head(answer.status, headers) + (answer.body if has_body else b"")


def _send(connection: socket.socket, answer: Answer, *, has_body: bool) -> None:
    connection.settimeout(_SEND_TIMEOUT_S)
    connection.sendall(_as_bytes(answer, has_body=has_body))
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_LINGER_S)
    # However slowly the bytes come: who drips them must not keep a slot.
    left, deadline = _LINGER_BYTES_MAX, time.monotonic() + _LINGER_S_MAX
    while left > 0 and time.monotonic() < deadline and (unread := connection.recv(4_096)):
        left -= len(unread)


def _refuse(connection: socket.socket) -> None:
    """Without waiting for the request, nor for the answer to be taken."""
    answer = busy("as many connections as there can be are open already", "ask again in some seconds")
    with contextlib.suppress(OSError), connection:
        connection.setblocking(False)
        connection.send(_as_bytes(answer, has_body=True))


def _malformed(error: RequestRefusedError) -> Answer:
    headers = {"Allow": ", ".join(METHODS)} if error.status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    title = HTTPStatus(error.status).phrase
    return problem(error.status, "malformed-request", title, str(error), "see docs/monitoring.md", headers)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _safe(error: Exception) -> str | None:
    """Our messages quote no value; of others only the class is known to hold none."""
    return str(error) if isinstance(error, ArcEvalError) else None


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"ARC_EVAL_CONSUMER_HTTP_HOST: {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.settimeout(_ACCEPT_S)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"ARC_EVAL_CONSUMER_HTTP_PORT: cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; "
            "name another with --http-port"
        ) from error
    return listener
