"""Configurations for programs: versions, labels, schemas, deployments, and who did what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from arc_eval_db.configurations import changes, reading
from arc_eval_db.configurations.changes import Author, Place, PushMode, UncheckedSchemaError
from arc_eval_db.configurations.commits import Change
from arc_eval_db.configurations.content import Content
from arc_eval_db.configurations.content_schema_checking import ContentSchemas
from arc_eval_db.configurations.errors import ConfigurationError, SchemaChangedError, VersionNotFoundError
from arc_eval_db.configurations.models import (
    LabelMove,
    Pushed,
)
from arc_eval_db.configurations.reader import ConfigurationReader
from arc_eval_db.configurations.references import (
    Reference,
    check_label,
    check_name,
    check_new_name,
    check_texts,
    parse_reference,
)
from arc_eval_db.database import Session
from arc_eval_db.operations import Running
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX

T = TypeVar("T")


# So often a schema may be changed while a content is checked against it.
_SCHEMAS_MAX = 5


class _DryRunError(ConfigurationError):
    """Takes a dry run back; never seen outside."""

    def __init__(self, result: Pushed | None) -> None:
        self.result = result
        super().__init__()


class ConfigurationManager(ConfigurationReader):
    """Creates, versions, labels and deploys configurations, and reads them.

    Example:
        async with ConfigurationManager() as manager:
            pushed = await manager.push("careful", {"model": "m1"}, by="ann", labels=["candidate"])
            print(pushed.version.reference)  # careful@1

    Every change names who makes it (`by`), is one transaction, and is in the audit trail. Where the answer to its
    COMMIT is lost it is tried again, and tells what it did. A call that is made again changes nothing. With
    `expected_revision` a change is made only if the configuration is as it was read, or if what it asks for is so
    already.

    Every method may raise what those of `ConfigurationReader` may. Changing needs the rights of `arc_eval_admin`.
    """

    def __init__(self, *arguments: Any, schemas: ContentSchemas | None = None, **options: Any) -> None:
        """
        Args:
            arguments, options: as `ConfigurationReader` takes them.
            schemas: what checks schemas and contents.
        """
        super().__init__(*arguments, **options)
        self._schemas = schemas or ContentSchemas()

    async def push(
        self,
        name: str,
        content: Mapping[str, Any],
        *,
        by: str,
        description: str | None = None,
        labels: Sequence[str] = (),
        expected_revision: int | None = None,
        dry_run: bool = False,
    ) -> Pushed:
        """Make a content a version of `name`, which is created where there is none. The same content is one version.

        Args:
            labels: are moved to the version in the same transaction.
            dry_run: do everything, take it back, and return what would be.

        Raises:
            ContentRefusedError, ContentSchemaViolatedError: the content cannot be taken.
            ConfigurationArchivedError, RevisionConflictError: the configuration is not to be changed.
        """
        pushed = await self._push(
            "push", name, content, Author(_by(by), expected_revision), description, labels, dry_run=dry_run
        )
        assert pushed is not None
        return pushed

    async def create(
        self,
        name: str,
        content: Mapping[str, Any] | None = None,
        *,
        by: str,
        description: str | None = None,
        labels: Sequence[str] = (),
    ) -> Pushed | None:
        """Create a configuration, with a first version where a content is given (None is returned where none is).

        Unlike the other changes it is refused when it is repeated.

        Raises:
            ConfigurationExistsError: there is one, perhaps made by a sandbox's event.
        """
        return await self._push("create", name, content, Author(_by(by)), description, labels)

    async def update(
        self,
        name: str,
        content: Mapping[str, Any] | None = None,
        *,
        by: str,
        description: str | None = None,
        labels: Sequence[str] = (),
        expected_revision: int | None = None,
    ) -> Pushed | None:
        """Add a version to a configuration, describe it, or both (None is returned where no content is given).

        Raises:
            ConfigurationNotFoundError: there is no such configuration.
            Others: as `push`.
        """
        author = Author(_by(by), expected_revision)
        return await self._push("update", name, content, author, description, labels)

    async def label(self, reference: str, label: str, *, by: str, expected_revision: int | None = None) -> LabelMove:
        """Put a label on a version of a configuration, from wherever it is.

        Raises:
            VersionNotFoundError: there is no such version, or it has no name.
        """
        parsed, author = parse_reference(reference), Author(_by(by), expected_revision)
        check_label(label)

        async def work(session: Session) -> LabelMove:
            name, number = await _numbered(session, parsed)
            return await changes.set_label(session, name, label, number, author)

        return await self._change("label", author, work)

    async def unlabel(self, name: str, label: str, *, by: str, expected_revision: int | None = None) -> LabelMove:
        """Take a label away; `previous_number` is None where there was none."""
        check_name(name)
        check_label(label)
        author = Author(_by(by), expected_revision)
        return await self._change(
            "unlabel", author, lambda session: changes.set_label(session, name, label, None, author)
        )

    async def set_content_schema(
        self, name: str, schema: Mapping[str, Any] | None, *, by: str, expected_revision: int | None = None
    ) -> None:
        """Let contents that people push have to fit a JSON Schema (Draft 2020-12) from now on; None: any fits.

        Versions that are there stay. What sandboxes send is never refused for it.

        Raises:
            ContentSchemaError: the schema cannot be enforced.
        """
        check_name(name)
        author = Author(_by(by), expected_revision)
        known = None
        if schema is not None:
            known = Content.of(schema).value
            await self._schemas.check_schema(name, known)
        await self._change(
            "set_content_schema", author, lambda session: changes.set_content_schema(session, name, known, author)
        )

    async def archive(self, name: str, *, by: str, expected_revision: int | None = None) -> None:
        """Take a configuration out of lists, and let people change nothing of it. Sandboxes may go on to use it."""
        await self._set_archived("archive", name, True, Author(_by(by), expected_revision))

    async def unarchive(self, name: str, *, by: str, expected_revision: int | None = None) -> None:
        """Take back that it was archived."""
        await self._set_archived("unarchive", name, False, Author(_by(by), expected_revision))

    async def deploy(
        self, reference: str, *, deployment: str, environment: str, by: str, replace: bool = False
    ) -> bool:
        """Note that a version is in a deployment from now on. False where it was there.

        Args:
            deployment: Modal's id of it, or another's.
            replace: the other versions of this configuration leave it at the same moment.
        """
        parsed, place, author = parse_reference(reference), _place(deployment, environment), Author(_by(by))

        async def work(session: Session) -> bool:
            name, number = await _numbered(session, parsed)
            return await changes.deploy(session, name, number, place, author, replace=replace)

        return await self._change("deploy", author, work)

    async def undeploy(self, reference: str, *, deployment: str, environment: str, by: str) -> tuple[int, ...]:
        """Note that a version has left a deployment, or with `NAME` alone all of its. Returns which were there."""
        parsed, place, author = parse_reference(reference), _place(deployment, environment), Author(_by(by))

        async def work(session: Session) -> tuple[int, ...]:
            if parsed.name is not None and parsed.text == parsed.name:
                return tuple(await changes.undeploy(session, parsed.name, None, place, author))
            name, number = await _numbered(session, parsed)
            return tuple(await changes.undeploy(session, name, number, place, author))

        return await self._change("undeploy", author, work)

    async def _push(
        self,
        mode: PushMode,
        name: str,
        content: Mapping[str, Any] | None,
        author: Author,
        description: str | None,
        labels: Sequence[str],
        *,
        dry_run: bool = False,
    ) -> Pushed | None:
        # What a sandbox has named otherwise can still be updated.
        check_name(name) if mode == "update" else check_new_name(name)
        check_texts(description=description)
        for label in labels:
            check_label(label)
        if content is None and labels:
            raise ConfigurationError("labels are for a version; give its content too, or use config label")
        # A large content takes a second: the other tasks of the event loop get their turn.
        known = None if content is None else await asyncio.to_thread(Content.of, content)
        with self._operations.running(f"configuration_{mode}") as running:
            schema = None
            if known is not None and mode != "create":
                schema = await self._operations.on_session(running, partial(reading.read_schema_text, name=name))
            for _ in range(_SCHEMAS_MAX):
                if known is not None:
                    await self._schemas.check_content(name, schema, known.value)
                work = partial(
                    _pushed,
                    name=name,
                    content=known,
                    author=author,
                    mode=mode,
                    description=description,
                    labels=labels,
                    checked_schema=schema,
                    dry_run=dry_run,
                )
                try:
                    return await self._on_session(running, author, work)
                except _DryRunError as error:
                    return error.result
                except UncheckedSchemaError as error:
                    schema = error.schema
            raise SchemaChangedError(f"the schema of {name} was changed again and again meanwhile; try again")

    async def _set_archived(self, operation: str, name: str, is_archived: bool, author: Author) -> None:
        check_name(name)
        await self._change(operation, author, lambda session: changes.set_archived(session, name, is_archived, author))

    async def _change(self, operation: str, author: Author, work: Callable[[Session], Awaitable[T]]) -> T:
        with self._operations.running(f"configuration_{operation}") as running:
            return await self._on_session(running, author, work)

    async def _on_session(self, running: Running, author: Author, work: Callable[[Session], Awaitable[T]]) -> T:
        change = Change(work, lambda: author.configuration_id)
        return await self._operations.on_session(running, change.attempt)


async def _pushed(session: Session, *, name: str, dry_run: bool, **arguments: Any) -> Pushed | None:
    result = await changes.push(session, name, **arguments)
    if dry_run:
        raise _DryRunError(result)
    return result


async def _numbered(session: Session, reference: Reference) -> tuple[str, int]:
    version = await reading.resolve(session, reference)
    if version.configuration is None or version.number is None:
        raise VersionNotFoundError(
            f"{reference.text} has no name yet; give it one: arc-eval-db config push FILE --name NAME"
        )
    return version.configuration, version.number


def _by(by: str) -> str:
    if not by.isprintable() or not 0 < len(by.strip()) <= NAME_CHARACTERS_MAX:
        raise ConfigurationError(f"by: who does this, in 1 to {NAME_CHARACTERS_MAX} characters that can be printed")
    return by


def _place(deployment: str, environment: str) -> Place:
    for name, value in (("deployment", deployment), ("environment", environment)):
        if not value.isprintable() or not 0 < len(value.strip()) <= NAME_CHARACTERS_MAX:
            raise ConfigurationError(f"{name}: 1 to {NAME_CHARACTERS_MAX} characters that can be printed")
    return Place(deployment, environment)
