"""The closed set of reasons for which an event is refused and set aside as a dead letter."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from arc_eval_db.errors import PoisonError


class RefusalReason(StrEnum):
    """Why an event became a dead letter. New reasons may be added; none is ever renamed."""

    EMPTY = "empty"
    """The record has no value (a tombstone)."""
    TOO_LARGE = "too_large"
    """Longer than `limits.EVENT_BYTES_MAX`."""
    TOO_DEEP = "too_deep"
    """Nested deeper than `limits.JSON_DEPTH_MAX`."""
    INVALID_JSON = "invalid_json"
    """Not a JSON document in UTF-8."""
    INVALID_ENVELOPE = "invalid_envelope"
    """JSON, but its CloudEvents attributes are missing or wrong."""
    UNKNOWN_TYPE = "unknown_type"
    """A type or version that this release does not know. Kept raw; retry after an upgrade."""
    WRONG_TOPIC = "wrong_topic"
    """A known type on a topic where it does not belong."""
    INVALID_DATA = "invalid_data"
    """The envelope is right, but `data` does not fit the type."""
    TIME_OUT_OF_RANGE = "time_out_of_range"
    """Before 2020, or more than one day ahead."""
    REFUSED_BY_DATABASE = "refused_by_database"
    """Valid, but the database would not store this one row; the SQLSTATE is kept beside it."""


class EventRefusedError(PoisonError):
    """An event can never become a row as it stands."""

    def __init__(self, reason: RefusalReason, detail: str, *, event_id: UUID | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        """Where and what, never the offending value: dead letters' reasons are shown and logged, payloads are not."""
        self.event_id = event_id
