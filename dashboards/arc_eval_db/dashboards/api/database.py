"""What the API asks the database through."""

from __future__ import annotations

import asyncio
from typing import Self

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.configurations import ConfigurationManager
from arc_eval_db.configurations.bounded import Bounded
from arc_eval_db.configurations.content_schema_checking import ContentSchemas
from arc_eval_db.dashboards.api.tokens import Authenticated, authenticate, has_usable_token, require_tokens_table
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.retries import RetryPolicy

# Less than a request may take: what cannot be done in time is said, and not cut off.
_RETRIES = RetryPolicy(attempts_max=3, deadline_s=25.0)


class ApiDatabase:
    """Two pools of connections: one for configurations, one for tokens and comparisons. Use with `async with`.

    Needs the rights of `arc_eval_admin`.
    """

    def __init__(
        self, settings: DatabaseSettings, *, retries: RetryPolicy = _RETRIES, bounded: Bounded | None = None
    ) -> None:
        """
        Args:
            settings: of the pools; they open one connection each, and more as they need them.
            bounded: does what takes long: contents' schemas, and the differences of large ones.
        """
        self.bounded = bounded or Bounded()
        own = settings.model_copy(update={"database_pool_size_min": 1})
        self.configurations = ConfigurationManager(
            # Quiet: what is not there is the asker's error, and the others are logged with the request.
            own,
            application_name="arc-eval-db api configurations",
            retries=retries,
            is_quiet=True,
            schemas=ContentSchemas(self.bounded),
        )
        self._ping: asyncio.Task[None] | None = None
        self.client = ArcEvalDBClient(own, application_name="arc-eval-db api", retries=retries)

    async def open(self) -> None:
        """Open both pools; nothing happens where they are open.

        Raises:
            SchemaOutdatedError: the database lacks a table that the API needs.
            RetryableError, FatalError: as `ConfigurationManager.open`.
        """
        try:
            await self.configurations.open()
            await self.client.open()
            await self.client.read("api_open", require_tokens_table)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close both pools."""
        if self._ping is not None:
            self._ping.cancel()
        try:
            await self.configurations.close()
        finally:
            await self.client.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def authenticate(self, token: str | None) -> Authenticated:
        """Who has this token; None: nobody has shown one."""
        return await self.client.read("api_authenticate", lambda session: authenticate(session, token))

    async def has_usable_token(self) -> bool:
        """Whether anybody could be let in by a token."""
        return await self.client.read("api_has_usable_token", has_usable_token)

    async def is_open_to_anybody(self) -> bool:
        """Whether there is no token at all, not even one that was revoked: then loopback asks for none."""
        return not (await self.authenticate(None)).any_token

    async def ping(self) -> None:
        """Ask the database something, once for all who want to know at the same time."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ask())
            # Where nobody waits any more, nobody else asks how it went.
            self._ping.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._ping)

    async def _ask(self) -> None:
        async def ask(session: Session) -> None:
            await session.fetch_value("SELECT 1")

        await self.client.read("api_ping", ask)
