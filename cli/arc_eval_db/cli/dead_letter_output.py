"""The parts of `arc-eval-db dead-letters` that print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click

from arc_eval_db.cli.printable import Payload, printable
from arc_eval_db.cli.running import print_table
from arc_eval_db.replay import LetterContent, LetterCount, LetterState, RetryReport, StoredLetter
from arc_eval_db.schemas.topics import TopicNames


def letter_fields(letter: StoredLetter) -> dict[str, object]:
    """A letter for programs, without what its sender wrote."""
    fields = {"id": letter.id, "state": letter.state.value, **asdict(letter)}
    del fields["event_type"]
    return fields


def count_fields(count: LetterCount) -> dict[str, object]:
    """A count for programs."""
    return {**asdict(count), "letters": count.letters}


_COLUMNS = ("id", "set aside", "topic/partition@offset", "reason", "attempts", "detail")


def print_letters(letters: Sequence[StoredLetter]) -> None:
    """A table a state: the open ones first."""
    for state in LetterState:
        found = [letter for letter in letters if letter.state is state]
        if not found:
            continue
        if state is LetterState.RESOLVED:
            print_table(state.value, (*_COLUMNS, "resolution"), [(*_row(one), one.resolution) for one in found])
        else:
            print_table(state.value, _COLUMNS, [_row(letter) for letter in found])
    if not letters:
        click.echo("no dead letters")


def _row(letter: StoredLetter) -> tuple[object, ...]:
    detail = printable(letter.last_detail or letter.detail)
    set_aside = _time(letter.dead_lettered_at)
    # As text: an id is no figure, and is copied.
    return str(letter.id), set_aside, _place(letter), letter.reason, letter.attempts, detail


def print_counts(counts: Sequence[LetterCount], *, err: bool = False) -> None:
    """How many letters there are, for people."""
    if not counts:
        click.echo("no dead letters", err=err)
        return
    rows = [
        (
            printable(count.topic),
            count.reason,
            count.open,
            count.quarantined,
            count.resolved,
            _time(count.oldest_at),
            _time(count.newest_at),
        )
        for count in counts
    ]
    print_table(None, ("topic", "reason", "open", "quarantined", "resolved", "oldest", "newest"), rows, err=err)


def print_content(letter: StoredLetter, content: LetterContent) -> None:
    """Everything, for people; the record last and indented, so that nothing in it looks like a line of ours."""
    shown: dict[str, object] = {
        "id": letter.id,
        "state": letter.state.value,
        "place": _place(letter),
        "in the log since": _time(letter.log_timestamp),
        "set aside": f"{_time(letter.dead_lettered_at)} by {letter.consumer_group}, {letter.consumer_version}",
        "reason": letter.reason,
        "detail": letter.detail,
        "error": letter.error_class + (f" ({letter.sqlstate})" if letter.sqlstate else ""),
        "event": letter.event_id,
        "type": letter.event_type,
        "attempts": letter.attempts,
        "last attempt": letter.last_attempt_at and _time(letter.last_attempt_at),
        "refused then for": letter.last_detail,
        "quarantined": letter.quarantined_at and _time(letter.quarantined_at),
        "resolved": letter.resolved_at and _time(letter.resolved_at),
        "resolution": letter.resolution,
        "resolved by": letter.resolved_by,
    }
    width = max(map(len, shown))
    for name, value in shown.items():
        if value is not None:
            click.echo(f"{name:{width}}  {printable(str(value))}")
    click.echo("headers")
    for name, value in content.headers:
        click.echo(f"  {printable(name)}: {'-' if value is None else printable(value)}")
    for name, raw in (("key", content.key), ("value", content.value)):
        _print_payload(name, raw)


def _print_payload(name: str, raw: bytes | None) -> None:
    payload = Payload.of(raw)
    if raw is None or payload is None:
        click.echo(f"{name}: none")
        return
    click.echo(f"{name} ({len(raw):,} bytes, {payload.encoding})")
    for line in payload.for_people().split("\n"):
        click.echo(f"  {line}")


def report_fields(report: RetryReport, *, dry_run: bool) -> dict[str, object]:
    """A report for programs."""
    return {
        "dry_run": dry_run,
        "attempted": report.attempted,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "refused": report.refused.total(),
        "refused_by_reason": dict(report.refused),
        "quarantined": report.quarantined,
        "unknown_topics": dict(report.unknown_topics),
        "left_quarantined": report.left_quarantined,
    }


def report_lines(report: RetryReport, names: TopicNames, *, dry_run: bool) -> list[str]:
    """A report for people, with what to do next."""
    lines = [
        f"tried {report.attempted:,} dead letters: {report.stored:,} stored, {report.duplicates:,} duplicates, "
        f"{report.refused.total():,} refused again"
        if report.attempted
        else "no dead letters to try"
    ]
    if report.refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.refused.most_common())
        lines.append(f"refused again: {reasons}; why: arc-eval-db dead-letters list")
    if report.quarantined:
        lines.append(f"{report.quarantined:,} of them are quarantined now: later retries leave them alone")
    if report.unknown_topics:
        topics = ", ".join(f"{count:,} of {printable(topic)}" for topic, count in report.unknown_topics.most_common())
        lines.append(
            f"left alone, as this prefix has no such topic: {topics}; "
            f"ARC_EVAL_TOPIC_PREFIX is {names.prefix}, and its topics are {', '.join(names.all)}"
        )
    if report.left_quarantined:
        lines.append(f"left alone: {report.left_quarantined:,} quarantined; to try them too: --quarantined")
    if dry_run:
        lines.append("this was a dry run: nothing was changed")
    return lines


def _place(letter: StoredLetter) -> str:
    return f"{printable(letter.topic)}/{letter.log_partition}@{letter.log_offset}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z"
