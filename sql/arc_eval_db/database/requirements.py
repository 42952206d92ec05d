"""What a database server must at least be."""

from __future__ import annotations

POSTGRESQL_VERSION_MIN = 150000
TIMESCALEDB_VERSION_MIN = (2, 19)
"""Before, ON CONFLICT DO NOTHING stopped at the first conflict in a compressed chunk (timescale/timescaledb#7672)."""


def version_parts(version: str) -> tuple[int, int]:
    """The first two numbers of an extension's version.

    >>> version_parts("2.29.2-dev")
    (2, 29)
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
