"""Which configuration version a person means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.sql import queries

_HASH = re.compile(r"sha256:([0-9a-f]{4,64})", re.IGNORECASE)
_SHOWN_MAX = 10


class UnknownConfigurationError(FatalError):
    """No one configuration version is meant by this."""


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A configuration version that is in the database."""

    id: UUID
    name: str | None
    """Of its configuration."""


async def resolve_version(session: Session, reference: UUID | str) -> FoundVersion:
    """The version that is meant by its id, the beginning of its hash (`sha256:1a2b`), or its configuration's name.

    A name means the one version of it that has outcomes.

    Raises:
        UnknownConfigurationError: there is none, or there are several.
    """
    statements = queries("comparison")
    text = str(reference).strip()
    try:
        rows = await session.fetch(statements["version_of_id"], UUID(text))
    except ValueError:
        if match := _HASH.fullmatch(text):
            rows = await session.fetch(statements["versions_of_hash"], match[1].lower(), _SHOWN_MAX + 1)
        else:
            rows = await session.fetch(statements["versions_of_name"], text, _SHOWN_MAX + 1)
    if len(rows) == 1:
        return FoundVersion(UUID(str(rows[0]["id"])), rows[0]["name"])
    if rows:
        shown = ", ".join(str(row["id"]) for row in rows[:_SHOWN_MAX])
        raise UnknownConfigurationError(
            f"{text}: that is more than one version with outcomes; name one by its id: {shown}"
            + (", …" if len(rows) > _SHOWN_MAX else "")
        )
    raise UnknownConfigurationError(
        f"{text}: no configuration version with this id, hash (sha256:…) or name has outcomes; "
        "performance_daily lists those that have"
    )
