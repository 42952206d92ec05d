"""Changes of configurations, each within a transaction of its caller's, with its entry in the audit trail.

Each is safe to repeat: what is as it should be is left alone, and then needs no revision to be as expected either. So a
call whose answer was lost can be made again, and ten that do the same at once do it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from arc_eval_db.configurations.content import Content
from arc_eval_db.configurations.errors import (
    ConfigurationArchivedError,
    ConfigurationError,
    ConfigurationExistsError,
    RevisionConflictError,
)
from arc_eval_db.configurations.models import AuditAction, LabelMove, Pushed
from arc_eval_db.configurations.reading import not_found, read_configuration, read_versions
from arc_eval_db.database import Session
from arc_eval_db.schemas import ids
from arc_eval_db.sql import queries

_STATEMENTS = queries("configurations")

PushMode = Literal["push", "create", "update"]
"""`create`: there must be no such configuration; `update`: there must be one; `push`: either."""


@dataclass(slots=True)
class Author:
    """Who changes something, and what they have read of it; and of the attempt that is at work, what it changes."""

    by: str
    expected_revision: int | None = None
    configuration_id: UUID | None = None
    """Set by `lock`."""


class UncheckedSchemaError(ConfigurationError):
    """The content was not checked against the schema that is in force; never seen outside."""

    def __init__(self, schema: str) -> None:
        """
        Args:
            schema: JSON text.
        """
        self.schema = schema
        super().__init__()


@dataclass(slots=True)
class Locked:
    """A configuration whose row this transaction holds."""

    session: Session
    author: Author
    id: UUID
    name: str
    description: str | None
    revision: int
    is_archived: bool
    content_schema: str | None
    is_changed: bool = False

    async def change(self, action: AuditAction, **entry: Any) -> None:
        """Note a change that is about to be made; the first one needs the revision that its author has read.

        Raises:
            RevisionConflictError: it is another by now.
        """
        self.require_revision()
        self.is_changed = True
        number, label, details = entry.get("number"), entry.get("label"), entry.get("details")
        await self.run(
            "insert_audit",
            self.id,
            self.author.by,
            action.value,
            number,
            label,
            None if details is None else orjson.dumps(details).decode(),
        )

    def require_revision(self) -> None:
        """Compare the revision with the one that the author has read, unless they change something already."""
        expected = self.author.expected_revision
        if not self.is_changed and expected is not None and expected != self.revision:
            raise RevisionConflictError(self.name, expected, self.revision)

    def require_active(self) -> None:
        """Refuse to change what is archived."""
        if self.is_archived:
            raise ConfigurationArchivedError(
                f"{self.name} is archived and takes no change; first: arc-eval-db config unarchive {self.name}"
            )

    async def run(self, statement: str, *arguments: Any) -> None:
        """Run a statement of `configurations.sql`."""
        await self.session.execute(_STATEMENTS[statement], *arguments)

    async def value(self, statement: str, *arguments: Any) -> Any:
        """The first value that a statement of `configurations.sql` gives."""
        return await self.session.fetch_value(_STATEMENTS[statement], *arguments)


async def lock(session: Session, name: str, author: Author) -> Locked:
    """Hold a configuration's row until the transaction ends.

    Raises:
        ConfigurationNotFoundError: there is none.
    """
    rows = await session.fetch(_STATEMENTS["lock_configuration"], name)
    if not rows:
        raise not_found(name)
    row = dict(rows[0])
    author.configuration_id = row["id"]
    return Locked(session, author, is_archived=row.pop("archived_at") is not None, **row)


async def push(
    session: Session,
    name: str,
    content: Content | None,
    author: Author,
    *,
    mode: PushMode = "push",
    description: str | None = None,
    labels: Sequence[str] = (),
    checked_schema: str | None = None,
) -> Pushed | None:
    """Create a configuration, or add a version to it, or describe it. None where no content is given.

    Args:
        checked_schema: the content fits it.

    Raises:
        UncheckedSchemaError: another is in force.
        ConfigurationExistsError, ConfigurationNotFoundError: as `mode` says.
        ConfigurationArchivedError, RevisionConflictError: it is refused.
    """
    created = False
    if mode != "update":
        new_id = await session.fetch_value(
            _STATEMENTS["insert_configuration"], ids.configuration_id(name), name, description
        )
        created = new_id is not None
        if mode == "create" and not created:
            raise ConfigurationExistsError(
                f"there is a configuration {name} already; add a version: arc-eval-db config push FILE --name {name}"
            )
    if content is not None:
        # Before the configuration's row: the writer takes its locks in this order too.
        await session.execute(
            _STATEMENTS["upsert_version"], content.version_id, content.content_hash, content.canonical
        )
    locked = await lock(session, name, author)
    locked.require_active()
    if created:
        await locked.change(AuditAction.CREATED)
    if description is not None and description != locked.description:
        await locked.change(AuditAction.DESCRIBED)
        await locked.run("set_description", locked.id, description)
    if content is None:
        await _finish(locked)
        return None
    if locked.content_schema not in (None, checked_schema):
        # Not here: it may take long, and others wait for the lock.
        raise UncheckedSchemaError(str(locked.content_schema))
    number, is_new = await _number(locked, content)
    for label in labels:
        await move_label(locked, label, number)
    await _finish(locked)
    (version,) = await read_versions(session, name, number=number, contents=True)
    configuration = await read_configuration(session, name)
    return Pushed(version, configuration.revision, is_new, created)


async def _number(locked: Locked, content: Content) -> tuple[int, bool]:
    number = await locked.value("number_of_version", locked.id, content.version_id)
    if number is not None:
        return int(number), False
    locked.require_revision()
    number = await locked.value("number_version", locked.id, content.version_id, locked.author.by)
    locked.is_changed = True
    await locked.run("set_home", content.version_id, locked.id)
    return int(number), True


async def move_label(locked: Locked, label: str, number: int | None) -> LabelMove:
    """Put a label on a version, or take it away; in between it is never on two, nor on none."""
    previous = await locked.value("label_number", locked.id, label)
    if previous != number:
        action = AuditAction.UNLABELLED if number is None else AuditAction.LABELLED
        details = {"previous_number": previous}
        await locked.change(action, number=number, label=label, details=details)
        if number is None:
            await locked.run("remove_label", locked.id, label)
        else:
            await locked.run("move_label", locked.id, label, number, locked.author.by)
    return LabelMove(locked.name, label, number, previous)


async def set_label(session: Session, name: str, label: str, number: int | None, author: Author) -> LabelMove:
    """`move_label` as the whole change."""
    locked = await lock(session, name, author)
    locked.require_active()
    move = await move_label(locked, label, number)
    await _finish(locked)
    return move


async def set_content_schema(session: Session, name: str, schema: Mapping[str, Any] | None, author: Author) -> None:
    """Store a JSON Schema that was checked, or none."""
    locked = await lock(session, name, author)
    locked.require_active()
    before = None if locked.content_schema is None else orjson.loads(locked.content_schema)
    # As text: to Python, true is 1.
    if orjson.dumps(before, option=orjson.OPT_SORT_KEYS) == orjson.dumps(schema, option=orjson.OPT_SORT_KEYS):
        return
    await locked.change(AuditAction.SCHEMA_CLEARED if schema is None else AuditAction.SCHEMA_SET)
    await locked.run("set_content_schema", locked.id, None if schema is None else orjson.dumps(schema).decode())
    await _finish(locked)


async def set_archived(session: Session, name: str, is_archived: bool, author: Author) -> None:
    """Archive a configuration, or take that back."""
    locked = await lock(session, name, author)
    if locked.is_archived == is_archived:
        return
    await locked.change(AuditAction.ARCHIVED if is_archived else AuditAction.UNARCHIVED)
    await locked.run("set_archived", locked.id, is_archived)
    await _finish(locked)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version runs."""

    deployment: str
    environment: str

    @property
    def details(self) -> dict[str, str]:
        """For the audit trail."""
        return {"deployment": self.deployment, "environment": self.environment}


async def deploy(session: Session, name: str, number: int, place: Place, author: Author, *, replace: bool) -> bool:
    """Note that a version is in a deployment from now on. False where it was there.

    Args:
        replace: the other versions of this configuration leave it at the same moment.
    """
    locked = await lock(session, name, author)
    locked.require_active()
    moment = await locked.value("moment")
    if replace:
        await _undeploy(locked, None, place, moment, left=number)
    arguments = (locked.id, number, place.deployment, place.environment, author.by, moment)
    if await locked.value("deploy", *arguments) is None:
        return False
    await locked.change(AuditAction.DEPLOYED, number=number, details=place.details)
    return True


async def undeploy(session: Session, name: str, number: int | None, place: Place, author: Author) -> list[int]:
    """Note that a version, or every version of a configuration, has left a deployment. Returns which were there."""
    locked = await lock(session, name, author)
    return await _undeploy(locked, number, place, await locked.value("moment"), left=None)


async def _undeploy(
    locked: Locked, number: int | None, place: Place, moment: datetime, *, left: int | None
) -> list[int]:
    where = (place.deployment, place.environment)
    rows = await locked.session.fetch(
        _STATEMENTS["undeploy"], locked.id, number, *where, locked.author.by, left, moment
    )
    numbers = sorted(row["number"] for row in rows)
    for gone in numbers:
        await locked.change(AuditAction.UNDEPLOYED, number=gone, details=place.details)
    return numbers


async def _finish(locked: Locked) -> None:
    if locked.is_changed:
        await locked.run("touch", locked.id)
