"""Logging in with an API token, and out again."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from arc_eval_db.dashboards.web.access import Access, NotLetInError
from arc_eval_db.dashboards.web.gate import LOGIN_PATH
from arc_eval_db.dashboards.web.plain import away_page, local_path, login_page
from arc_eval_db.dashboards.web.sessions import COOKIE, Sessions
from arc_eval_db.errors import ArcEvalError, RetryableError

# A token has 82 characters, and an address hardly more than a thousand.
_FORM_BYTES_MAX = 8_192


class LoginRoutes:
    """The three requests."""

    def __init__(self, access: Access, sessions: Sessions) -> None:
        self._access, self._sessions = access, sessions

    async def show(self, request: Request) -> Response:
        """The form."""
        return login_page(local_path(request.query_params.get("next", "/")))

    async def log_in(self, request: Request) -> Response:
        """Take the form: a cookie and the page that was wanted, or the form again."""
        form = await _form(request)
        if form is None:
            return login_page("/", problem="The form is too large.", status=413)
        next_path = local_path(form.get("next", "/"))
        try:
            token_id = await self._access.log_in(form.get("token", "").strip())
        except NotLetInError:
            return login_page(next_path, problem="This is not a token, or it is good no more.", status=401)
        except ArcEvalError as error:
            return away_page(str(error), is_passing=isinstance(error, RetryableError))
        response = RedirectResponse(next_path, 303)
        response.set_cookie(
            COOKIE,
            self._sessions.issue(token_id),
            max_age=self._sessions.lifetime_s,
            # What the browser calls its own address: behind a proxy with TLS the cookie must not go without.
            secure=request.headers.get("origin", "").startswith("https://"),
            httponly=True,
            samesite="strict",
        )
        return response

    async def log_out(self, _: Request) -> Response:
        """Forget the cookie."""
        response = RedirectResponse(LOGIN_PATH, 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


async def _form(request: Request) -> dict[str, str] | None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _FORM_BYTES_MAX:
            return None
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
