"""Who makes a request: looked at before its address is, so that nobody without a token learns what there is."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arc_eval_db.dashboards.api import tokens
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.middleware import is_open, is_safe
from arc_eval_db.dashboards.api.problems import Kind, ProblemError
from arc_eval_db.dashboards.api.settings import ApiSettings

_REALM = 'Bearer realm="arc-eval-db"'
_ANYBODY = tokens.Actor("the API, without a token", tokens.Scope.ADMIN)
# What a proxy adds: then it is not this machine's user who asks, and only looks so.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.api")


class Authentication:
    """Lets in whoever has a good token; on loopback whoever is there, as long as the database has no token at all."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, database: ApiDatabase) -> None:
        self._app, self._settings, self._database = app, settings, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope):
            await self._app(scope, receive, send)
            return
        actor = await self._actor(scope)
        scope.setdefault("state", {})["actor"] = actor
        if is_safe(scope["method"]):
            await self._app(scope, receive, send)
        else:
            await self._change(actor, scope, receive, send)

    async def _change(self, actor: tokens.Actor, scope: Scope, receive: Receive, send: Send) -> None:
        """Say who changes what, and how it ends: what is not taken, and what took too long, too."""

        def tell(status: int) -> None:
            by = "anonymous" if actor is _ANYBODY else actor.by
            log.info("api_change_answered", by=by, method=scope["method"], path=scope["path"], status=status)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            tell(error.status_code if isinstance(error, ProblemError) else 500)
            raise

    async def _actor(self, scope: Scope) -> tokens.Actor:
        headers = Headers(scope=scope)
        given = headers.getlist("authorization")
        found = await self._database.authenticate(_token_in(given))
        if found.actor is None:
            if not given and not found.any_token and not self._needs_token(headers):
                return _ANYBODY
            assert found.refusal is not None
            raise _refused(scope, found.refusal)
        if found.actor.scope is tokens.Scope.READ and not is_safe(scope["method"]):
            log.warning("api_scope_insufficient", by=found.actor.by, method=scope["method"])
            raise ProblemError(
                Kind.FORBIDDEN,
                "this token may only read; one that may change things: arc-eval-db api token create --scope admin",
                headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="admin"'},
            )
        return found.actor

    def _needs_token(self, headers: Headers) -> bool:
        return self._settings.tokens_required or any(name in headers for name in _FORWARDED)


def _token_in(given: list[str]) -> str | None:
    """What stands behind `Bearer`; something that is no token where the header cannot be read."""
    if not given:
        return None
    kind, _, token = given[0].partition(" ")
    return token.strip() if len(given) == 1 and kind.lower() == "bearer" else ""


def _refused(scope: Scope, refusal: tokens.Refusal) -> ProblemError:
    client = scope.get("client")
    # Never the token, nor its id: what is wrong may be half of somebody's secret.
    log.warning("api_authentication_refused", reason=refusal.value, client=client[0] if client else None)
    is_wrong = refusal is not tokens.Refusal.NO_TOKEN
    return ProblemError(
        Kind.UNAUTHENTICATED,
        "send the header Authorization: Bearer TOKEN; make a token with: arc-eval-db api token create",
        headers={"WWW-Authenticate": _REALM + (', error="invalid_token"' if is_wrong else "")},
    )


def _by(request: Request) -> str:
    actor: tokens.Actor = request.state.actor
    return actor.by


By = Annotated[str, Depends(_by)]
"""Who makes the request, for the audit trail."""
