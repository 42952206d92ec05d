"""From bytes to an event, or the reason why not. The only parser: wherever an event is read, it is read by this one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from arc_eval_db.schemas.events import EVENT, Event
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason

_DETAILS_SHOWN_MAX = 3
_DETAIL_CHARACTERS_MAX = 500


def parse_event(raw: bytes | None, now: datetime | None = None) -> Event:
    """Read one event.

    Args:
        raw: the record's value: one CloudEvent in structured JSON, escaped NUL already replaced (`text.replace_nul`).
        now: the moment that "one day ahead" is measured from; the present if not given.

    Raises:
        EventRefusedError: with the reason, and a detail that names the path and never the value.
    """
    if not raw:
        raise EventRefusedError(RefusalReason.EMPTY, "the record has no value")
    if len(raw) > EVENT_BYTES_MAX:
        raise EventRefusedError(RefusalReason.TOO_LARGE, f"{len(raw)} bytes; at most {EVENT_BYTES_MAX} are taken")
    if exceeds_depth(raw):
        raise EventRefusedError(RefusalReason.TOO_DEEP, f"nested deeper than {JSON_DEPTH_MAX} levels")
    try:
        event = EVENT.validate_json(raw)
    except ValidationError as error:
        raise _refusal(error, raw) from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise EventRefusedError(RefusalReason.INVALID_JSON, type(error).__name__) from None
    # Compared before any conversion: a time of year 1 cannot be expressed in another zone.
    if not TIME_MIN <= event.time <= (now or datetime.now(UTC)) + TIME_AHEAD_MAX:
        raise EventRefusedError(
            RefusalReason.TIME_OUT_OF_RANGE,
            f"time: before {TIME_MIN:%Y-%m-%d}, or more than {TIME_AHEAD_MAX.days} day ahead",
            event_id=event.id,
        )
    return event


def _refusal(error: ValidationError, raw: bytes) -> EventRefusedError:
    details = error.errors(include_input=False, include_url=False)
    kinds = {detail["type"] for detail in details}
    if "json_invalid" in kinds:
        # A type error in a broken document is also reported by jiter as invalid JSON, with the position in it.
        return EventRefusedError(RefusalReason.INVALID_JSON, details[0]["msg"].removeprefix("Invalid JSON: "))
    event_id = _event_id(raw)
    if "union_tag_invalid" in kinds:
        return EventRefusedError(RefusalReason.UNKNOWN_TYPE, "type: not known to this release", event_id=event_id)
    reason = RefusalReason.INVALID_DATA if all(map(_is_in_data, details)) else RefusalReason.INVALID_ENVELOPE
    shown = "; ".join(_describe(detail) for detail in details[:_DETAILS_SHOWN_MAX])
    more = len(details) - _DETAILS_SHOWN_MAX
    text = shown + (f"; and {more} more" if more > 0 else "")
    return EventRefusedError(reason, text[:_DETAIL_CHARACTERS_MAX], event_id=event_id)


def _is_in_data(detail: ErrorDetails) -> bool:
    # The first part of the path is the union's tag. `data` that is missing or no object is the envelope's fault.
    loc = detail["loc"]
    return loc[1:2] == ("data",) and (len(loc) > 2 or detail["type"] == "value_error")


_MESSAGES = {
    "union_tag_not_found": "type is required",
    # pydantic quotes the first character that does not fit.
    "uuid_parsing": "Input should be a valid UUID",
}


def _describe(detail: ErrorDetails) -> str:
    message = _MESSAGES.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    # What stands below a field of `data` are the sender's own keys.
    path = ".".join(str(part) for part in detail["loc"][1:3]) or "event"
    return f"{path}: {message}"


def _event_id(raw: bytes) -> UUID | None:
    """The id of a refused event, so that its dead letter can be found by it; None where there is none to be read."""
    try:
        return UUID(from_json(raw)["id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
