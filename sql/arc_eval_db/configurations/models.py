"""What the manager gives back: rows as frozen objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import orjson

from arc_eval_db.configurations.content import stored_value

Row = Mapping[str, Any]


class AuditAction(StrEnum):
    """What was done."""

    CREATED = "created"
    VERSION_ADDED = "version_added"
    DESCRIBED = "described"
    LABELLED = "labelled"
    UNLABELLED = "unlabelled"
    SCHEMA_SET = "schema_set"
    SCHEMA_CLEARED = "schema_cleared"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    DEPLOYED = "deployed"
    UNDEPLOYED = "undeployed"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A name and what is known under it."""

    id: UUID
    name: str
    description: str | None
    revision: int
    """Grows with every change of it, its versions and labels; what `expected_revision` is compared with."""
    latest_number: int | None
    """Of its latest version; None where it has none yet."""
    labels: Mapping[str, int]
    """The number that each label is on."""
    has_content_schema: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the query `configurations`."""
        return cls(**{**row, "labels": orjson.loads(row["labels"] or "{}")})


@dataclass(frozen=True, slots=True)
class ConfigurationVersion:
    """One content, under one name."""

    id: UUID
    """The same wherever this content is."""
    configuration: str | None
    """None where only events without a name have brought it."""
    number: int | None
    """None where it has no name."""
    content_hash: str | None
    """SHA-256 of the canonical JSON; None as `content`."""
    content: Mapping[str, Any] | None
    """None where it is not known, as events brought the id alone, or where it was not asked for."""
    created_at: datetime
    """When it got its number."""
    created_by: str | None
    """None where a sandbox's event brought it."""
    labels: tuple[str, ...]

    @property
    def reference(self) -> str:
        """How to name it: `careful@3`, or its id."""
        return f"{self.configuration}@{self.number}" if self.number is not None else str(self.id)

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the query `versions` or `versions_by_id`."""
        content = None if row["content"] is None else stored_value(row["content"])
        return cls(**{**row, "content": content, "labels": tuple(row["labels"])})


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a content that was pushed."""

    version: ConfigurationVersion
    revision: int
    """The configuration's, afterwards."""
    is_new: bool
    """Whether it got its number now. False: the same content was there under this name."""
    created_configuration: bool


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label, and where it was before."""

    configuration: str
    label: str
    number: int | None
    """None: it was taken away."""
    previous_number: int | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A version in a deployment, from when until when."""

    id: int
    configuration: str
    number: int
    configuration_version_id: UUID
    deployment: str
    environment: str
    deployed_at: datetime
    deployed_by: str
    undeployed_at: datetime | None
    """None: it is there now."""
    undeployed_by: str | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, and when."""

    id: int
    configuration: str
    time: datetime
    actor: str | None
    """None: a sandbox's event."""
    action: AuditAction
    number: int | None
    label: str | None
    details: Mapping[str, Any] | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the query `audit`."""
        details = None if row["details"] is None else orjson.loads(row["details"])
        return cls(**{**row, "action": AuditAction(row["action"]), "details": details})
