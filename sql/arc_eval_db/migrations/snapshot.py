"""The schema of a database as text: for the committed `schema.<edition>.sql`, and to find drift."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from arc_eval_db.database import Session
from arc_eval_db.migrations.edition import Edition
from arc_eval_db.migrations.policies import running_policies
from arc_eval_db.sql import queries, read_file

_HEADER = "-- Made from the migrations by `make schema`; a test compares the two. Not to be edited.\n"


def expected_schema(edition: Edition) -> str:
    """The committed description of an edition's schema."""
    return read_file(f"schema.{edition}.sql")


async def schema_difference(session: Session, edition: Edition) -> list[str]:
    """The committed schema and the database's as a unified diff; empty where they are the same."""
    expected, actual = expected_schema(edition), await describe_schema(session, edition)
    return list(
        difflib.unified_diff(_comparable(expected), _comparable(actual), "release", "database", lineterm="", n=1)
    )


# The bodies of views are indented.
_QUALIFIER = re.compile(r'(?<=[^\w.])[a-z_]+\.(?=["a-z_])')


def _comparable(description: str) -> list[str]:
    """The lines without the names of tables before those of columns: PostgreSQL 15 writes more of them than 18."""
    return [_QUALIFIER.sub("", line) if line.startswith(" ") else line for line in description.splitlines()]


async def describe_schema(session: Session, edition: Edition) -> str:
    """Describe tables, constraints, indexes, views, functions, triggers, the roles' privileges and, on TimescaleDB,
    hypertables, continuous aggregates and policies.

    Equal schemas have equal descriptions, whatever the server's version and the order in which they were made. A policy
    that does what `storage_policies` says reads the same whatever that is: it is a setting, and no drift.
    """
    statements = queries("schema")
    tables: dict[str, list[str]] = {}
    for row in await session.fetch(statements["columns"]):
        tables.setdefault(row["table"], []).append(_column(row))
    for row in await session.fetch(statements["constraints"]):
        tables[row["table"]].append(f"CONSTRAINT {row['name']} {row['definition']}")
    options = {row["table"]: row["options"] for row in await session.fetch(statements["table_options"])}
    parts = [_HEADER]
    parts += [_table(name, lines, options.get(name)) for name, lines in tables.items()]
    parts += [f"{row['definition']};" for row in await session.fetch(statements["indexes"])]
    parts += [f"CREATE VIEW {row['name']} AS\n{row['definition']}" for row in await session.fetch(statements["views"])]
    parts += [f"{row['definition'].strip()};" for row in await session.fetch(statements["functions"])]
    parts += [f"{row['definition']};" for row in await session.fetch(statements["triggers"])]
    if edition is Edition.TIMESCALEDB:
        parts += [_hypertable(row) for row in await session.fetch(statements["hypertables"])]
        parts += [_continuous_aggregate(row) for row in await session.fetch(statements["continuous_aggregates"])]
        parts += [f"-- policy {policy}" for policy in await running_policies(session)]
    parts += [
        f"-- {row['role']} may {row['privileges']} on {row['on']}"
        for row in await session.fetch(statements["privileges"])
    ]
    return "\n".join(parts) + "\n"


def _column(row: Mapping[str, Any]) -> str:
    line = f"{row['column']} {row['type']}"
    if row["identity"]:
        line += " GENERATED ALWAYS AS IDENTITY"
    elif row["default"] is not None:
        line += f" DEFAULT {row['default']}"
    return line + (" NOT NULL" if row["not_null"] else "")


def _table(name: str, lines: list[str], options: str | None) -> str:
    body = ",\n".join(f"    {line}" for line in lines)
    return f"CREATE TABLE {name} (\n{body}\n){f' WITH ({options})' if options else ''};"


def _hypertable(row: Mapping[str, Any]) -> str:
    return f"-- hypertable {row['table']}: chunks of {row['interval']} by {row['column']}; {_columnstore(row)}"


def _continuous_aggregate(row: Mapping[str, Any]) -> str:
    kind = "materialized rows only" if row["materialized_only"] else "real-time"
    definition = f"CREATE MATERIALIZED VIEW {row['name']} AS\n{row['definition']}"
    return f"-- continuous aggregate, {kind}; {_columnstore(row)}\n{definition}"


def _columnstore(row: Mapping[str, Any]) -> str:
    return (
        f"columnstore: segmentby {row['segmentby']}, orderby {row['orderby']}" if row["segmentby"] else "no columnstore"
    )
