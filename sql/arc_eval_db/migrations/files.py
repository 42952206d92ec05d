"""Migration files: `0001_name.up.sql` and `.down.sql`, or one pair an edition (`0003_name.timescaledb.up.sql`)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from arc_eval_db.errors import FatalError
from arc_eval_db.migrations.edition import Edition
from arc_eval_db.sql import list_files, read_file

_FILE = re.compile(
    r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+?)(\.(?P<edition>timescaledb|postgresql))?\.(?P<way>up|down)\.sql"
)
_NO_TRANSACTION = "-- no-transaction"
_NOT_REQUIRED = "-- not-required"
_INDEPENDENT = "-- independent"


class MigrationFileError(FatalError):
    """A migration file is missing or has a wrong name."""


@dataclass(frozen=True, slots=True)
class Script:
    """One direction of a migration."""

    text: str
    checksum: str
    """SHA-256 of the file, hexadecimal."""

    @property
    def in_transaction(self) -> bool:
        """False for a file that starts with `-- no-transaction` and holds exactly one statement."""
        return not self.text.startswith(_NO_TRANSACTION)

    @property
    def is_required(self) -> bool:
        """False for a file that starts with `-- not-required`: workers do without it.

        It takes away what only the release before needs, or comes after such a one and adds what no worker uses.
        """
        return not self.text.startswith(_NOT_REQUIRED)

    @property
    def is_independent(self) -> bool:
        """True for a file that has the line `-- independent`: nothing in it needs what differs between the editions.

        A conversion leaves it, and so what people put into its tables.
        """
        return _INDEPENDENT in self.text.splitlines()


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, in one edition."""

    version: int
    name: str
    up: Script
    down: Script

    @property
    def label(self) -> str:
        """Such as "0001_core_tables"."""
        return f"{self.version:04d}_{self.name}"


def load_migrations(edition: Edition) -> list[Migration]:
    """All migrations of an edition, in order.

    Raises:
        MigrationFileError: a version is missing, stands twice, or has no down script.
    """
    scripts: dict[tuple[int, str], dict[str, Script]] = {}
    for file in list_files("migrations"):
        match = _FILE.fullmatch(file)
        if match is None:
            raise MigrationFileError(f"{file}: not the name of a migration, such as 0001_name.up.sql")
        if match["edition"] not in (None, edition.value):
            continue
        text = read_file(f"migrations/{file}")
        pair = scripts.setdefault((int(match["version"]), match["name"]), {})
        if match["way"] in pair:
            raise MigrationFileError(f"{file}: this edition has two such files")
        pair[match["way"]] = Script(text, hashlib.sha256(text.encode()).hexdigest())
    for position, ((version, name), pair) in enumerate(sorted(scripts.items()), start=1):
        if version != position:
            raise MigrationFileError(f"{version:04d}_{name}: expected version {position:04d} in the edition {edition}")
        if pair.keys() != {"up", "down"}:
            raise MigrationFileError(
                f"{version:04d}_{name}: an up and a down script are needed in the edition {edition}"
            )
    return [Migration(version, name, pair["up"], pair["down"]) for (version, name), pair in sorted(scripts.items())]
