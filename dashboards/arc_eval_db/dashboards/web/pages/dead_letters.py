"""Records that could not become rows: how many and why, each with what it holds, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable

from arc_eval_db.dashboards.web.data.dead_letters import (
    STATES,
    LetterPage,
    WholeLetter,
    letter_counts,
    letter_page,
    whole_letter,
)
from arc_eval_db.dashboards.web.elements import DataTable, tag
from arc_eval_db.dashboards.web.forms import filters, select
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.letter_changes import LetterChanges
from arc_eval_db.dashboards.web.letter_rows import (
    count_columns,
    count_rows,
    letter_columns,
    letter_facts,
    letter_row,
)
from arc_eval_db.dashboards.web.payloads import Payload, visible
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.replay import LetterFilter
from arc_eval_db.schemas.refusals import RefusalReason

_REASONS = [reason.value for reason in RefusalReason]
_ID_DIGITS_MAX = 18
_UNCHECKED = "As it came out of the log; nobody has checked it for secrets."


@page("/dead-letters", "Dead letters", key="d", order=60)
async def dead_letters(view: View) -> None:
    """Build the page."""
    state = view.parameter("state", "unresolved", allowed=list(STATES))
    reason = view.parameter("reason", allowed=["", *_REASONS])
    topic = view.parameter("topic")
    before = _id_in(view.parameter("before"))
    chosen = LetterFilter(reasons=(RefusalReason(reason),) if reason else None, topics=(topic,) if topic else None)
    with tag("div", classes="page-head"):
        tag("h1", "Dead letters")
        tag("p", "Records that could not become rows. What to do with them: docs/dead-letters.md")
    with filters(view, "Which dead letters"):
        select("state", "State", list(STATES), state)
        select("reason", "Reason", ["", *_REASONS], reason)
        select("topic", "Topic", ["", *view.dashboard.topics.all], topic)
    changes = LetterChanges(view)
    if view.may_change:
        _bulk_buttons(changes, chosen, " ".join(filter(None, [reason, f"of {topic}" if topic else ""])))
    with tag("div", classes="grid"):
        counts = view.dashboard.source(
            "dead letters", "counts", chosen, state, load=lambda session: letter_counts(session, chosen, state)
        )
        view.panel("By reason", counts, _counts)
        found = view.dashboard.source(
            *("dead letters", "list", chosen, state, before),
            load=lambda session: letter_page(session, chosen, state, before),
        )
        view.panel("Letters", found, lambda: _letters(view, changes))


@page("/dead-letters/{letter_id}", "Dead letter", under="/dead-letters")
async def dead_letter(view: View) -> None:
    """Build the page of one letter."""
    letter_id = _id_in(view.request.path_params["letter_id"])
    with tag("div", classes="page-head"):
        tag("h1", "Dead letter" if letter_id is None else f"Dead letter {letter_id}")
        tag("a", "All dead letters", href="/dead-letters")
    if letter_id is None:
        tag("p", "This is no id of a dead letter.", "notice notice-warn", role="alert")
        return
    changes = LetterChanges(view)
    if view.may_change:
        one = LetterFilter(ids=(letter_id,))
        with tag("div", classes="actions"):
            retry, discard = tag("button", "Retry", type="button"), tag("button", "Discard", type="button")
        what = f"dead letter {letter_id}"
        retry.on("click", lambda: changes.ask_retry(what, one, quarantined=True), args=[])
        discard.on("click", lambda: changes.ask_discard(what, one), args=[])
    source = view.dashboard.source("dead letters", letter_id, load=lambda session: whole_letter(session, letter_id))
    with tag("div", classes="grid"):
        view.panel("What is known of it", source, _facts, classes="half")
        view.panel("The record", source, _record, classes="half", hint=_UNCHECKED)


def _id_in(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX else None


def _bulk_buttons(changes: LetterChanges, chosen: LetterFilter, words: str) -> None:
    """For all letters that the filter means, on whichever page they are."""
    what = f"all open dead letters {words}".strip()
    with tag("div", classes="actions"):
        retry = tag("button", f"Retry all open{f' {words}' if words else ''}", type="button", data_action="retry-all")
        retry.on("click", lambda: changes.ask_retry(what, chosen), args=[])
        if words:
            discard = tag("button", f"Discard all {words}", type="button", data_action="discard-all")
            discard.on("click", lambda: changes.ask_discard(f"all unresolved dead letters {words}", chosen), args=[])


def _counts() -> Callable[..., None]:
    table = DataTable("Dead letters by reason", count_columns(), empty="No dead letters of this kind.")
    return lambda counts: table.show(count_rows(counts))


def _letters(view: View, changes: LetterChanges) -> Callable[[LetterPage], None]:
    def act(action: str, key: str) -> None:
        if action == "retry" and (letter_id := _id_in(key)) is not None:
            changes.ask_retry(f"dead letter {letter_id}", LetterFilter(ids=(letter_id,)), quarantined=True)

    empty = "No dead letters of this kind."
    table = DataTable("Dead letters, the newest first", letter_columns(), empty=empty, on_action=act)
    with tag("nav", classes="pager", aria_label="Pages of dead letters"):
        newest = tag("a", "Newest", href=view.address(before=None))
        older = tag("a", "Older", href="/dead-letters")

    def fill(found: LetterPage) -> None:
        table.show([letter_row(letter, may_change=view.may_change) for letter in found.letters])
        newest.set_visibility(bool(view.parameter("before")))
        older.set_visibility(found.next_before is not None)
        if found.next_before is not None:
            older.props["href"] = view.address(before=str(found.next_before))

    return fill


def _facts() -> Callable[[WholeLetter], None]:
    body = tag("dl", classes="facts")

    def fill(found: WholeLetter) -> None:
        body.clear()
        with body:
            for name, text in letter_facts(found.letter):
                tag("dt", name)
                tag("dd", visible(text))

    return fill


def _record() -> Callable[[WholeLetter], None]:
    body = tag("div")

    def fill(found: WholeLetter) -> None:
        body.clear()
        with body:
            tag("h3", "Headers")
            with tag("dl", classes="facts"):
                for name, value in found.content.headers:
                    tag("dt", visible(name))
                    tag("dd", "-" if value is None else visible(value))
            for name, raw in (("Key", found.content.key), ("Value", found.content.value)):
                if raw is None:
                    tag("h3", f"{name}: none")
                    continue
                payload = Payload.of(raw)
                tag("h3", f"{name}: {payload.size_bytes:,} bytes, {payload.encoding}")
                tag("pre", payload.text, "raw", tabindex="0", aria_label=name, data_payload=name.lower())

    return fill
