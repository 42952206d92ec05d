"""One HTTP POST with a deadline. No redirects, no proxies, no cookies: of the answer the status counts."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from arc_eval_db.consumers.alerts.addresses import HttpTarget
from arc_eval_db.consumers.alerts.receivers import MessageRefusedError, ReceiverUnavailableError

_LINE_BYTES_MAX = 8_192
_INTERIM_MAX = 5

# Asked too soon or too often, or not in time: it may take the message later.
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts JSON to one URL."""

    target: HttpTarget
    timeout_s: float
    context: ssl.SSLContext
    """For https."""

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return once the server has answered that it took the body.

        Raises:
            ReceiverUnavailableError: there was no answer in time, or one that may be another later.
            MessageRefusedError: it answered that it does not want it, or with a redirect.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                status = await self._exchange(body, headers)
        except TimeoutError:
            raise ReceiverUnavailableError(f"no answer within {self.timeout_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise ReceiverUnavailableError(f"its certificate is not to be trusted: {error.verify_message}") from None
        except (OSError, EOFError, ValueError) as error:
            # The message of others may hold the address; the class says enough.
            raise ReceiverUnavailableError(f"the connection failed: {type(error).__name__}") from None
        _judge(status)

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> int:
        reader, writer = await asyncio.open_connection(
            self.target.host,
            self.target.port,
            ssl=self.context if self.target.is_tls else None,
            limit=_LINE_BYTES_MAX,
        )
        try:
            writer.write(self._head(len(body), headers) + body)
            await writer.drain()
            return await _status(reader)
        finally:
            # Without waiting for the other side's end of TLS: the answer is there, or the deadline is over.
            writer.transport.abort()

    def _head(self, length: int, headers: Mapping[str, str]) -> bytes:
        lines = [
            f"POST {self.target.target} HTTP/1.1",
            f"Host: {self.target.authority}",
            "User-Agent: arc-eval-db",
            "Content-Type: application/json",
            f"Content-Length: {length}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the answer, after those that only say that one is to come."""
    for _ in range(_INTERIM_MAX):
        version, _, rest = (await reader.readline()).partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise ValueError("this is not HTTP")
        status = int(rest[:3])
        if status >= 200:
            return status
        while (await reader.readline()).strip():
            pass
    raise ValueError("this answer does not end")


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise MessageRefusedError(
            f"it answered with a redirect ({status}), which is not followed: set the URL it leads to"
        )
    if status >= 500 or status in _PASSING:
        raise ReceiverUnavailableError(f"it answered {status}")
    raise MessageRefusedError(f"it answered {status}")


def tls_context(cafile: str | None) -> ssl.SSLContext:
    """Trusts the certificates of a file, or the system's."""
    context = ssl.create_default_context(cafile=cafile)
    with contextlib.suppress(NotImplementedError):
        context.set_alpn_protocols(["http/1.1"])
    return context
