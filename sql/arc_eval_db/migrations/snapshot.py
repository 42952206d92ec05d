"""The schema of a database as text: for the committed `schema.<edition>.sql`, and to find drift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from arc_eval_db.database import Session
from arc_eval_db.migrations.edition import Edition
from arc_eval_db.sql import queries, read_file

_HEADER = "-- Made from the migrations by `make schema`; a test compares the two. Not to be edited.\n"

# An hypertable's number differs from database to database.
_JOB_KEYS_LEFT_OUT = frozenset({"hypertable_id", "mat_hypertable_id"})


def expected_schema(edition: Edition) -> str:
    """The committed description of an edition's schema."""
    return read_file(f"schema.{edition}.sql")


async def describe_schema(session: Session, edition: Edition) -> str:
    """Describe tables, constraints, indexes, views and, on TimescaleDB, hypertables and policies.

    Equal schemas have equal descriptions, whatever the server's version and the order in which they were made.
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
    if edition is Edition.TIMESCALEDB:
        parts += [_hypertable(row) for row in await session.fetch(statements["hypertables"])]
        parts += [_job(row) for row in await session.fetch(statements["jobs"])]
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
    columnstore = f"segmentby {row['segmentby']}, orderby {row['orderby']}" if row["segmentby"] else "none"
    return f"-- hypertable {row['table']}: chunks of {row['interval']} by {row['column']}; columnstore: {columnstore}"


def _job(row: Mapping[str, Any]) -> str:
    config = {key: value for key, value in json.loads(row["config"] or "{}").items() if key not in _JOB_KEYS_LEFT_OUT}
    settings = ", ".join(f"{key} {value}" for key, value in sorted(config.items()))
    return f"-- policy {row['procedure']} on {row['table']}: {settings}"
