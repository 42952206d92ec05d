"""Logging in as one of the schema's roles."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from arc_eval_db.database import DatabaseSettings
from support.databases import connect

ROLES = ("arc_eval_writer", "arc_eval_reader", "arc_eval_admin")


async def as_role(settings: DatabaseSettings, role: str) -> DatabaseSettings:
    """The same database for another login, with a password where the server asks for one."""
    parts = urlsplit(settings.database_url.get_secret_value())
    login, _, address = parts.netloc.rpartition("@")
    password = login.partition(":")[2]
    if password:
        async with await connect(settings) as session:
            # The role is the cluster's: set for all tests alike.
            quoted = unquote(password).replace("'", "''")
            await session.execute(f"ALTER ROLE {role} PASSWORD '{quoted}'")
    netloc = f"{role}:{password}@{address}" if password else f"{role}@{address}"
    return settings.model_copy(update={"database_url": SecretStr(urlunsplit(parts._replace(netloc=netloc)))})
