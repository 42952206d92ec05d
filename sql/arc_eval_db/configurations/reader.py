"""Configurations for programs that look: versions, labels, schemas, deployments, and who did what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from arc_eval_db.configurations import reading
from arc_eval_db.configurations.content import Content
from arc_eval_db.configurations.models import AuditEntry, Configuration, ConfigurationVersion, Deployment
from arc_eval_db.configurations.references import check_name, check_texts, parse_reference
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import SchemaOutdatedError
from arc_eval_db.operations import ClientMetrics, OnOperation, Operations
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.sql import queries

T = TypeVar("T")

ROWS_MAX = 1000
"""Rows in one answer."""
NUMBER_MAX = 2**31 - 1
"""Of a version."""
ROW_ID_MAX = 2**63 - 1
"""Of a deployment, or of an entry of the audit trail."""

_LAST = datetime.max.replace(tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


class ConfigurationReader:
    """Reads configurations, over a pool of connections, for many tasks of one event loop.

    Every method may raise:
        ConfigurationError: what was asked for is not there; the class says why, and the message what to do.
        RetryableError: the database was away, or too busy, until attempts or time were used up.
        FatalError: the schema, a right or the settings are wrong, or it is not open.

    Needs the rights of `arc_eval_reader`.
    """

    def __init__(
        self,
        settings: DatabaseSettings | None = None,
        *,
        application_name: str = "arc-eval-db configurations",
        retries: RetryPolicy | None = None,
        metrics: ClientMetrics | None = None,
        on_operation: OnOperation | None = None,
        is_quiet: bool = False,
    ) -> None:
        """
        Args:
            is_quiet: log nothing, where the caller tells people of errors itself.
            settings, application_name, retries, metrics, on_operation: as `ArcEvalDBClient` takes them; the operations'
                names begin with `configuration_`.
        """
        self.metrics = ClientMetrics() if metrics is None else metrics
        self._settings = settings
        self._application_name = application_name
        self._operations = Operations(retries or RetryPolicy(), self.metrics, on_operation, is_quiet=is_quiet)

    async def open(self) -> None:
        """Open the pool; nothing happens where it is open already.

        Raises:
            SettingsError: `ARC_EVAL_DATABASE_URL` or another setting is missing or wrong.
            SchemaOutdatedError: the database knows no versions yet.
        """
        await self._operations.open(self._settings, self._application_name)
        try:
            if not await self._run(
                "open", lambda session: session.fetch_value(queries("configurations")["has_schema"])
            ):
                raise SchemaOutdatedError(
                    "the database lacks migration 0011_configuration_versions; run: arc-eval-db migrate up"
                )
        except BaseException:
            await self.close()
            raise

    async def close(self, timeout_s: float = 10.0) -> None:
        """Let calls in progress end; when the time is over, drop their connections: they fail with an error."""
        await self._operations.close(timeout_s)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, name: str) -> Configuration:
        """The configuration with this name, archived or not.

        Raises:
            ConfigurationNotFoundError: there is none.
        """
        check_name(name)
        return await self._run("get", lambda session: reading.read_configuration(session, name))

    async def get_version(self, reference: str) -> ConfigurationVersion:
        """The version that `NAME`, `NAME@3`, `NAME@label`, a UUID or `sha256:prefix` means, with its content.

        Raises:
            ReferenceRefusedError: it is no reference.
            ConfigurationNotFoundError, VersionNotFoundError: there is none.
            AmbiguousReferenceError: the prefix of a hash means several.
        """
        parsed = parse_reference(reference)
        return await self._run("get_version", lambda session: reading.resolve(session, parsed))

    async def list(
        self, *, archived: bool = False, after: str | None = None, limit: int = 100
    ) -> tuple[Configuration, ...]:
        """Configurations in the order of their names, from behind `after` on.

        Raises:
            ValueError: a limit out of range.
        """
        return await self.search(archived=archived, after=after, limit=limit)

    async def search(
        self,
        text: str | None = None,
        *,
        label: str | None = None,
        containing: Mapping[str, Any] | None = None,
        archived: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Configuration, ...]:
        """Configurations that meet all conditions, in the order of their names.

        Args:
            text: stands in the name or the description, in whatever case.
            label: is on one of its versions.
            containing: one of its versions holds this, such as `{"model": "m1"}`.
            archived: archived ones too.

        Raises:
            ValueError: a limit out of range.
        """
        _check_limit(limit)
        check_texts(text=text, label=label, after=after)
        contained = None if containing is None else Content.of(containing).value
        found = await self._run(
            "search",
            lambda session: reading.read_configurations(
                session, text=text, label=label, containing=contained, archived=archived, after=after, limit=limit
            ),
        )
        return tuple(found)

    async def history(
        self, name: str, *, before_number: int | None = None, limit: int = 100, contents: bool = False
    ) -> tuple[ConfigurationVersion, ...]:
        """The versions of a configuration, the newest first; those before `before_number` are the next page.

        Args:
            contents: with what is in them.

        Raises:
            ConfigurationNotFoundError: there is no such configuration.
            ValueError: a limit out of range.
        """
        check_name(name)
        _check_limit(limit)
        _check_before("before_number", before_number, NUMBER_MAX)

        async def work(session: Session) -> tuple[ConfigurationVersion, ...]:
            found = await reading.read_versions(
                session, name, before_number=before_number, contents=contents, limit=limit
            )
            if not found:
                await reading.read_configuration(session, name)
            return tuple(found)

        return await self._run("history", work)

    async def get_content_schema(self, name: str) -> dict[str, Any] | None:
        """The JSON Schema that contents of `name` must fit; None where any fits."""
        check_name(name)
        return await self._run("get_content_schema", lambda session: reading.read_content_schema(session, name))

    async def deployments(
        self,
        *,
        deployment: str | None = None,
        environment: str | None = None,
        configuration: str | None = None,
        at: datetime | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        current: bool = False,
        before_id: int | None = None,
        limit: int = 100,
    ) -> tuple[Deployment, ...]:
        """Which versions were in which deployments, the latest first; those before `before_id` are the next page.

        Args:
            at: at this moment; in place of `since` and `until`.
            since, until: at any moment from `since` up to, not including, `until`: "on Tuesday".
            current: only what is there now.

        Raises:
            ValueError: a time without its offset from UTC, `at` together with another, `since` not before `until`, or a
                limit out of range.
        """
        _check_limit(limit)
        _check_before("before_id", before_id, ROW_ID_MAX)
        check_texts(deployment=deployment, environment=environment, configuration=configuration)
        if any(time is not None and time.tzinfo is None for time in (at, since, until)):
            raise ValueError("at, since and until need an offset from UTC, such as datetime.now(UTC) has")
        if at is not None:
            if since is not None or until is not None:
                raise ValueError("at is a moment, since and until are a span: give either")
            # Behind the last moment that Python knows there is none.
            since, until = at, at + min(_INSTANT, _LAST - at)
        elif since is not None and until is not None and since >= until:
            raise ValueError("since must be before until")
        found = await self._run(
            "deployments",
            lambda session: reading.read_deployments(
                session,
                deployment=deployment,
                environment=environment,
                configuration=configuration,
                since=since,
                until=until,
                current=current,
                before_id=before_id,
                limit=limit,
            ),
        )
        return tuple(found)

    async def audit(
        self, name: str | None = None, *, before_id: int | None = None, limit: int = 100
    ) -> tuple[AuditEntry, ...]:
        """Who did what to a configuration, or to all, the latest first; those before `before_id` are the next page.

        Raises:
            ValueError: a limit out of range.
        """
        _check_limit(limit)
        _check_before("before_id", before_id, ROW_ID_MAX)
        check_texts(name=name)
        return tuple(
            await self._run(
                "audit", lambda session: reading.read_audit(session, name, before_id=before_id, limit=limit)
            )
        )

    async def _run(self, operation: str, work: Callable[[Session], Awaitable[T]]) -> T:
        with self._operations.running(f"configuration_{operation}") as running:
            return await self._operations.on_session(running, work)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= ROWS_MAX:
        raise ValueError(f"limit: from 1 to {ROWS_MAX}, not {limit}")


def _check_before(name: str, value: int | None, most: int) -> None:
    if value is not None and not 0 <= value <= most:
        raise ValueError(f"{name}: from 0 to {most}, not {value}")
