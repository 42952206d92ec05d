"""Bearer tokens: what they look like, what the database keeps of them, and whether one that was shown is good.

`aedb_` + 12 digits, the public id + `_` + 64 digits, the secret (all hexadecimal): one pattern finds a leaked one. The
database keeps the secret's SHA-256. NIST SP 800-63B (5.1.2.2) asks for salt and a slow hash below 112 bits of entropy,
as passwords have; this secret has 256, and every request would pay for the slowness.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import structlog

from arc_eval_db.database import DatabaseError, Session
from arc_eval_db.errors import PoisonError
from arc_eval_db.migrations import SchemaOutdatedError
from arc_eval_db.sql import queries

NAME_CHARACTERS_MAX = 100

_STATEMENTS = queries("api_tokens")
_TOKEN = re.compile(r"aedb_([0-9a-f]{12})_([0-9a-f]{64})")
_TOKEN_ID = re.compile(r"[0-9a-f]{12}")
# Compared with where there is no such token, so that both ways cost the same.
_NO_HASH = bytes(32)

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.api")


class TokenNotFoundError(PoisonError):
    """There is no token with this id; those that are: arc-eval-db api token list"""


class TokenRefusedError(PoisonError):
    """A token cannot be made like this."""


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    ADMIN = "admin"
    """To read, and to change."""


class Refusal(StrEnum):
    """Why a request is not let in; for the log, never for whoever asked."""

    NO_TOKEN = "no_token"  # noqa: S105 - the name of a reason
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - the name of a reason
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token; the secret is not."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    """None: never."""
    last_used_at: datetime | None
    """To the hour."""
    revoked_at: datetime | None
    revoked_by: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `api_tokens`."""
        return cls(**{**row, "scope": Scope(row["scope"])})

    def state(self, now: datetime | None = None) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        is_expired = self.expires_at is not None and self.expires_at <= (now or datetime.now(UTC))
        return "expired" if is_expired else "active"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a request."""

    by: str
    """For the audit trail."""
    scope: Scope


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What came of looking at a token: an actor, or why there is none."""

    actor: Actor | None
    refusal: Refusal | None
    any_token: bool
    """Whether the database has any token, good or not."""


def hash_of(secret: str) -> bytes:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def parse_token(text: str) -> tuple[str, str] | None:
    """The id and the secret of a token; None where it is none.

    >>> parse_token("aedb_" + "0" * 12 + "_" + "a" * 64)[0]
    '000000000000'
    """
    match = _TOKEN.fullmatch(text)
    return None if match is None else (match[1], match[2])


async def authenticate(session: Session, text: str | None) -> Authenticated:
    """Look a token up, and note to the hour that it is in use. None: the request brought none."""
    parsed = None if text is None else parse_token(text)
    rows = await session.fetch(_STATEMENTS["authenticate"], parsed[0] if parsed else None)
    row = rows[0]
    refusal = _refusal(text, parsed, row)
    if refusal is not None:
        return Authenticated(None, refusal, row["any_token"])
    if row["is_use_to_be_noted"]:
        await _note_use(session, row["id"])
    return Authenticated(_actor(row), None, True)


async def actor_of(session: Session, token_id: str) -> Actor | None:
    """Who has shown the token of this id before; None where it is good no more."""
    (row,) = await session.fetch(_STATEMENTS["authenticate"], token_id)
    if row["id"] is None or row["is_revoked"] or row["is_expired"]:
        return None
    return _actor(row)


def _actor(row: Mapping[str, Any]) -> Actor:
    return Actor(f"{row['name']} (token {row['id']})", Scope(row["scope"]))


def _refusal(text: str | None, parsed: tuple[str, str] | None, row: Mapping[str, Any]) -> Refusal | None:
    if text is None:
        return Refusal.NO_TOKEN
    if parsed is None:
        return Refusal.MALFORMED
    is_right = hmac.compare_digest(row["secret_hash"] or _NO_HASH, hash_of(parsed[1]))
    if row["id"] is None:
        return Refusal.UNKNOWN
    if not is_right:
        return Refusal.WRONG_SECRET
    if row["is_revoked"]:
        return Refusal.REVOKED
    return Refusal.EXPIRED if row["is_expired"] else None


async def _note_use(session: Session, token_id: str) -> None:
    try:
        await session.execute(_STATEMENTS["note_use"], token_id)
    except DatabaseError as error:
        # A standby takes no writes, and can be read all the same.
        log.warning("api_token_use_not_noted", token=token_id, cause=type(error).__name__)


async def require_tokens_table(session: Session) -> None:
    """Check that the migration is applied.

    Raises:
        SchemaOutdatedError: it is not.
    """
    if not await session.fetch_value(_STATEMENTS["has_tokens_table"]):
        raise SchemaOutdatedError("the database lacks migration 0012_api_tokens; run: arc-eval-db migrate up")


async def has_usable_token(session: Session) -> bool:
    """Whether there is a token that is neither revoked nor expired."""
    return bool(await session.fetch_value(_STATEMENTS["has_usable_token"]))


async def create_token(
    session: Session, *, name: str, scope: Scope, by: str, lifetime: timedelta | None
) -> tuple[ApiToken, str]:
    """Make a token. The text is nowhere else: who loses it makes another.

    Args:
        lifetime: None: it never expires.

    Raises:
        TokenRefusedError: the name or the lifetime cannot be taken.
    """
    if not name.isprintable() or not 0 < len(name.strip()) <= NAME_CHARACTERS_MAX:
        raise TokenRefusedError(f"a token's name has 1 to {NAME_CHARACTERS_MAX} characters that can be printed")
    if lifetime is not None and lifetime <= timedelta(0):
        raise TokenRefusedError("a token that expires at once is good for nothing; give it a day, or never")
    token_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    rows = await session.fetch(_STATEMENTS["insert_token"], token_id, name, scope.value, hash_of(secret), by, lifetime)
    return ApiToken.of(rows[0]), f"aedb_{token_id}_{secret}"


async def list_tokens(session: Session) -> list[ApiToken]:
    """All tokens, revoked and expired ones too, the latest first."""
    return [ApiToken.of(row) for row in await session.fetch(_STATEMENTS["tokens"])]


async def revoke_token(session: Session, token_id: str, *, by: str) -> ApiToken:
    """Let a token be good for nothing from the next request on. Again it changes nothing.

    Raises:
        TokenNotFoundError: there is none with this id.
    """
    rows = await session.fetch(_STATEMENTS["revoke"], token_id, by) if _TOKEN_ID.fullmatch(token_id) else ()
    if not rows:
        raise TokenNotFoundError
    return ApiToken.of(rows[0])
