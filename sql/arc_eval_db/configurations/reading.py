"""Configurations and versions as the database has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from arc_eval_db.configurations.errors import (
    AmbiguousReferenceError,
    ConfigurationNotFoundError,
    VersionNotFoundError,
)
from arc_eval_db.configurations.models import AuditEntry, Configuration, ConfigurationVersion, Deployment
from arc_eval_db.configurations.references import Reference, parse_reference
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

_STATEMENTS = queries("configurations")
# So many versions are named where a hash's prefix means several.
_NAMED_MAX = 5


async def read_configurations(
    session: Session,
    *,
    name: str | None = None,
    text: str | None = None,
    label: str | None = None,
    containing: dict[str, Any] | None = None,
    archived: bool = False,
    after: str | None = None,
    limit: int,
) -> list[Configuration]:
    """Configurations by name, in the order of their names."""
    contained = None if containing is None else orjson.dumps(containing).decode()
    rows = await session.fetch(_STATEMENTS["configurations"], name, text, label, contained, archived, after, limit)
    return [Configuration.of(row) for row in rows]


async def read_configuration(session: Session, name: str) -> Configuration:
    """The configuration with this name, archived or not.

    Raises:
        ConfigurationNotFoundError: there is none.
    """
    found = await read_configurations(session, name=name, archived=True, limit=1)
    if not found:
        raise not_found(name)
    return found[0]


def not_found(name: str) -> ConfigurationNotFoundError:
    """The error that names the next step."""
    return ConfigurationNotFoundError(f"there is no configuration {name}; those that are: arc-eval-db config list")


async def read_content_schema(session: Session, name: str) -> dict[str, Any] | None:
    """The JSON Schema of a configuration.

    Raises:
        ConfigurationNotFoundError: there is no such configuration.
    """
    rows = await session.fetch(_STATEMENTS["content_schema"], name)
    if not rows:
        raise not_found(name)
    text = rows[0]["content_schema"]
    return None if text is None else dict(orjson.loads(text))


async def read_schema_text(session: Session, name: str) -> str | None:
    """The JSON Schema of a configuration as JSON text; None: it has none, or there is no such configuration."""
    rows = await session.fetch(_STATEMENTS["content_schema"], name)
    return rows[0]["content_schema"] if rows else None


async def read_versions(
    session: Session,
    name: str,
    *,
    number: int | None = None,
    label: str | None = None,
    before_number: int | None = None,
    contents: bool = False,
    limit: int = 1,
) -> list[ConfigurationVersion]:
    """Versions of a configuration, the newest first."""
    rows = await session.fetch(_STATEMENTS["versions"], name, number, label, before_number, contents, limit)
    return [ConfigurationVersion.of(row) for row in rows]


async def resolve_reference(session: Session, text: str) -> ConfigurationVersion:
    """The version that is named as on the command line.

    Raises:
        ReferenceRefusedError: it is no name of a version.
        Others: as `resolve`.
    """
    return await resolve(session, parse_reference(text))


async def resolve(session: Session, reference: Reference) -> ConfigurationVersion:
    """The version that a reference means, with its content.

    Raises:
        ConfigurationNotFoundError, VersionNotFoundError: there is none.
        AmbiguousReferenceError: the prefix of a hash means several.
    """
    if reference.name is None:
        return await _resolve_id(session, reference)
    found = await read_versions(session, reference.name, number=reference.number, label=reference.label, contents=True)
    if found:
        return found[0]
    configuration = await read_configuration(session, reference.name)
    raise VersionNotFoundError(_missing(configuration, reference))


def _missing(configuration: Configuration, reference: Reference) -> str:
    name, latest = configuration.name, configuration.latest_number
    if latest is None:
        return f"{name} has no version yet; push one: arc-eval-db config push FILE --name {name}"
    if reference.label is not None:
        has = ", ".join(sorted(configuration.labels)) or "no label at all"
        return f"{name} has no label {reference.label}; it has {has}"
    return f"{name} has no version {reference.number}; its latest is {latest}: arc-eval-db config history {name}"


async def _resolve_id(session: Session, reference: Reference) -> ConfigurationVersion:
    pattern = None if reference.hash_prefix is None else f"{reference.hash_prefix}%"
    rows = await session.fetch(_STATEMENTS["versions_by_id"], reference.version_id, pattern, _NAMED_MAX)
    found = [ConfigurationVersion.of(row) for row in rows]
    if not found:
        raise VersionNotFoundError(f"there is no version {reference.text}; look with: arc-eval-db config list")
    if len(found) > 1:
        meant = ", ".join(f"{version.reference} (sha256:{version.content_hash})" for version in found)
        raise AmbiguousReferenceError(f"{reference.text} means several versions: {meant}; give more digits")
    return found[0]


async def read_deployments(
    session: Session,
    *,
    deployment: str | None,
    environment: str | None,
    configuration: str | None,
    since: datetime | None,
    until: datetime | None,
    current: bool,
    before_id: int | None,
    limit: int,
) -> list[Deployment]:
    """What was deployed, the latest first."""
    rows = await session.fetch(
        _STATEMENTS["deployments"], deployment, environment, configuration, since, until, current, before_id, limit
    )
    return [Deployment(**row) for row in rows]


async def read_audit(session: Session, name: str | None, *, before_id: int | None, limit: int) -> Sequence[AuditEntry]:
    """What was done, the latest first.

    Raises:
        ConfigurationNotFoundError: there is no such configuration.
    """
    rows = await session.fetch(_STATEMENTS["audit"], name, before_id, limit)
    if not rows and name is not None:
        await read_configuration(session, name)
    return [AuditEntry.of(row) for row in rows]
