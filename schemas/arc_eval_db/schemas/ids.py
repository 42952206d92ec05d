"""Ids that a sandbox and a consumer compute alike, without asking a database."""

from __future__ import annotations

import hashlib
import os
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NewType

import rfc8785

from arc_eval_db.errors import PoisonError

EventId = NewType("EventId", uuid.UUID)
ExecutionId = NewType("ExecutionId", uuid.UUID)
ConfigurationId = NewType("ConfigurationId", uuid.UUID)
ConfigurationVersionId = NewType("ConfigurationVersionId", uuid.UUID)
ScenarioId = NewType("ScenarioId", uuid.UUID)
SimulationId = NewType("SimulationId", uuid.UUID)

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "arc-eval-db")

_NS_PER_MS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotCanonicalError(PoisonError):
    """The value has no canonical JSON form (RFC 8785): not finite, an integer beyond 2^53, or not JSON at all."""


def uuid7() -> uuid.UUID:
    """A time-ordered UUID (RFC 9562, section 5.7; the 12 bits after the milliseconds hold their fraction, method 3).

    Python has one in its standard library from 3.14 on.
    """
    return _uuid_of(_uuid7_bits())


def uuid7_with_time() -> tuple[uuid.UUID, datetime]:
    """A new `uuid7` and the moment in it."""
    bits = _uuid7_bits()
    return _uuid_of(bits), _time_in(bits)


def _uuid_of(bits: int) -> uuid.UUID:
    # `uuid.UUID(int=bits)` without the checks of what may be wrong with it: a third of the time.
    made = object.__new__(uuid.UUID)
    object.__setattr__(made, "int", bits)
    object.__setattr__(made, "is_safe", uuid.SafeUUID.unknown)
    return made


def _uuid7_bits() -> int:
    milliseconds, nanoseconds = divmod(time.time_ns(), _NS_PER_MS)
    fraction = (nanoseconds << 12) // _NS_PER_MS
    return milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | _random_bits(62)


# Random numbers of this module's own, seeded by the operating system: `random.seed` elsewhere does not repeat ids, and
# the system's own numbers would take a third of the time of an id. A child process must not go on where its parent is.
_random = random.Random()  # noqa: S311 - ids are unique, not secret
_random_bits = _random.getrandbits
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_random.seed)


def time_of(identifier: uuid.UUID) -> datetime:
    """The moment in a UUIDv7, to the microsecond as `uuid7` writes it; to the millisecond in those of others.

    Raises:
        ValueError: not a UUIDv7.
    """
    if identifier.version != 7:
        raise ValueError("not a UUIDv7")
    return _time_in(identifier.int)


def _time_in(bits: int) -> datetime:
    return _EPOCH + timedelta(microseconds=(bits >> 80) * 1000 + ((bits >> 64 & 0xFFF) * 1000 >> 12))


def new_execution_id() -> ExecutionId:
    """A fresh execution id."""
    return ExecutionId(uuid7())


@lru_cache(maxsize=65_536)
def _named(kind: str, name: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{kind}:{name}")


def scenario_id(name: str) -> ScenarioId:
    """The id of the scenario called `name`."""
    return ScenarioId(_named("scenario", name))


def simulation_id(name: str) -> SimulationId:
    """The id of the simulation (one batch of executions, such as "nightly-2026-11-23") called `name`."""
    return SimulationId(_named("simulation", name))


def configuration_id(name: str) -> ConfigurationId:
    """The id of the configuration called `name`, whatever its versions."""
    return ConfigurationId(_named("configuration", name))


def configuration_hash(content: dict[str, Any]) -> str:
    """SHA-256 of the content's canonical JSON (RFC 8785), 64 hexadecimal digits.

    Raises:
        NotCanonicalError: the content has no canonical form.
    """
    try:
        canonical = rfc8785.dumps(content)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise NotCanonicalError(f"configuration: {error}") from error
    return hashlib.sha256(canonical).hexdigest()


def configuration_version_id(content: dict[str, Any]) -> ConfigurationVersionId:
    """The id of the configuration version with this content: the same wherever and whenever it is computed.

    Raises:
        NotCanonicalError: the content has no canonical form.
    """
    return version_id_of_hash(configuration_hash(content))


def version_id_of_hash(content_hash: str) -> ConfigurationVersionId:
    """The version id that belongs to a `configuration_hash`."""
    return ConfigurationVersionId(_named("configuration_version", content_hash))


def failure_pattern_id(kind: str, signature: str) -> uuid.UUID:
    """The id of the failure pattern with this kind and normalised message."""
    return uuid.uuid5(NAMESPACE, f"failure_pattern:{kind}:{signature}")
