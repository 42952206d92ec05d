"""Every bound on an event, in one place. What happens past each is said beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EVENT_BYTES_MAX = 900_000
"""A longer event is refused (`too_large`); the SDK drops and counts it. Kafka's usual 1 MiB leaves room for headers."""

TEXT_BYTES_MAX = 32 * 1024
"""A longer free-text field is cut and ends in a marker with its original size."""

NAME_CHARACTERS_MAX = 200
"""Names are indexed, and a B-tree entry over 2,704 bytes is an error; 200 four-byte characters stay far below."""

JSON_DEPTH_MAX = 32
"""A deeper event is refused (`too_deep`); the SDK replaces what is deeper by a marker."""

INTEGER_MAX = 2**63 - 1
"""PostgreSQL's bigint."""

FREE_INTEGER_MAX = 2**64 - 1
"""The largest integer in a free-form object: orjson writes and reads unsigned 64 bits, and so may a sandbox."""

TIME_MIN = datetime(2020, 1, 1, tzinfo=UTC)
"""Earlier times are refused (`time_out_of_range`): each would make a chunk of its own."""

TIME_AHEAD_MAX = timedelta(days=1)
"""Times further ahead are refused (`time_out_of_range`): retention never drops chunks in the future."""
