"""Applies migrations, one transaction each, under a lock; notices files that changed after they were applied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError, RetryableError
from arc_eval_db.migrations.edition import Edition, detect_edition, prepare_server
from arc_eval_db.migrations.files import Migration, load_migrations
from arc_eval_db.migrations.policies import keep_old_rows, read_policies, record_and_apply

# Any constant will do, as long as nobody else's advisory lock uses it: "arc_eval" in ASCII.
_LOCK_KEY = 0x6172635F6576616C
_LOCK_TIMEOUT_S = 60.0
_LOCK_RETRY_S = 0.25

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    edition text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
)
"""

# What a conversion drops and makes anew, and dead letters keep.
_KEEP_RETRIES = """
CREATE TEMP TABLE kept_retries ON COMMIT DROP AS
SELECT id, last_attempt_at, last_detail, quarantined_at, resolution, resolved_by
FROM dead_letters
WHERE last_attempt_at IS NOT NULL OR quarantined_at IS NOT NULL OR resolution IS NOT NULL
"""
_BRING_RETRIES_BACK = """
UPDATE dead_letters AS letter
SET last_attempt_at = kept.last_attempt_at, last_detail = kept.last_detail, quarantined_at = kept.quarantined_at,
    resolution = kept.resolution, resolved_by = kept.resolved_by
FROM kept_retries AS kept
WHERE letter.id = kept.id
"""


class MigrationDriftError(FatalError):
    """A migration file was changed after it was applied."""


class MigrationLockedError(RetryableError):
    """Somebody else is migrating this database."""


class SchemaOutdatedError(FatalError):
    """The database's schema is older than this release; run `arc-eval-db migrate up`."""


@dataclass(frozen=True, slots=True)
class MigrationState:
    """One migration and whether the database has it."""

    version: int
    name: str
    applied_at: datetime | None
    drifted: bool = False
    """The file is not the one that was applied."""
    unknown: bool = False
    """Applied by a newer release."""
    required: bool = True
    """Whether this release needs it."""


class Migrator:
    """Moves one database's schema up and down. Safe to run from several places at once: they take turns."""

    def __init__(
        self, session: Session, *, edition: Edition | None = None, report: Callable[[str], None] | None = None
    ) -> None:
        """
        Args:
            session: a connection that may create tables and extensions.
            edition: by default the one that was applied before, or else what the server can run.
            report: called with each step, in words.
        """
        self._session = session
        self._edition = edition
        self._report = report or (lambda _: None)

    async def edition(self) -> Edition:
        """The edition that this database has or would get."""
        if self._edition is None:
            applied = await self._applied()
            recorded = next(iter(applied.values()), None)
            self._edition = recorded.edition if recorded else await detect_edition(self._session)
        return self._edition

    async def status(self) -> list[MigrationState]:
        """Every migration that this release or the database knows, in order."""
        applied = await self._applied()
        states = []
        for migration in load_migrations(await self.edition()):
            row = applied.pop(migration.version, None)
            drifted = row is not None and row.checksum != migration.up.checksum
            applied_at = row.applied_at if row else None
            required = migration.up.is_required
            states.append(MigrationState(migration.version, migration.name, applied_at, drifted, required=required))
        newer = [MigrationState(row.version, row.name, row.applied_at, unknown=True) for row in applied.values()]
        return states + newer

    async def up(self, target: int | None = None) -> list[Migration]:
        """Apply what is missing, up to and including version `target` (by default all). Returns what was applied.

        Raises:
            MigrationDriftError: an applied file has changed; nothing is done.
            UnsupportedServerError: the server is too old or lacks an extension.
            MigrationLockedError: somebody else has been migrating for a minute.
        """
        edition = await self.edition()
        async with self._lock():
            await prepare_server(self._session, edition)
            await self._session.execute(_CREATE_TABLE)
            applied = await self._applied()
            migrations = load_migrations(edition)
            self._check_drift(migrations, applied)
            missing = [m for m in migrations if m.version not in applied and (target is None or m.version <= target)]
            for migration in missing:
                self._report(f"applying {migration.label}")
                await self._apply(migration, edition)
            return missing

    async def down(self, target: int) -> list[Migration]:
        """Undo everything after version `target` (0: all), newest first. Returns what was undone."""
        edition = await self.edition()
        async with self._lock():
            applied = await self._applied()
            migrations = {migration.version: migration for migration in load_migrations(edition)}
            if newer := applied.keys() - migrations.keys():
                raise FatalError(f"version {max(newer):04d} was applied by a newer release; use that one to undo it")
            undone = [migrations[version] for version in sorted(applied, reverse=True) if version > target]
            for migration in undone:
                self._report(f"undoing {migration.label}")
                await self._undo(migration)
            return undone

    async def convert(self) -> list[Migration]:
        """Turn the plain edition into TimescaleDB's, with all rows and policies, in one transaction: all or nothing.

        Everything from the first migration on that differs between the editions is undone and applied again, but for
        what is independent of it. The tables
        of events are rewritten and locked meanwhile. A table with rows older than its policy keeps them: nothing was
        dropped before, and nothing is because of this. Anchors are left behind: a group's next batch sets them again.
        Returns what was applied again.

        Raises:
            FatalError: the database is no plain edition.
            UnsupportedServerError: the server lacks TimescaleDB.
        """
        if await self.edition() is not Edition.POSTGRESQL:
            raise FatalError("nothing to convert: the database has the TimescaleDB edition already")
        plain, converted = load_migrations(Edition.POSTGRESQL), load_migrations(Edition.TIMESCALEDB)
        first = next(old.version for old, new in zip(plain, converted, strict=True) if old != new)
        again = [migration for migration in converted[first - 1 :] if not migration.up.is_independent]
        async with self._lock():
            await prepare_server(self._session, Edition.TIMESCALEDB)
            applied = await self._applied()
            self._check_drift(plain, applied)
            if len(applied) != len(plain):
                raise SchemaOutdatedError
            policies = await read_policies(self._session)
            async with self._session.transaction():
                await self._session.execute("CREATE TEMP TABLE kept_log_gaps ON COMMIT DROP AS TABLE log_gaps")
                await self._session.execute(_KEEP_RETRIES)
                for migration in reversed(again):
                    await self._undo(plain[migration.version - 1])
                for migration in again:
                    self._report(f"applying {migration.label}")
                    await self._apply(migration, Edition.TIMESCALEDB)
                await self._session.execute("INSERT INTO log_gaps SELECT * FROM kept_log_gaps")
                await self._session.execute(_BRING_RETRIES_BACK)
                await self._session.execute("UPDATE schema_migrations SET edition = $1", Edition.TIMESCALEDB.value)
                for policy in policies:
                    kept = await keep_old_rows(self._session, policy)
                    if kept != policy:
                        self._report(
                            f"{policy.relation} has rows that its policy would drop; they stay until: "
                            f"arc-eval-db migrate policies {policy.relation} --drop-after ..."
                        )
                    await record_and_apply(self._session, kept)
            self._edition = Edition.TIMESCALEDB
        return again

    async def _apply(self, migration: Migration, edition: Edition) -> None:
        async with self._step(in_transaction=migration.up.in_transaction):
            await self._session.execute(migration.up.text)
            await self._session.execute(
                "INSERT INTO schema_migrations (version, name, edition, checksum) VALUES ($1, $2, $3, $4)",
                migration.version,
                migration.name,
                edition.value,
                migration.up.checksum,
            )

    async def _undo(self, migration: Migration) -> None:
        async with self._step(in_transaction=migration.down.in_transaction):
            await self._session.execute(migration.down.text)
            await self._session.execute("DELETE FROM schema_migrations WHERE version = $1", migration.version)

    @contextlib.asynccontextmanager
    async def _step(self, *, in_transaction: bool) -> AsyncIterator[None]:
        if not in_transaction:
            yield
            return
        async with self._session.transaction():
            yield

    def _check_drift(self, migrations: list[Migration], applied: dict[int, _AppliedMigration]) -> None:
        for migration in migrations:
            row = applied.get(migration.version)
            if row is not None and row.checksum != migration.up.checksum:
                raise MigrationDriftError(
                    f"{migration.label} was changed after it was applied on {row.applied_at:%Y-%m-%d}; "
                    "restore the file and put the change into a new migration"
                )

    async def _applied(self) -> dict[int, _AppliedMigration]:
        if not await self._session.fetch_value("SELECT to_regclass('schema_migrations')::text"):
            return {}
        rows = await self._session.fetch(
            "SELECT version, name, edition, checksum, applied_at FROM schema_migrations ORDER BY version"
        )
        return {
            row["version"]: _AppliedMigration(
                row["version"], row["name"], Edition(row["edition"]), row["checksum"], row["applied_at"]
            )
            for row in rows
        }

    @contextlib.asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_LOCK_TIMEOUT_S):
                while not await self._session.fetch_value("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):
                    self._report("waiting for another migration to end")
                    await asyncio.sleep(_LOCK_RETRY_S)
        except TimeoutError:
            raise MigrationLockedError(
                f"somebody else has been migrating this database for {_LOCK_TIMEOUT_S:.0f} s; try again later"
            ) from None
        try:
            yield
        finally:
            if not self._session.is_closed:
                await self._session.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)


@dataclass(frozen=True, slots=True)
class _AppliedMigration:
    version: int
    name: str
    edition: Edition
    checksum: str
    applied_at: datetime


async def require_current_schema(session: Session) -> Edition:
    """Check that the database has every migration that this release needs (it may have more), and return its edition.

    Raises:
        SchemaOutdatedError: naming the first that is missing.
    """
    migrator = Migrator(session)
    missing = [state for state in await migrator.status() if state.required and state.applied_at is None]
    if missing:
        first = missing[0]
        raise SchemaOutdatedError(
            f"the database lacks migration {first.version:04d}_{first.name}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; run: arc-eval-db migrate up"
        )
    return await migrator.edition()
