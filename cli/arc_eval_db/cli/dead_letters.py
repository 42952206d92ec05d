"""`arc-eval-db dead-letters`: records that could not become rows, and what to do with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from arc_eval_db.cli.dead_letter_output import (
    count_fields,
    letter_fields,
    print_content,
    print_counts,
    print_letters,
    report_fields,
    report_lines,
)
from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.moments import MOMENT
from arc_eval_db.cli.printable import Payload
from arc_eval_db.cli.running import (
    command,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    progress,
    run_async,
)
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay import (
    UNRESOLVED,
    DeadLetterRetry,
    LetterBounds,
    LetterCount,
    LetterFilter,
    LetterState,
    RetryOptions,
    RetryReport,
    StoredLetter,
    count_letters,
    discard_letters,
    list_letters,
    read_bounds,
    read_letter,
    require_letters,
    require_privilege,
)
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TopicNames

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_STATES: dict[str, Collection[LetterState]] = {
    "unresolved": UNRESOLVED,
    **{state.value: (state,) for state in LetterState},
    "all": list(LetterState),
}


def filter_options(function: F) -> F:
    """The options that say which letters are meant."""
    for option in (
        click.option("--until", type=MOMENT, help="Set aside before then.  [an age such as 2h, 3d, or ISO 8601]"),
        click.option("--since", type=MOMENT, help="Set aside then or later.  [an age such as 2h, 3d, or ISO 8601]"),
        click.option("--topic", "topics", multiple=True, help="From this topic. May be repeated."),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice([reason.value for reason in RefusalReason]),
            help="Set aside for this. May be repeated.",
        ),
    ):
        function = option(function)
    return function


def _filter(
    reasons: Sequence[str],
    topics: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    ids: Sequence[int] = (),
) -> LetterFilter:
    return LetterFilter(
        ids=tuple(ids) or None,
        reasons=tuple(map(RefusalReason, reasons)) or None,
        topics=tuple(topics) or None,
        since=since,
        until=until,
    )


ids_argument = click.argument("ids", nargs=-1, type=click.IntRange(1, 2**63 - 1), metavar="[ID]...")


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Look at records that could not become rows; try them again, or give them up.

    A letter is open, quarantined (it was tried too often) or resolved. `list` needs a login with the rights of
    arc_eval_reader, the others those of arc_eval_admin.
    """


@dead_letters.command(name="list")
@filter_options
@click.option(
    "--state", type=click.Choice(list(_STATES)), default="unresolved", show_default=True, help="Open and quarantined."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Letters at the most.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Only ids below this one: the next page.")
@click.option("--summary", is_flag=True, help="How many there are by topic and reason, instead of each.")
@json_option
@command
def list_command(
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    state: str,
    limit: int,
    before: int | None,
    summary: bool,
    as_json: bool,
) -> None:
    """List dead letters, the newest first. Shows nothing of what they hold."""
    chosen, states = _filter(reasons, topics, since, until), _STATES[state]
    if summary:
        counts = run_async(_with_session(lambda session: count_letters(session, chosen, states=states)))
        if as_json:
            print_json({"counts": [count_fields(count) for count in counts]})
        else:
            print_counts(counts)
        return

    async def work(session: Session) -> list[StoredLetter]:
        return await list_letters(session, chosen, states=states, before_id=before, limit=limit + 1)

    found = run_async(_with_session(work))
    page, next_before = found[:limit], found[limit - 1].id if len(found) > limit else None
    if as_json:
        print_json({"dead_letters": [letter_fields(letter) for letter in page], "next_before": next_before})
        return
    print_letters(page)
    if next_before is not None:
        click.echo(f"there are more; the next page: --before {next_before}")


@dead_letters.command()
@click.argument("letter_id", type=click.IntRange(1, 2**63 - 1), metavar="ID")
@json_option
@command
def show(letter_id: int, as_json: bool) -> None:
    """Show all of a dead letter, the record itself too, which nobody has checked for secrets."""
    letter, content = run_async(_with_session(lambda session: read_letter(session, letter_id)))
    if not as_json:
        print_content(letter, content)
        return
    key, value = (payload and payload.for_programs() for payload in map(Payload.of, (content.key, content.value)))
    headers = [list(header) for header in content.headers]
    fields = letter_fields(letter) | {"event_type": letter.event_type}
    print_json(fields | {"key": key, "headers": headers, "value": value})


@dead_letters.command()
@ids_argument
@filter_options
@click.option(
    "--attempts-max",
    type=click.IntRange(1, 1_000_000),
    default=5,
    show_default=True,
    help="A letter that is refused for the last of so many times is quarantined.",
)
@click.option("--quarantined", is_flag=True, help="Try quarantined letters too.")
@click.option("--dry-run", is_flag=True, help="Do everything, take it back, and say what would happen.")
@by_option
@json_option
@command
def retry(
    ids: tuple[int, ...],
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    attempts_max: int,
    quarantined: bool,
    dry_run: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Try dead letters again, by default all open ones: those that are valid now become rows.

    For use after what refused them has changed: a release that knows their type, a constraint that is gone, a time that
    has come. Events that are rows already are resolved as duplicates, so that running it twice, or beside workers, is
    harmless. Topics are those of ARC_EVAL_TOPIC_PREFIX. Exit code 3 when letters were refused again, or are of topics
    that are not known.
    """
    options = RetryOptions(by or this_user(), attempts_max=attempts_max, quarantined=quarantined, dry_run=dry_run)
    names = TopicNames(kafka_settings().topic_prefix)
    done = RetryReport()

    def say(report: RetryReport) -> None:
        nonlocal done
        done = report
        progress(f"{report.seen:,} letters: {report.stored:,} stored, {report.refused.total():,} refused again")

    async def work(session: Session) -> RetryReport:
        await require_letters(session, ids)
        return await DeadLetterRetry(names, options, say).run(session, _filter(reasons, topics, since, until, ids))

    try:
        report = run_async(_with_session(work))
    except ArcEvalError:
        if done.seen and not dry_run:
            click.echo(f"{done.seen:,} letters were done before, and stay so; the same command does the rest", err=True)
        raise
    if as_json:
        print_json(report_fields(report, dry_run=dry_run))
    else:
        click.echo("\n".join(report_lines(report, names, dry_run=dry_run)))
    if report.refused or report.unknown_topics:
        raise SystemExit(EXIT_FOUND)


@dead_letters.command()
@ids_argument
@filter_options
@click.option("--all", "everything", is_flag=True, help="All that are unresolved, where neither IDs nor a filter say.")
@click.option(
    "--state",
    type=click.Choice(["unresolved", "open", "quarantined"]),
    default="unresolved",
    show_default=True,
    help="Open and quarantined.",
)
@by_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@command
def discard(
    ids: tuple[int, ...],
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    state: str,
    by: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Give dead letters up. They stay in the table and are never tried again; this cannot be undone."""
    chosen, states = _filter(reasons, topics, since, until, ids), _STATES[state]
    if chosen == LetterFilter() and not everything:
        raise click.UsageError("name letters by ID, or by --reason, --topic, --since or --until; or say --all")
    if chosen != LetterFilter() and everything:
        raise click.UsageError("--all is for all letters; leave it out where IDs or a filter say which")

    async def look(session: Session) -> tuple[LetterBounds, list[LetterCount]]:
        await require_privilege(session, "changes", "change dead letters")
        await require_letters(session, ids)
        return await read_bounds(session), await count_letters(session, chosen, states=states)

    bounds, counts = run_async(_with_session(look))
    if counts and not yes:
        print_counts(counts, err=True)
        total = sum(count.letters for count in counts)
        click.confirm(f"Discard {total:,} dead letters? They are never tried again.", abort=True, err=True)
    name = by or this_user()

    async def work(session: Session) -> int:
        return await discard_letters(session, chosen, by=name, states=states, up_to_id=bounds.up_to_id)

    discarded = run_async(_with_session(work)) if counts else 0
    if as_json:
        print_json({"discarded": discarded})
    else:
        click.echo(f"discarded {discarded:,} dead letters" if discarded else "nothing to discard")


async def _with_session(work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    async with await Session.connect(database_settings(), application_name="arc-eval-db dead-letters") as session:
        return await work(session)
