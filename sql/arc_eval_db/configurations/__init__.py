"""Configurations of agents: versions by content, names and labels, differences, deployments, and who did what."""

from __future__ import annotations

from arc_eval_db.configurations.content import Content
from arc_eval_db.configurations.differences import Change, ChangeKind, differences, json_patch, text_diff
from arc_eval_db.configurations.documents import read_document, read_stream
from arc_eval_db.configurations.errors import (
    AmbiguousReferenceError,
    ConfigurationArchivedError,
    ConfigurationError,
    ConfigurationExistsError,
    ConfigurationNotFoundError,
    ContentRefusedError,
    ContentSchemaError,
    ContentSchemaViolatedError,
    DocumentError,
    ReferenceRefusedError,
    RevisionConflictError,
    VersionNotFoundError,
)
from arc_eval_db.configurations.manager import ConfigurationManager
from arc_eval_db.configurations.models import (
    AuditAction,
    AuditEntry,
    Configuration,
    ConfigurationVersion,
    Deployment,
    LabelMove,
    Pushed,
)
from arc_eval_db.configurations.reader import ConfigurationReader
from arc_eval_db.configurations.reading import resolve_reference

__all__ = [
    "AmbiguousReferenceError",
    "AuditAction",
    "AuditEntry",
    "Change",
    "ChangeKind",
    "Configuration",
    "ConfigurationArchivedError",
    "ConfigurationError",
    "ConfigurationExistsError",
    "ConfigurationManager",
    "ConfigurationNotFoundError",
    "ConfigurationReader",
    "ConfigurationVersion",
    "Content",
    "ContentRefusedError",
    "ContentSchemaError",
    "ContentSchemaViolatedError",
    "Deployment",
    "DocumentError",
    "LabelMove",
    "Pushed",
    "ReferenceRefusedError",
    "RevisionConflictError",
    "VersionNotFoundError",
    "differences",
    "json_patch",
    "read_document",
    "read_stream",
    "resolve_reference",
    "text_diff",
]
