"""TLS for tests: certificates made on the spot, and a server in front of one that speaks none."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from support.servers import missing

_CHUNK_BYTES = 65_536
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as files."""

    file: Path
    key: Path

    def server_context(self, clients: Authority | None = None) -> ssl.SSLContext:
        """For a server that shows this certificate, and lets in whom `clients` has certified."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.file, self.key)
        context.set_alpn_protocols(["postgresql"])
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.file)
        return context


class Authority:
    """A certificate authority of a test's own. Skips where there is no openssl to make certificates with."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            missing("openssl", "openssl is not installed")
        self._directory = directory
        self._name = name
        self.file = directory / f"{name}.pem"
        """What a client has to trust."""
        self._key = directory / f"{name}.key"
        subject = f"/CN={name} of a test"
        _openssl("req", "-x509", *_KEY, "-keyout", self._key, "-out", self.file, "-subj", subject, "-days", "2")

    def issue(self, name: str, *, days: int = 2) -> Certificate:
        """A certificate for a host name; with negative `days` it has expired."""
        stem = self._directory / f"{self._name}-{name}-{days}"
        request, key, file = (stem.with_suffix(suffix) for suffix in (".csr", ".key", ".crt"))
        extension = f"subjectAltName=DNS:{name}"
        _openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", "/CN=server", "-addext", extension)
        signer = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-out", file)
        return Certificate(file, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


class TlsServer:
    """Speaks PostgreSQL's way into TLS, and carries what comes out of it to a server without. Use with `async with`.

    Whoever does not ask for TLS is hung up on.
    """

    def __init__(
        self, url: str, certificate: Certificate, *, clients: Authority | None = None, direct: bool = False
    ) -> None:
        """
        Args:
            clients: lets in only clients with a certificate of this authority.
            direct: TLS from the first byte, as `sslnegotiation=direct` has it.
        """
        self._parts = urlsplit(url)
        self._context = certificate.server_context(clients)
        self._direct = direct
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.handshakes = 0
        """Connections that got through TLS."""
        self.plain = 0
        """Connections that began without it."""

    def url(self, host: str = "localhost", query: str = "sslmode=verify-full") -> str:
        """The server's URL, through TLS; with the password "s3cret" where the server asks for none."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        password = self._parts.password or "s3cret"
        return f"postgresql://{self._parts.username}:{password}@{host}:{port}{self._parts.path}?{query}"

    async def __aenter__(self) -> Self:
        context = self._context if self._direct else None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # one side is gone, or would not have our certificate
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._direct:
            if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                self.plain += 1
                return
            writer.write(b"S")
            await writer.start_tls(self._context)
        self.handshakes += 1
        far_reader, far_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port or 5432)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, far_writer))
                group.create_task(_carry(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass  # one side is gone
    writer.transport.abort()
