"""Points in time on the command line: `2h` ago, or ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_RELATIVE = re.compile(r"(\d{1,5}) *(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime) -> datetime:
    """A point in time, in UTC; without a zone it is taken to be in UTC.

    >>> now = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    >>> parse_moment("2h", now).isoformat()
    '2026-11-23T00:00:00+00:00'
    >>> parse_moment("2026-11-23T04:00+02:00", now).isoformat()
    '2026-11-23T02:00:00+00:00'

    Raises:
        ValueError: it is neither.
    """
    if match := _RELATIVE.fullmatch(text.strip().lower()):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    moment = datetime.fromisoformat(text.strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no time that can be expressed in UTC") from error


class _MomentType(click.ParamType[datetime]):
    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return parse_moment(str(value), datetime.now(UTC))
        except ValueError:
            self.fail(
                f"{value!r} is not a time: an age such as 30m, 2h, 3d or 1w, or ISO 8601 such as 2026-11-23T02:00Z",
                param,
                ctx,
            )


MOMENT = _MomentType()


def require_span(since: datetime | None, until: datetime | None) -> None:
    """Refuse a span in which there is no moment.

    Raises:
        click.UsageError: `--since` is not before `--until`.
    """
    if since is not None and until is not None and since >= until:
        raise click.UsageError(f"--since ({since.isoformat()}) must be before --until ({until.isoformat()})")
