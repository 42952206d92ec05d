"""Receivers of alerts on this machine: an HTTP server and a mail server that keep what they get, and can misbehave."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

import orjson


@dataclass(frozen=True, slots=True)
class Request:
    """What came with one POST."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return orjson.loads(self.body)


class _LocalServer:
    """A server on a free port of loopback. Use with `async with`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class HttpReceiver(_LocalServer):
    """Takes every POST, and answers as `answers` says, from the first on; 200 once they are used up."""

    def __init__(self, *answers: bytes, context: ssl.SSLContext | None = None) -> None:
        """
        Args:
            answers: whole answers; an empty one hangs up without, and `b"never"` does nothing.
        """
        super().__init__(context)
        self.answers = list(answers)
        self.requests: list[Request] = []

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """Where to post to."""
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    @property
    def documents(self) -> list[Any]:
        """What came, read."""
        return [request.json for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["Content-Length"]))
        self.requests.append(Request(head[0], headers, body))
        answer = self.answers.pop(0) if self.answers else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        if answer == b"never":
            await asyncio.Event().wait()
        writer.write(answer)
        await writer.drain()


@dataclass(slots=True)
class _Letter:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class MailReceiver(_LocalServer):
    """Speaks SMTP (RFC 5321), STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4954), and keeps every mail."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        context: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        data_answers: tuple[str, ...] = (),
        greets: bool = True,
    ) -> None:
        """
        Args:
            starttls: offer it.
            context: TLS from the first byte.
            login: take mail only after it.
            data_answers: what mails are answered with, from the first on.
            greets: otherwise it accepts connections and says nothing.
        """
        super().__init__(context)
        self._starttls = starttls
        self._login = login
        self._data_answers = list(data_answers)
        self._greets = greets
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, tuple[str, ...]]] = []
        self.was_encrypted: list[bool] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._greets:
            await asyncio.Event().wait()
        letter, encrypted, logged_in = _Letter(), self._context is not None, self._login is None
        await _say(writer, "220 here")
        while line := (await reader.readline()).decode("utf-8").rstrip("\r\n"):
            verb = line.split(" ", 1)[0].upper()
            if verb == "EHLO":
                offers = ["250-here", *(["250-STARTTLS"] if self._starttls and not encrypted else [])]
                await _say(writer, *offers, *(["250-AUTH PLAIN"] if self._login else []), "250 8BITMIME")
            elif verb == "STARTTLS" and self._starttls:
                await _say(writer, "220 go on")
                await writer.start_tls(self._starttls)
                encrypted = True
            elif verb == "AUTH":
                _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                logged_in = (user, password) == self._login
                await _say(writer, "235 welcome" if logged_in else "535 no")
            elif verb == "MAIL":
                letter = _Letter(line.partition("<")[2].partition(">")[0])
                await _say(writer, "250 ok" if logged_in else "530 log in first")
            elif verb == "RCPT":
                letter.recipients.append(line.partition("<")[2].partition(">")[0])
                await _say(writer, "250 ok")
            elif verb == "DATA":
                await _say(writer, "354 go on")
                content = await reader.readuntil(b"\r\n.\r\n")
                answer = self._data_answers.pop(0) if self._data_answers else "250 taken"
                if answer.startswith("250"):
                    self._keep(letter, content.removesuffix(b".\r\n"), encrypted)
                await _say(writer, answer)
            else:
                await _say(writer, "221 bye" if verb == "QUIT" else "250 ok")

    def _keep(self, letter: _Letter, content: bytes, encrypted: bool) -> None:
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((letter.sender, tuple(letter.recipients)))
        self.was_encrypted.append(encrypted)


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()
