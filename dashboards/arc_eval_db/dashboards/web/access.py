"""Who looks at a page, and whether they may change something."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from arc_eval_db.dashboards.api import tokens
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.api.tokens import Actor, Scope
from arc_eval_db.dashboards.web.database import WebDatabase
from arc_eval_db.dashboards.web.sessions import Login
from arc_eval_db.database import DatabaseError, Session
from arc_eval_db.errors import ArcEvalError, RetryableError

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

ANYBODY = Actor("the dashboard, without a token", Scope.ADMIN)
ANY_READER = Actor("the dashboard, without a token", Scope.READ)
"""Where the database's login may not look at tokens: whoever is on this machine may read, and nobody may change."""

OPEN_TO_ANYBODY = (
    "there is no token: whoever reaches this address may look and change, also through a proxy on this machine that "
    "adds no header of its own; make one: arc-eval-db api token create --scope admin --name NAME"
)

# While the database is away nobody's token can be looked up, and the pages are needed most.
_GRACE_S = 900.0
_KNOWN_MAX = 1000
_NO_PRIVILEGE = "42501"


class NotLetInError(ArcEvalError):
    """A token is needed, and none that is good was shown."""


@dataclass(frozen=True, slots=True)
class _Known:
    actor: Actor | None
    at_s: float


class Access:
    """Looks tokens up, and remembers for some seconds what it has seen."""

    def __init__(
        self,
        settings: ApiSettings,
        database: WebDatabase,
        check_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            check_s: for how long an answer of the database is good.
        """
        self._settings = settings
        self._database = database
        self._check_s = check_s
        self._now_s = now_s
        self._known: dict[str | None, _Known] = {}
        self._has_warned = False

    async def who(self, login: Login | None, *, is_forwarded: bool = False, fresh: bool = False) -> Actor:
        """Who this is.

        Args:
            login: what the cookie says, if anything.
            is_forwarded: the request has come through a proxy, so it only looks as if it were this machine's user.
            fresh: ask the database now, whatever it said some seconds ago; for changes.

        Raises:
            NotLetInError: a token is needed.
            RetryableError: the database is away, and this was not known before.
            FatalError: the database cannot be used; a person has to mend it.
        """
        if login is None and (self._settings.tokens_required or is_forwarded):
            raise NotLetInError
        token_id = None if login is None else login.token_id
        actor = await self._actor(token_id, fresh=fresh)
        if actor is None:
            raise NotLetInError
        return actor

    async def log_in(self, token: str) -> str:
        """The id of a token that is good.

        Raises:
            NotLetInError: it is not.
            RetryableError, FatalError: as `who`.
        """
        found = await self._database.read(lambda session: tokens.authenticate(session, token))
        if found.actor is None:
            # Never the token: what is wrong may be half of somebody's secret.
            log.warning("dashboard_login_refused", reason=found.refusal.value if found.refusal else None)
            raise NotLetInError
        parsed = tokens.parse_token(token)
        assert parsed is not None
        log.info("dashboard_login", by=found.actor.by)
        return parsed[0]

    async def bearer(self, token: str) -> Actor:
        """Who has this token; for programs, which keep no cookies.

        Raises:
            NotLetInError: it is not good.
            RetryableError, FatalError: as `who`.
        """
        found = await self._database.read(lambda session: tokens.authenticate(session, token))
        if found.actor is None:
            log.warning("dashboard_token_refused", reason=found.refusal.value if found.refusal else None)
            raise NotLetInError
        return found.actor

    async def _actor(self, token_id: str | None, *, fresh: bool) -> Actor | None:
        known = self._known.get(token_id)
        if known is not None and not fresh and self._now_s() - known.at_s < self._check_s:
            return known.actor
        try:
            actor = await self._look_up(token_id)
        except RetryableError:
            if known is None or fresh or self._now_s() - known.at_s > _GRACE_S:
                raise
            return known.actor
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[token_id] = _Known(actor, self._now_s())
        return actor

    def _anybody(self) -> Actor:
        if not self._has_warned:
            self._has_warned = True
            log.warning("dashboard_open_to_anybody", advice=OPEN_TO_ANYBODY)
        return ANYBODY

    async def _look_up(self, token_id: str | None) -> Actor | None:
        async def look(session: Session) -> Actor | None:
            if token_id is not None:
                return await tokens.actor_of(session, token_id)
            return None if (await tokens.authenticate(session, None)).any_token else self._anybody()

        try:
            return await self._database.read(look)
        except DatabaseError as error:
            if error.sqlstate == _NO_PRIVILEGE and token_id is None and not self._settings.tokens_required:
                return ANY_READER
            raise
