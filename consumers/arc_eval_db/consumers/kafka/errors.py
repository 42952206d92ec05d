"""Kafka's errors in this project's terms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aiokafka import errors as aiokafka_errors

from arc_eval_db.errors import FatalError, RetryableError


class KafkaUnavailableError(RetryableError):
    """Kafka cannot be reached, or the client got into a state it does not get out of. Build a new client and go on."""


class KafkaRefusedError(FatalError):
    """Kafka refuses the login or the operation: a person has to grant the right or mend the setting."""


class OffsetOutOfRangeError(RetryableError):
    """The log does not hold the offset that was asked for. Compare where the group stands with the log's bounds."""


class UnreadableRecordError(FatalError):
    """The Kafka client cannot take a record apart, nor any other of the same batch of its producer."""


class RecordTooLargeError(FatalError):
    """A topic takes no record of this size."""


class MissingTopicsError(FatalError):
    """Topics are missing; run `arc-eval-db topics create`."""


_REFUSED = (
    aiokafka_errors.TopicAuthorizationFailedError,
    aiokafka_errors.GroupAuthorizationFailedError,
    aiokafka_errors.ClusterAuthorizationFailedError,
    aiokafka_errors.AuthenticationFailedError,
    aiokafka_errors.UnsupportedSaslMechanismError,
)


@contextlib.contextmanager
def translated_errors(doing: str) -> Iterator[None]:
    """Raise this project's errors in place of aiokafka's; `doing` completes "while …"."""
    try:
        yield
    except _REFUSED as error:
        raise KafkaRefusedError(f"Kafka refused while {doing}: {type(error).__name__}") from error
    except aiokafka_errors.OffsetOutOfRangeError as error:
        partitions = ", ".join(f"{p.topic}/{p.partition} at {offset}" for p, offset in error.args[0].items())
        raise OffsetOutOfRangeError(f"the log does not hold what was asked for: {partitions}") from error
    except (aiokafka_errors.KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailableError(f"Kafka did not answer while {doing}: {type(error).__name__}") from error
    except RuntimeError as error:
        # What uvloop raises, and asyncio does not, where a connection that was lost is written to. aiokafka does not
        # know it (aio-libs/aiokafka#1038).
        if "the handler is closed" not in str(error):
            raise
        raise KafkaUnavailableError(f"Kafka's connection was lost while {doing}") from error
