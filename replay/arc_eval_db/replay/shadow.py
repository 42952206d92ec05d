"""Tables beside the live ones, for what today's code makes of the log."""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.replay.differences import DEAD_LETTERS, NAMED_MAX
from arc_eval_db.replay.intervals import Interval
from arc_eval_db.replay.shadow_diff import ShadowDiff, diff_shadow
from arc_eval_db.replay.verify import MARGIN
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.sql import queries
from arc_eval_db.writer import BatchWriter, OffsetRange, TopicPartition, insert_dead_letters
from arc_eval_db.writer.rows import COLUMNS

_PARENTS = ("configurations", "configuration_versions", "scenarios", "simulations", "executions", "failure_patterns")

SHADOWED = (*COLUMNS, *_PARENTS, DEAD_LETTERS)
"""The tables that are made: whatever a worker writes, but for its offsets."""

_GROUP = "shadow"


class ShadowPrivilegeError(FatalError):
    """The login may not make a schema."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What became of records in the shadow tables."""

    records: int
    inserted: int
    duplicates: int
    dead_letters: Mapping[str, int]
    """By reason."""


class ShadowTables:
    """A schema of its own with empty copies of the tables that events are written to. Use with `async with`.

    Records go through what live consumption uses, unchanged: the same handler, the same writer. While those write, the
    shadow is the only schema that is searched, so that a table which is not there is an error and never the live one.

    The schema is dropped at the end. Where that cannot be, as the connection is gone, `drop_shadows` does it later.
    """

    def __init__(
        self,
        session: Session,
        topics: TopicNames,
        *,
        keep: bool = False,
        margin: timedelta = MARGIN,
        named_max: int = NAMED_MAX,
    ) -> None:
        """
        Args:
            session: stays in use until the end, and says so to `drop_shadows`; of a login that may read the live tables
                and make a schema, such as the database's owner. Best one that nothing else is done with: a statement
                that is cancelled ends its connection.
            topics: the registry under the prefix in use.
            keep: leave the schema when done.
            margin: how long before and after the replayed events `diff` looks for rows that only the live tables have.
            named_max: so many differences are named, the others counted.
        """
        self.name = f"arc_eval_shadow_{secrets.token_hex(4)}"
        """The schema's."""
        self._session = session
        self._topics = topics
        self._keep = keep
        self._margin = margin
        self._named_max = named_max
        self._handler = ExecutionEventHandler(topics)
        self._writer = BatchWriter()

    async def __aenter__(self) -> Self:
        """
        Raises:
            ShadowPrivilegeError: the login may not make a schema.
        """
        (may,) = await self._session.fetch(queries("replay_verify")["may_create_schemas"])
        if not may["creates"]:
            raise ShadowPrivilegeError(
                f"{may['role']} may not make a schema; use the database's owner in ARC_EVAL_DATABASE_URL, or have it"
                " run GRANT CREATE ON DATABASE"
            )
        # Before there is anything to drop.
        await self._session.execute(queries("replay_verify")["lock_shadow_schema"], self.name)
        async with self._session.transaction():
            await self._session.execute(f"CREATE SCHEMA {self.name}")
            for table in SHADOWED:
                await self._session.execute(
                    f"CREATE TABLE {self.name}.{table} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
                    " INCLUDING INDEXES INCLUDING IDENTITY)"
                )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session.is_closed:
            return
        if not self._keep:
            await self._session.execute(f"DROP SCHEMA {self.name} CASCADE")
        await self._session.execute(queries("replay_verify")["unlock_shadow_schema"], self.name)

    @contextlib.asynccontextmanager
    async def transaction(self, session: Session) -> AsyncIterator[None]:
        """A transaction in which a table's name means the shadow's table, or none.

        Args:
            session: not in a transaction; of the login that made the shadow.
        """
        async with session.transaction():
            # Temporary tables last: none may stand in for one of the shadow.
            await session.execute(f"SET LOCAL search_path = {self.name}, pg_temp")
            yield

    async def write(self, session: Session, records: Sequence[LogRecord]) -> ShadowReport:
        """Write records as a worker would, and commit them. Records that are there already do no harm.

        Args:
            session: as for `transaction`.

        Raises:
            RetryableError: nothing was written, or it is not known; write the same again.
            FatalError: the schema does not fit; nothing was written.
        """
        batch = self._handler.handle(records)
        async with self.transaction(session):
            report = await self._writer.write_batch(session, batch.rows)
            letters = batch.dead_letters + batch.refused(report.refused)
            await insert_dead_letters(session, letters, group=_GROUP, version=CONSUMER_VERSION)
        reasons = Counter(letter.reason.value for letter in letters)
        return ShadowReport(len(records), report.inserted, report.duplicates, reasons)

    async def diff(
        self, session: Session, ranges: Mapping[TopicPartition, OffsetRange], times: Interval | None = None
    ) -> ShadowDiff:
        """Compare what was written with the live tables.

        Args:
            session: not in a transaction; of the login that made the shadow.
            ranges: what was written, whole: rows and dead letters that say they came from there, and that the shadow
                does not have, are `only_live`. Without ranges none are looked for, which is right where only some of
                the records were written.
            times: where to look for those; by default around the events of the shadow.
        """
        return await diff_shadow(
            session,
            self.name,
            self._topics,
            ranges,
            times=times,
            margin=self._margin,
            named_max=self._named_max,
        )


async def list_shadows(session: Session) -> list[str]:
    """The schemas of all shadows, those in use and those that were left."""
    return [row["name"] for row in await session.fetch(queries("replay_verify")["list_shadow_schemas"])]


async def drop_shadows(session: Session) -> list[str]:
    """Drop the shadows that nobody uses at the moment, those that were kept too; returns their names.

    Args:
        session: not in a transaction; those that another login made are left, unless this is a superuser's.
    """
    dropped = []
    shadows = await session.fetch(queries("replay_verify")["list_shadow_schemas"])
    for name in [row["name"] for row in shadows if row["is_own"]]:
        async with session.transaction():
            if await session.fetch_value(queries("replay_verify")["try_lock_shadow_schema"], name):
                await session.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
                dropped.append(name)
    return dropped
