"""Which part of a log to read, as people type it: `start`, `-100`, `4000:5000`, `@-48h:-24h`, `@2026-11-01:1h`.

The grammar is that of `rpk topic consume --offset` (Redpanda's command line), for reads that end: a range without an
end ends where the log ended when it was planned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from arc_eval_db.errors import ArcEvalError

EXAMPLES = "start, end, +10, -10, 4000, 4000:5000, :end, @-48h:-24h, @2026-11-01:1h, @2026-11-01T10:00Z:end"

_OFFSET_MAX = 2**63 - 1
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:\d{1,6}(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(r"(\d{1,6})(ms|[smhdw])")
_EPOCH_S_DIGITS, _EPOCH_MS_DIGITS = 10, 13


class RangeSyntaxError(ArcEvalError):
    """A range that cannot be understood; the message says what was seen and gives correct ones."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"range {text!r}: {problem}; correct ones are: {EXAMPLES}")
        self.problem = problem


class Anchor(StrEnum):
    """What a place in a log is counted from."""

    START = "start"
    """The first record that the log holds; a distance counts upwards."""
    END = "end"
    """The place after the last record; a distance counts downwards."""
    OFFSET = "offset"
    """Zero: the place is an offset."""


@dataclass(frozen=True, slots=True)
class OffsetPoint:
    """A place by offset."""

    anchor: Anchor
    distance: int = 0

    def __str__(self) -> str:
        match self.anchor:
            case Anchor.START:
                return f"+{self.distance}" if self.distance else "start"
            case Anchor.END:
                return f"-{self.distance}" if self.distance else "end"
            case Anchor.OFFSET:
                return str(self.distance)


@dataclass(frozen=True, slots=True)
class TimePoint:
    """The first record that Kafka had at this moment or later."""

    time: datetime
    """In UTC, to the millisecond, as Kafka's times are."""

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since 1970."""
        return (self.time - _EPOCH) // timedelta(milliseconds=1)

    def __str__(self) -> str:
        return self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Point = OffsetPoint | TimePoint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START, END = OffsetPoint(Anchor.START), OffsetPoint(Anchor.END)


@dataclass(frozen=True, slots=True)
class RangeSpec:
    """From `first` up to, not including, `end`."""

    first: Point = START
    end: Point = END

    def __str__(self) -> str:
        """As it could have been typed; parsing that gives this range again."""
        by_time = isinstance(self.first, TimePoint) or isinstance(self.end, TimePoint)
        return f"{'@' if by_time else ''}{self.first}:{self.end}"


def parse_range(text: str, now: datetime) -> RangeSpec:
    """Understand a range.

    | | |
    | --- | --- |
    | `start`, `:end` | everything that the log holds |
    | `end` | nothing: everything after what it holds now |
    | `+n`, `-n` | all but the first n offsets; the last n |
    | `o`, `o1:o2` | from an offset; up to, not including, another |
    | `@t`, `@t1:t2` | from a moment; up to, not including, another |

    Each side of a colon may be left out (`start` and `end` then). A moment is a date, an ISO 8601 time (in UTC, where
    it has no zone), ten digits (seconds since 1970), thirteen (milliseconds), or an age such as `-48h`; behind the
    colon, a duration such as `1h30m` counts from the moment before it. Times are Kafka's of the records.

    Args:
        now: what ages count from.

    >>> str(parse_range("@2026-11-01:1h", datetime.now(UTC)))
    '@2026-11-01T00:00:00.000Z:2026-11-01T01:00:00.000Z'
    >>> str(parse_range("-100", datetime.now(UTC)))
    '-100:end'

    Raises:
        RangeSyntaxError: it is none.
    """
    stripped = text.strip()
    if not stripped:
        raise RangeSyntaxError(text, "it is empty")
    if stripped.startswith("@"):
        spec = _time_range(text, stripped[1:], now)
    else:
        first, colon, end = stripped.partition(":")
        spec = RangeSpec(_offset_point(text, first) if first else START, _offset_point(text, end) if end else END)
        if not colon and not first:
            raise RangeSyntaxError(text, "it is empty")
    _check_order(text, spec)
    return spec


def _offset_point(text: str, part: str) -> OffsetPoint:
    if part in ("start", "end"):
        return OffsetPoint(Anchor(part))
    sign, digits = (part[0], part[1:]) if part[0] in "+-" else ("", part)
    if not (digits.isascii() and digits.isdigit()):
        hint = " (a time needs @ before the range)" if _is_like_time(part) else ""
        raise RangeSyntaxError(text, f"{part!r} is neither an offset nor start nor end{hint}")
    if int(digits) > _OFFSET_MAX:
        raise RangeSyntaxError(text, f"{part!r} is larger than any offset")
    return OffsetPoint({"+": Anchor.START, "-": Anchor.END, "": Anchor.OFFSET}[sign], int(digits))


def _is_like_time(part: str) -> bool:
    return bool(_DURATION.fullmatch(part.lstrip("+-"))) or bool(re.match(r"\d{4}-\d{2}", part))


def _time_range(text: str, body: str, now: datetime) -> RangeSpec:
    """Times hold colons themselves: the one that parts two moments is the one with a moment on each side."""
    if not body:
        raise RangeSyntaxError(text, "there is no time behind the @")
    found = []
    if (only := _moment(body, now)) is not None:
        found.append(RangeSpec(only, END))
    for match in re.finditer(":", body):
        before, after = body[: match.start()], body[match.end() :]
        first = _moment(before, now) if before else START
        if first is None:
            continue
        end = _moment(after, now, since=first) if after else END
        if end is not None:
            found.append(RangeSpec(first, end))
    if not found:
        raise RangeSyntaxError(
            text, "a moment is a date, an ISO 8601 time, 10 or 13 digits since 1970, or an age such as -48h"
        )
    if len(found) > 1:
        raise RangeSyntaxError(text, "it can be understood in two ways; write the times in full, with seconds and Z")
    return found[0]


def _moment(part: str, now: datetime, *, since: Point | None = None) -> Point | None:
    """A point in time; None where the text is none.

    Args:
        since: what a duration counts from, where one may stand.
    """
    if part in ("start", "end"):
        return OffsetPoint(Anchor(part))
    try:
        if part.startswith("-") and _DURATION.fullmatch(part[1:]):
            return _time_point(now - _duration(part[1:]))
        if isinstance(since, TimePoint) and _DURATION.fullmatch(part):
            return _time_point(since.time + _duration(part))
        if part.isascii() and part.isdigit():
            if len(part) == _EPOCH_S_DIGITS:
                return _time_point(_EPOCH + timedelta(seconds=int(part)))
            if len(part) == _EPOCH_MS_DIGITS:
                return _time_point(_EPOCH + timedelta(milliseconds=int(part)))
            return None
        if not re.match(r"\d{4}-\d{2}-\d{2}", part):
            return None
        moment = datetime.fromisoformat(part)
        return _time_point(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _time_point(moment: datetime) -> TimePoint | None:
    """Kafka's times are milliseconds since 1970: what lies between two counts as the earlier."""
    if moment < _EPOCH:
        return None
    return TimePoint(moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def _duration(text: str) -> timedelta:
    return timedelta(milliseconds=sum(int(number) * _UNITS_MS[unit] for number, unit in _DURATION_PART.findall(text)))


def _check_order(text: str, spec: RangeSpec) -> None:
    match spec:
        case RangeSpec(OffsetPoint(first_anchor, first), OffsetPoint(end_anchor, end)) if first_anchor is end_anchor:
            is_backwards = first < end if first_anchor is Anchor.END else first > end
        case RangeSpec(TimePoint(begin), TimePoint(finish)):
            is_backwards = begin > finish
        case _:
            is_backwards = False
    if is_backwards:
        raise RangeSyntaxError(text, "it ends before it begins")
