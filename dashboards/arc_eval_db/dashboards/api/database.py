"""What the API asks the database through."""

from __future__ import annotations

from typing import Self

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.configurations import ConfigurationManager
from arc_eval_db.dashboards.api.tokens import Authenticated, authenticate, has_usable_token, require_tokens_table
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.retries import RetryPolicy

# Less than a request may take: what cannot be done in time is said, and not cut off.
_RETRIES = RetryPolicy(attempts_max=3, deadline_s=25.0)


class ApiDatabase:
    """Two pools of connections: one for configurations, one for tokens and comparisons. Use with `async with`.

    Needs the rights of `arc_eval_admin`.
    """

    def __init__(self, settings: DatabaseSettings, *, retries: RetryPolicy = _RETRIES) -> None:
        """
        Args:
            settings: of the pools; they open one connection each, and more as they need them.
        """
        own = settings.model_copy(update={"database_pool_size_min": 1})
        self.configurations = ConfigurationManager(
            # Quiet: what is not there is the asker's error, and the others are logged with the request.
            own,
            application_name="arc-eval-db api configurations",
            retries=retries,
            is_quiet=True,
        )
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

    async def ping(self) -> None:
        """Ask the database something."""

        async def ask(session: Session) -> None:
            await session.fetch_value("SELECT 1")

        await self.client.read("api_ping", ask)
