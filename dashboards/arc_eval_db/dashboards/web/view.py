"""One page in one browser: its panels, who looks, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlencode

import structlog
from nicegui import Client
from starlette.requests import Request

from arc_eval_db.dashboards.api.tokens import Actor, Scope
from arc_eval_db.dashboards.web.access import NotLetInError
from arc_eval_db.dashboards.web.dashboard import Dashboard
from arc_eval_db.dashboards.web.elements import Moment, Tag, tag
from arc_eval_db.dashboards.web.live import Seen, Source
from arc_eval_db.dashboards.web.sessions import Login
from arc_eval_db.errors import ArcEvalError

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

_QUERY_CHARACTERS_MAX = 500
_FAILED = "this panel failed ({}); the server's log says more"

Build = Callable[[], Callable[[T], None]]
"""Makes a panel's elements, empty, and returns what fills them with a look."""


class View:
    """A page that is being built, and then kept up to date until its browser is gone."""

    def __init__(self, dashboard: Dashboard, client: Client, request: Request) -> None:
        self.dashboard = dashboard
        self.client = client
        self.request = request
        self.actor: Actor = request.state.actor
        self.login: Login | None = request.state.login
        self._tasks: list[asyncio.Task[None]] = []
        self._first_looks: list[asyncio.Event] = []
        client.on_connect(self._on_connect)
        client.on_delete(self._end)
        self._start(self._watch_login(), "login")

    @property
    def may_change(self) -> bool:
        """Whether whoever looks may change something; asked again with `changer` before anything is."""
        return self.actor.scope is Scope.ADMIN

    async def changer(self) -> Actor:
        """Who changes something now, asked of the database anew.

        Raises:
            NotLetInError: nobody any more, or somebody who may only read.
        """
        actor = await self.dashboard.access.who(self.login, fresh=True)
        if actor.scope is not Scope.ADMIN:
            raise NotLetInError("this login may only read; one that may change things needs a token of scope admin")
        return actor

    def parameter(self, name: str, default: str = "", *, allowed: Sequence[str] | None = None) -> str:
        """A parameter of the page's address; the default where it is not one of those that are allowed.

        It is whatever somebody has typed: to be shown as text and given to the database as a parameter.
        """
        value = self.request.query_params.get(name, default)[:_QUERY_CHARACTERS_MAX].replace("\0", "")
        return default if allowed is not None and value not in allowed else value

    def address(self, **changes: str | None) -> str:
        """This page's address with some parameters changed; None and empty leave one out."""
        values: dict[str, str | None] = {**self.request.query_params, **changes}
        query = urlencode({name: value for name, value in values.items() if value})
        return self.request.url.path + (f"?{query}" if query else "")

    @contextlib.contextmanager
    def section(self, title: str, *, classes: str = "", hint: str = "") -> Iterator[Tag]:
        """A part of the page with a title that does not change by itself."""
        with tag("section", classes=f"panel {classes}", aria_label=title) as section:
            with tag("div", classes="panel-head"):
                tag("h2", title)
            if hint:
                tag("p", hint, "hint")
            yield section

    def panel(self, title: str, source: Source[T], build: Build[T], *, classes: str = "", hint: str = "") -> None:
        """A part of the page that shows a source, and every newer look at it.

        Where the source fails the panel says why, beside what was seen last; the other panels go on.
        """
        with tag("section", classes=f"panel {classes}", aria_label=title):
            with tag("div", classes="panel-head"):
                tag("h2", title)
                with tag("span", classes="stamp"):
                    stamp = Moment(None, before="as of")
            if hint:
                tag("p", hint, "hint")
            problem = tag("p", classes="notice notice-warn", role="status")
            problem.set_visibility(False)
            with tag("div") as body:
                fill = build()
        last: T | None = None

        def show(seen: Seen[T]) -> None:
            nonlocal last
            stamp.show(seen.seen_at)
            problem.set_visibility(seen.problem is not None)
            if seen.problem is not None:
                problem.text = seen.problem
            if seen.value is not None and seen.value != last:
                fill(seen.value)
                last = seen.value

        self.follow(source, show, inside=body)

    def follow(self, source: Source[T], show: Callable[[Seen[T]], None], *, inside: Tag) -> None:
        """Have each look at a source shown, until the browser is gone.

        Args:
            inside: where elements are added that `show` makes.
        """
        first = asyncio.Event()
        self._first_looks.append(first)
        self._start(self._follow(source, show, inside, first), str(source.key[0]))

    async def ready(self, timeout_s: float) -> None:
        """Wait until every panel has shown something, and no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for first in self._first_looks:
                    await first.wait()

    def _start(self, work: Awaitable[None], name: str) -> None:
        async def run() -> None:
            await work

        self._tasks.append(asyncio.create_task(run(), name=f"view {name}"))

    async def _follow(
        self, source: Source[T], show: Callable[[Seen[T]], None], inside: Tag, first: asyncio.Event
    ) -> None:
        try:
            async with contextlib.aclosing(self.dashboard.board.follow(source)) as looks:
                async for seen in looks:
                    with inside:
                        show(seen)
                    first.set()
        except ArcEvalError as error:
            with inside:
                show(Seen(problem=str(error)))
        except Exception as error:
            log.exception("dashboard_panel_failed", source=source.key[0], cause=type(error).__name__)
            with inside:
                tag("p", _FAILED.format(type(error).__name__), "notice notice-warn")
        finally:
            first.set()

    async def _watch_login(self) -> None:
        """Send the browser to the login once its token is good no more."""
        while True:
            await asyncio.sleep(self.dashboard.settings.token_check_s)
            try:
                await self.dashboard.access.who(self.login)
            except NotLetInError:
                self.client.open("/login")
                return
            except ArcEvalError as error:
                # The page itself says that the database is away; nobody is sent off for that.
                log.debug("dashboard_login_not_checked", cause=type(error).__name__)

    def _on_connect(self) -> None:
        """The WebSocket has to be of the same login as the page, whose address alone must not be enough."""
        scope = (self.client.environ or {}).get("asgi.scope", {})
        if scope.get("state", {}).get("login") != self.login:
            log.warning("dashboard_socket_of_another_login")
            self.client.delete()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
