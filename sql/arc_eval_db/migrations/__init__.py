"""Brings a database's schema to this release's, and says where it stands."""

from __future__ import annotations

from arc_eval_db.migrations.edition import Edition
from arc_eval_db.migrations.files import Migration, load_migrations
from arc_eval_db.migrations.runner import MigrationState, Migrator, require_current_schema
from arc_eval_db.migrations.snapshot import describe_schema, expected_schema

__all__ = [
    "Edition",
    "Migration",
    "MigrationState",
    "Migrator",
    "describe_schema",
    "expected_schema",
    "load_migrations",
    "require_current_schema",
]
