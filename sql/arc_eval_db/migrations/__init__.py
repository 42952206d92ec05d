"""Brings a database's schema to this release's, and says where it stands."""

from __future__ import annotations

from arc_eval_db.migrations.edition import Edition
from arc_eval_db.migrations.files import Migration, load_migrations
from arc_eval_db.migrations.policies import PolicyError, StoragePolicy, chunks_to_drop, read_policies, set_policy
from arc_eval_db.migrations.runner import MigrationState, Migrator, SchemaOutdatedError, require_current_schema
from arc_eval_db.migrations.snapshot import describe_schema, schema_difference

__all__ = [
    "Edition",
    "Migration",
    "MigrationState",
    "Migrator",
    "PolicyError",
    "SchemaOutdatedError",
    "StoragePolicy",
    "chunks_to_drop",
    "describe_schema",
    "load_migrations",
    "read_policies",
    "require_current_schema",
    "schema_difference",
    "set_policy",
]
