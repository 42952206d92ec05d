"""What the API gives back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from arc_eval_db.configurations import AuditAction, ChangeKind

NextPage = Annotated[
    str | None, Field(description="The address of the next page, also in the header Link; null: this is the last.")
]


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ConfigurationModel(_Row):
    """A name and what is known under it."""

    id: UUID
    name: str = Field(examples=["careful"])
    description: str | None
    revision: int = Field(description="Grows with every change of it, its versions and labels; in quotes: its ETag.")
    latest_number: int | None = Field(description="Of its latest version; null where it has none yet.")
    labels: dict[str, int] = Field(description="The number that each label is on.", examples=[{"production": 3}])
    has_content_schema: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ConfigurationPage(BaseModel):
    """Configurations by name."""

    items: list[ConfigurationModel]
    next: NextPage


class VersionSummary(_Row):
    """One content under one name, without the content. It never changes; the configuration says where labels are."""

    id: UUID = Field(description="The same wherever this content is.")
    configuration: str | None = Field(description="Null where only events without a name have brought it.")
    number: int | None = Field(description="Null where it has no name.", examples=[3])
    reference: str = Field(examples=["careful@3"])
    content_hash: str | None = Field(description="SHA-256 of the canonical JSON (RFC 8785).")
    created_at: datetime
    created_by: str | None = Field(description="Null where a sandbox's event brought it.")


class VersionModel(VersionSummary):
    """One content under one name."""

    content: dict[str, Any] | None = Field(
        description="Null where events brought the id alone.", examples=[{"model": "m1", "temperature": 0.2}]
    )


class VersionPage(BaseModel):
    """Versions of a configuration, the newest first."""

    items: list[VersionSummary]
    next: NextPage


class Created(BaseModel):
    """A new configuration."""

    configuration: ConfigurationModel
    version: VersionModel | None = Field(description="Its first; null where no content was given.")


class VersionAdded(BaseModel):
    """What became of a content."""

    is_new: bool = Field(description="False: the same content was there under this name.")
    version: VersionModel
    configuration: ConfigurationModel


class Labels(BaseModel):
    """The labels of a configuration."""

    labels: dict[str, int] = Field(description="The number that each is on.", examples=[{"production": 3}])


class LabelMoved(BaseModel):
    """A label, and where it was before."""

    label: str
    number: int | None = Field(description="Null: it is on no version now.")
    previous_number: int | None
    configuration: ConfigurationModel


class ContentSchema(BaseModel):
    """What contents that people push must fit."""

    content_schema: dict[str, Any] | None = Field(description="JSON Schema, Draft 2020-12; null: any content fits.")


class DeploymentModel(_Row):
    """A version in a deployment, from when until when."""

    id: int
    configuration: str
    number: int
    configuration_version_id: UUID
    deployment: str
    environment: str
    deployed_at: datetime
    deployed_by: str
    undeployed_at: datetime | None = Field(description="Null: it is there now.")
    undeployed_by: str | None


class DeploymentPage(BaseModel):
    """Deployments, the latest first."""

    items: list[DeploymentModel]
    next: NextPage


class Deployed(BaseModel):
    """What became of a deployment."""

    is_new: bool = Field(description="False: the version was there already.")
    deployment: DeploymentModel | None = Field(description="Null where somebody has ended it meanwhile.")


class Undeployed(BaseModel):
    """What has left a deployment."""

    numbers: list[int] = Field(description="Of its versions; empty where none was there.")


class ChangeModel(BaseModel):
    """One difference."""

    kind: ChangeKind
    path: list[str | int]
    place: str = Field(description="The path for people.", examples=["$.tools[2].name"])
    before: Any
    after: Any


class Diff(BaseModel):
    """What must be done to `before` to make it equal to `after`."""

    before: VersionSummary
    after: VersionSummary
    is_equal: bool
    changes: list[ChangeModel] | None = Field(default=None, description="With format=changes.")
    patch: list[dict[str, Any]] | None = Field(default=None, description="With format=patch: RFC 6902.")
    text: list[str] | None = Field(default=None, description="With format=text: the lines of a unified diff.")


DiffFormat = Literal["changes", "patch", "text"]


class AuditEntryModel(_Row):
    """Who did what, and when."""

    id: int
    configuration: str
    time: datetime
    actor: str | None = Field(description="Null: a sandbox's event.")
    action: AuditAction
    number: int | None
    label: str | None
    details: dict[str, Any] | None


class AuditPage(BaseModel):
    """The audit trail, the latest first."""

    items: list[AuditEntryModel]
    next: NextPage


class Comparison(BaseModel):
    """B against A, the baseline: the report of `arc-eval-db compare --json` (docs/comparison.md)."""

    model_config = ConfigDict(extra="allow")

    a: dict[str, Any]
    b: dict[str, Any]
    since: datetime | None
    until: datetime | None
    options: dict[str, Any]
    common_scenarios: int
    verdict: dict[str, Any] = Field(description="`kind` and `text` say it; the other fields how sure it is.")
    metrics: list[dict[str, Any]]
    flips: list[dict[str, Any]]
    notes: list[str]


class Health(BaseModel):
    """The database answers."""

    status: Literal["ok"] = "ok"
