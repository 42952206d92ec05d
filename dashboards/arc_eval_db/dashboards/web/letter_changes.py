"""Retrying and discarding dead letters from a page: asked first, done under somebody's name, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from arc_eval_db.dashboards.api.tokens import Actor
from arc_eval_db.dashboards.web.elements import Confirm, tag
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay import (
    DeadLetterRetry,
    LetterFilter,
    RetryOptions,
    RetryReport,
    discard_letters,
    read_bounds,
    require_privilege,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

# Two runs would pass over each other's letters, which is harmless and tells nobody anything.
_one_at_a_time = asyncio.Lock()

_BUSY = "another change of dead letters is running; wait for its end, and try again"


class LetterChanges:
    """The dialog, the notice of what came of it, and the work itself."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._confirm = Confirm()
        self._notice = tag("p", classes="notice", role="status", data_notice="")
        self._notice.set_visibility(False)

    def ask_retry(self, what: str, chosen: LetterFilter, *, quarantined: bool = False) -> None:
        """Ask, then try letters again.

        Args:
            what: the letters, in words.
            quarantined: those that are quarantined too.
        """

        async def work(by: Actor) -> str:
            options = RetryOptions(by.by, quarantined=quarantined)

            def say(so_far: RetryReport) -> None:
                self._say(_told(so_far), "info")

            retry = DeadLetterRetry(self._view.dashboard.topics, options, say)
            async with self._view.dashboard.database.change() as session:
                return _told(await retry.run(session, chosen))

        text = "Each goes through the present code again: what is valid now becomes a row; what is there already stays."
        self._ask(f"Retry {what}?", text, "Retry", work)

    def ask_discard(self, what: str, chosen: LetterFilter) -> None:
        """Ask, then give letters up; those that come meanwhile are not meant."""

        async def work(by: Actor) -> str:
            async with self._view.dashboard.database.change() as session:
                await require_privilege(session, "changes", "change dead letters")
                bounds = await read_bounds(session)
                count = await discard_letters(session, chosen, by=by.by, up_to_id=bounds.up_to_id)
            return f"discarded {count:,}" if count else "nothing to discard"

        text = "They stay in the table and are never tried again. This cannot be undone."
        self._ask(f"Discard {what}?", text, "Discard", work)

    def _ask(self, title: str, text: str, confirm: str, work: Callable[[Actor], Awaitable[str]]) -> None:
        async def confirmed() -> None:
            await self._do(title, work)

        self._confirm.ask(title, text, confirm, confirmed)

    async def _do(self, title: str, work: Callable[[Actor], Awaitable[str]]) -> None:
        """Whoever looks may be gone by the end; the work is done all the same."""
        if _one_at_a_time.locked():
            self._say(_BUSY, "warn")
            return
        try:
            async with _one_at_a_time:
                by = await self._view.changer()
                log.info("dashboard_letters_change", what=title, by=by.by)
                self._say(f"{title} at work", "info")
                self._say(f"{title} {await work(by)}", "ok")
        except ArcEvalError as error:
            log.warning("dashboard_letters_change_failed", what=title, cause=type(error).__name__, error=str(error))
            self._say(f"{title} failed: {error}", "critical")
        self._view.dashboard.board.refresh("dead letters")

    def _say(self, text: str, tone: str) -> None:
        if self._view.client.is_deleted:
            return
        self._notice.set_visibility(True)
        self._notice.text = text
        self._notice.classes(replace=f"notice notice-{tone}")


def _told(report: RetryReport) -> str:
    """What became of letters.

    >>> _told(RetryReport(stored=2, duplicates=1))
    'tried 3: 2 stored, 1 there already, 0 refused again'
    """
    stored = f"{report.stored:,} stored, {report.duplicates:,} there already"
    parts = [f"tried {report.attempted:,}: {stored}, {report.refused.total():,} refused again"]
    if report.refused:
        parts.append("for " + ", ".join(f"{reason} ({count:,})" for reason, count in report.refused.most_common()))
    if report.quarantined:
        parts.append(f"{report.quarantined:,} of them are quarantined now")
    if report.unknown_topics:
        parts.append(f"{report.unknown_topics.total():,} are of topics that this prefix does not have")
    if report.left_quarantined:
        parts.append(f"{report.left_quarantined:,} quarantined ones were left alone")
    return "; ".join(parts)
