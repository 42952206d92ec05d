"""Configurations in the database: one version a content, numbers without gaps, labels that move at once, who did it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from arc_eval_db.configurations import (
    AmbiguousReferenceError,
    AuditAction,
    ConfigurationArchivedError,
    ConfigurationError,
    ConfigurationExistsError,
    ConfigurationManager,
    ConfigurationNotFoundError,
    ConfigurationReader,
    ContentSchemaError,
    ContentSchemaViolatedError,
    Pushed,
    ReferenceRefusedError,
    RevisionConflictError,
    VersionNotFoundError,
)
from arc_eval_db.configurations.content_schema import check_schema, content_problems
from arc_eval_db.database import DatabaseSettings, SchemaMismatchError, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.migrations import Migrator, SchemaOutdatedError
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import STARTED
from arc_eval_db.writer import BatchWriter, LoggedEvent
from support.conditions import eventually
from support.databases import connect
from support.events import event
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

WRITER, READER, ADMIN = ROLES
QUICK = RetryPolicy(attempts_max=10, deadline_s=60, backoff_s_min=0, backoff_s_max=0.05)
SCHEMA = {"type": "object", "required": ["model"], "properties": {"temperature": {"type": "number", "maximum": 1}}}


@pytest.fixture
def small(database: DatabaseSettings) -> DatabaseSettings:
    return database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 8})


@pytest.fixture
async def manager(small: DatabaseSettings) -> AsyncIterator[ConfigurationManager]:
    async with ConfigurationManager(small, retries=QUICK) as opened:
        yield opened


@pytest.fixture
async def worker(small: DatabaseSettings) -> DatabaseSettings:
    """The writer's login."""
    return await as_role(small, WRITER)


async def push(manager: ConfigurationManager, name: str, content: dict[str, Any], **options: Any) -> Pushed:
    return await manager.push(name, content, by="ann", **options)


async def numbers(session: Session, name: str) -> list[int]:
    rows = await session.fetch(
        "SELECT number FROM configuration_version_numbers JOIN configurations ON id = configuration_id"
        " WHERE name = $1 ORDER BY number",
        name,
    )
    return [row["number"] for row in rows]


def started(name: str | None, content: dict[str, Any] | None, **data: Any) -> LoggedEvent:
    version_id = data.pop("configuration_version_id", None) or ids.configuration_version_id(content or {})
    described = {
        "configuration_name": name,
        "configuration": content,
        "configuration_version_id": str(version_id),
        **data,
    }
    return LoggedEvent(parse_event(orjson.dumps(event(STARTED, described))))


async def write(session: Session, events: Sequence[LoggedEvent]) -> None:
    async with session.transaction():
        report = await BatchWriter().write(session, events)
    assert not report.refused


async def send(settings: DatabaseSettings, events: Sequence[LoggedEvent]) -> None:
    """As a worker does: `settings` log in as the writer."""
    async with await connect(settings) as session:
        await write(session, events)


async def test_the_same_content_is_the_same_version(manager: ConfigurationManager, session: Session) -> None:
    first = await push(manager, "careful", {"model": "m1", "steps": 1}, description="asks first")
    again = await push(manager, "careful", {"steps": 1.0, "model": "m1"})
    second = await push(manager, "careful", {"model": "m2"}, labels=["candidate"])
    elsewhere = await push(manager, "bold", {"model": "m1", "steps": 1})
    assert (first.version.reference, first.is_new, first.created_configuration) == ("careful@1", True, True)
    assert (again.version, again.is_new, again.created_configuration) == (first.version, False, False)
    assert again.revision == first.revision
    assert (second.version.number, second.version.labels) == (2, ("candidate",))
    assert elsewhere.version.id == first.version.id == ids.configuration_version_id({"model": "m1", "steps": 1})
    assert (elsewhere.version.configuration, elsewhere.version.number) == ("bold", 1)
    assert first.version.content == {"model": "m1", "steps": 1}
    assert (first.version.created_by, elsewhere.version.created_by) == ("ann", "ann")
    assert await session.fetch_value("SELECT count(*) FROM configuration_versions") == 2
    configuration = await manager.get("careful")
    assert (configuration.description, configuration.latest_number) == ("asks first", 2)
    assert configuration.labels == {"candidate": 2}
    assert [version.number for version in await manager.history("careful")] == [2, 1]
    assert [version.number for version in await manager.history("careful", before_number=2)] == [1]


async def test_a_sandbox_s_version_is_the_same_too(manager: ConfigurationManager, worker: DatabaseSettings) -> None:
    content = {"name": "careful", "temperature": 1.0, "big": 1e17}
    await send(worker, [started("careful", content)])
    sent = await manager.get_version("careful")
    assert (sent.number, sent.created_by) == (1, None)
    pushed = await push(manager, "careful", {"temperature": 1, "big": 1e17, "name": "careful"})
    assert (pushed.is_new, pushed.version) == (False, sent)
    await push(manager, "careful", {"name": "careful"})
    await send(worker, [started("careful", {"name": "careful"}), started("careful", {"name": "other"})])
    assert [version.created_by for version in await manager.history("careful")] == [None, "ann", None]
    assert [entry.actor for entry in await manager.audit("careful")] == [None, "ann", None]


async def test_a_version_whose_name_comes_later_gets_its_number_then(
    manager: ConfigurationManager, session: Session
) -> None:
    content = {"model": "m1"}
    await write(session, [started(None, content)])
    assert (await manager.get_version(str(ids.configuration_version_id(content)))).number is None
    await write(session, [started("careful", content)])
    version = await manager.get_version("careful@1")
    assert version.content == content
    unknown = ids.version_id_of_hash("0" * 64)
    await write(session, [started("careful", None, configuration_version_id=unknown)])
    assert (await manager.get_version("careful")).content is None


async def test_a_known_version_fires_and_locks_nothing(
    manager: ConfigurationManager, small: DatabaseSettings, worker: DatabaseSettings
) -> None:
    """Workers do not wait for each other, or for people, on what is known."""
    await push(manager, "careful", {"model": "m1"})
    before = (await manager.get("careful")).revision
    async with await connect(small) as holder, holder.transaction():
        await holder.execute("SELECT FROM configurations FOR UPDATE")
        await asyncio.wait_for(send(worker, [started("careful", {"model": "m1"}) for _ in range(10)]), 20)
    assert (await manager.get("careful")).revision == before
    assert len(await manager.audit("careful")) == 2


async def test_ten_contents_pushed_by_fifty_at_once_are_ten_versions(
    manager: ConfigurationManager, session: Session
) -> None:
    pushes = [push(manager, "careful", {"model": number % 10}) for number in range(50)]
    found = await asyncio.gather(*pushes)
    assert await numbers(session, "careful") == list(range(1, 11))
    assert await session.fetch_value("SELECT count(*) FROM configuration_versions") == 10
    assert sum(one.is_new for one in found) == 10
    assert sum(one.created_configuration for one in found) == 1
    assert {one.version.number for one in found} == set(range(1, 11))


async def test_people_and_sandboxes_at_once(
    manager: ConfigurationManager, worker: DatabaseSettings, session: Session
) -> None:
    """Each batch of a writer brings versions of two names, in whatever order: none of them deadlocks."""
    generator = random.Random(7)
    contents = [{"model": number} for number in range(10)]

    def batch() -> list[LoggedEvent]:
        events = [started(f"{name}", {**content, "of": name}) for name in ("a", "b") for content in contents]
        return generator.sample(events, len(events))

    work: list[Any] = [send(worker, batch()) for _ in range(5)]
    work += [push(manager, name, {**content, "of": name}) for name in ("a", "b") for content in contents * 2]
    generator.shuffle(work)
    await asyncio.gather(*work)
    for name in ("a", "b"):
        assert await numbers(session, name) == list(range(1, 11))
    assert await session.fetch_value("SELECT count(*) FROM configuration_versions") == 20
    assert await session.fetch_value("SELECT count(*) FROM executions") == 100


class _TakenBackError(ArcEvalError):
    """Ends a transaction of a test."""


async def waits(session: Session, sessions: int = 1) -> None:
    """Until so many sessions wait for a lock."""

    async def are_waiting() -> bool:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(await session.fetch_value(waiting)) >= sessions

    await eventually(are_waiting, "sessions wait for a lock")


async def test_a_number_that_was_waited_for_is_the_next(
    manager: ConfigurationManager, small: DatabaseSettings, session: Session
) -> None:
    """What another transaction has taken, and what it gave back."""
    await push(manager, "careful", {"model": 0})
    for number, is_kept in ((2, True), (3, False)):
        async with await connect(small) as writer:
            with contextlib.suppress(_TakenBackError):
                async with writer.transaction():
                    await BatchWriter().write(writer, [started("careful", {"model": number})])
                    late = asyncio.create_task(push(manager, "careful", {"model": f"late {number}"}))
                    await waits(session)
                    if not is_kept:
                        raise _TakenBackError
            assert (await late).version.number == (3 if is_kept else 4)
    assert await numbers(session, "careful") == [1, 2, 3, 4]


async def test_two_batches_that_meet_two_names_do_not_deadlock(small: DatabaseSettings, session: Session) -> None:
    """Names are locked in one order, whatever the order of the versions."""
    names = sorted(("a", "b"), key=lambda name: str(ids.configuration_id(name)))

    def content(name: str, *, low: bool) -> dict[str, Any]:
        """One whose version's id sorts low, or high."""
        found = ({"of": name, "n": n} for n in range(1000))
        return next(one for one in found if (str(ids.configuration_version_id(one))[0] < "4") is low)

    await write(session, [started(name, {"of": name}) for name in names])
    first = [started(names[0], content(names[0], low=True)), started(names[1], content(names[1], low=False))]
    second = [started(names[0], content(names[0], low=False)), started(names[1], content(names[1], low=True))]
    async with await connect(small) as holder, await connect(small) as one, await connect(small) as other:
        await holder.execute("BEGIN")
        await holder.execute("SELECT FROM configurations WHERE name = $1 FOR NO KEY UPDATE", names[1])
        both = [asyncio.create_task(write(other, second))]
        await waits(session, 1)
        both.append(asyncio.create_task(write(one, first)))
        await waits(session, 2)
        await holder.execute("COMMIT")
        await asyncio.gather(*both)
    assert await numbers(session, names[0]) == await numbers(session, names[1])


async def test_labels_move_at_once(manager: ConfigurationManager, small: DatabaseSettings) -> None:
    for number in range(4):
        await push(manager, "careful", {"model": number})
    await manager.label("careful@1", "production", by="ann")
    seen: list[int] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            seen.extend((await manager.get("careful")).labels.values())

    async def move() -> None:
        await asyncio.gather(
            *(manager.label(f"careful@{1 + number % 4}", "production", by=f"mover {number}") for number in range(20))
        )
        done.set()

    await asyncio.gather(watch(), move())
    assert seen
    assert set(seen) <= {1, 2, 3, 4}
    # The trail is a chain: each move begins where the one before it ended.
    moves = [entry for entry in reversed(await manager.audit("careful")) if entry.action is AuditAction.LABELLED]
    assert [entry.details and entry.details["previous_number"] for entry in moves] == [
        None,
        *(entry.number for entry in moves[:-1]),
    ]
    assert (await manager.get("careful")).labels == {"production": moves[-1].number}


async def test_labels(manager: ConfigurationManager) -> None:
    await push(manager, "careful", {"model": 1}, labels=["production", "candidate"])
    await push(manager, "careful", {"model": 2})
    move = await manager.label("careful", "candidate", by="bob")
    assert (move.configuration, move.number, move.previous_number) == ("careful", 2, 1)
    revision = (await manager.get("careful")).revision
    assert (await manager.label("careful@2", "candidate", by="bob")).previous_number == 2
    assert (await manager.get("careful")).revision == revision, "nothing was changed"
    assert (await manager.get_version("careful@candidate")).number == 2
    assert (await manager.get_version("careful@production")).labels == ("production",)
    assert (await manager.unlabel("careful", "candidate", by="bob")).previous_number == 2
    assert (await manager.unlabel("careful", "candidate", by="bob")).previous_number is None
    with pytest.raises(VersionNotFoundError, match="careful has no label candidate; it has production"):
        await manager.get_version("careful@candidate")
    for wrong in ("latest", "3", "a b", "", "@"):
        with pytest.raises(ReferenceRefusedError, match="is no label"):
            await manager.label("careful", wrong, by="bob")


async def test_references(manager: ConfigurationManager) -> None:
    pushed = await push(manager, "team@careful", {"model": 1})
    version = pushed.version
    for reference in (
        "team@careful@1",
        "team@careful@latest",
        str(version.id),
        str(version.id).upper(),
        f"sha256:{version.content_hash}",
        f"sha256:{str(version.content_hash)[:8].upper()}",
    ):
        assert await manager.get_version(reference) == version
    for reference, error, message in (
        ("other", ConfigurationNotFoundError, "no configuration other; those that are: arc-eval-db config list"),
        ("team@careful@2", VersionNotFoundError, "its latest is 1: arc-eval-db config history team@careful"),
        (str(ids.uuid7()), VersionNotFoundError, "there is no version"),
        ("sha256:00000000", VersionNotFoundError, "there is no version"),
        ("sha256:1234567", ReferenceRefusedError, "from 8 to 64 digits"),
        ("sha256:", ReferenceRefusedError, "from 8 to 64 digits"),
        ("", ReferenceRefusedError, "is no name"),
        ("a\nb", ReferenceRefusedError, "is no name"),
        ("x" * 201, ReferenceRefusedError, "is no name"),
    ):
        with pytest.raises(error, match=message):
            await manager.get_version(reference)
    await manager.create("empty", by="ann")
    with pytest.raises(VersionNotFoundError, match="empty has no version yet; push one: arc-eval-db config push"):
        await manager.get_version("empty")


async def test_a_prefix_of_several_hashes_is_ambiguous(manager: ConfigurationManager, session: Session) -> None:
    for number in (1, 2):
        await push(manager, "careful", {"model": number})
    await session.execute("UPDATE configuration_versions SET content_hash = '12345678' || right(content_hash, 56)")
    with pytest.raises(AmbiguousReferenceError, match=r"careful@[12].*careful@[12].*give more digits"):
        await manager.get_version("sha256:12345678")


async def test_a_change_of_what_was_not_read_is_a_conflict(manager: ConfigurationManager, session: Session) -> None:
    revision = (await push(manager, "careful", {"model": 1})).revision
    await push(manager, "careful", {"model": 2})
    with pytest.raises(RevisionConflictError) as caught:
        await manager.update("careful", {"model": 3}, by="bob", expected_revision=revision)
    current = (await manager.get("careful")).revision
    assert (caught.value.expected, caught.value.actual) == (revision, current)
    assert await numbers(session, "careful") == [1, 2]
    assert await session.fetch_value("SELECT count(*) FROM configuration_versions") == 2, "it was all taken back"
    for change in (
        manager.label("careful", "production", by="bob", expected_revision=revision),
        manager.set_content_schema("careful", SCHEMA, by="bob", expected_revision=revision),
        manager.update("careful", by="bob", description="d", expected_revision=revision),
        manager.archive("careful", by="bob", expected_revision=revision),
    ):
        with pytest.raises(RevisionConflictError):
            await change
    # What is so already needs no revision: the answer to a call that was made twice.
    assert await manager.update("careful", {"model": 2}, by="bob", expected_revision=revision)
    pushed = await manager.update("careful", {"model": 3}, by="bob", labels=["a", "b"], expected_revision=current)
    assert pushed is not None
    assert pushed.version.number == 3
    # An event's version is a change as well.
    await write(session, [started("careful", {"model": 4})])
    with pytest.raises(RevisionConflictError):
        await manager.label("careful@3", "c", by="bob", expected_revision=pushed.revision)


async def test_create_and_update(manager: ConfigurationManager) -> None:
    with pytest.raises(ConfigurationNotFoundError):
        await manager.update("careful", {"model": 1}, by="ann")
    with pytest.raises(ConfigurationNotFoundError):
        await manager.get_version("careful")
    assert await manager.create("careful", by="ann", description="first") is None
    with pytest.raises(ConfigurationExistsError, match="config push FILE --name careful"):
        await manager.create("careful", {"model": 1}, by="ann")
    assert await manager.update("careful", by="ann", description="second") is None
    created = await manager.create("bold", {"model": 1}, by="ann", labels=["production"])
    assert created is not None
    assert created.version.labels == ("production",)
    with pytest.raises(ConfigurationError, match="labels are for a version"):
        await manager.create("other", by="ann", labels=["production"])
    for by in ("", " ", "a\nb", "x" * 201):
        with pytest.raises(ConfigurationError, match="by: who does this"):
            await manager.push("careful", {}, by=by)


async def test_a_dry_run_tells_and_changes_nothing(manager: ConfigurationManager, session: Session) -> None:
    dry = await push(manager, "careful", {"model": 1}, labels=["production"], dry_run=True)
    assert (dry.version.number, dry.is_new, dry.version.labels) == (1, True, ("production",))
    for table in ("configurations", "configuration_versions", "configuration_audit", "configuration_labels"):
        assert await session.fetch_value(f"SELECT count(*) FROM {table}") == 0


async def test_search(manager: ConfigurationManager) -> None:
    await push(manager, "careful", {"model": {"id": "m1"}}, description="Asks first", labels=["production"])
    await push(manager, "careful", {"model": {"id": "m2", "temperature": 1.0}})
    await push(manager, "bold_1", {"model": {"id": "m1"}})

    async def found(*arguments: Any, **options: Any) -> list[str]:
        return [one.name for one in await manager.search(*arguments, **options)]

    assert await found() == ["bold_1", "careful"]
    assert await found("CARE") == await found("asks") == await found(label="production") == ["careful"]
    assert await found("%") == await found("l__1") == []
    assert await found(containing={"model": {"id": "m1"}}) == ["bold_1", "careful"]
    assert await found("b", containing={"model": {"id": "m1"}}) == ["bold_1"]
    assert await found(containing={"model": {"temperature": 1}}) == ["careful"]
    assert [one.name for one in await manager.list(after="bold_1")] == ["careful"]
    assert [one.name for one in await manager.list(limit=1)] == ["bold_1"]
    for limit in (0, 1001):
        with pytest.raises(ValueError, match="limit: from 1 to 1000"):
            await manager.list(limit=limit)


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE configurations; --", "a' OR '1'='1", "$1", "\\", "%", "(a+)+$", "$.**"]
)
async def test_what_is_searched_for_is_never_sql_nor_a_pattern(manager: ConfigurationManager, text: str) -> None:
    await push(manager, "careful", {"model": "m1"}, description=f"says {text}, literally")
    await push(manager, "bold", {"model": text})
    for searched in (text, text.upper()):
        assert [one.name for one in await manager.search(searched)] == ["careful"]
    assert [one.name for one in await manager.search(containing={"model": text})] == ["bold"]
    assert await manager.search(label=text) == ()
    assert [one.name for one in await manager.list()] == ["bold", "careful"]


async def test_what_is_archived_is_out_of_lists_and_takes_no_change(
    manager: ConfigurationManager, worker: DatabaseSettings
) -> None:
    await push(manager, "careful", {"model": 1})
    await manager.archive("careful", by="bob")
    await manager.archive("careful", by="bob")
    assert await manager.list() == ()
    assert [one.name for one in await manager.list(archived=True)] == ["careful"]
    assert (await manager.get("careful")).archived_at is not None
    for change in (
        push(manager, "careful", {"model": 2}),
        manager.label("careful@1", "production", by="ann"),
        manager.set_content_schema("careful", None, by="ann"),
        manager.deploy("careful", deployment="d", environment="main", by="ann"),
    ):
        with pytest.raises(ConfigurationArchivedError, match="first: arc-eval-db config unarchive careful"):
            await change
    await send(worker, [started("careful", {"model": 2})])
    assert (await manager.get_version("careful")).number == 2
    await manager.unarchive("careful", by="bob")
    await push(manager, "careful", {"model": 3})
    actions = [entry.action.value for entry in reversed(await manager.audit("careful"))]
    assert actions == ["created", "version_added", "archived", "version_added", "unarchived", "version_added"]


async def test_a_schema_is_enforced_on_people_and_never_on_sandboxes(
    manager: ConfigurationManager, worker: DatabaseSettings, session: Session
) -> None:
    await push(manager, "careful", {"temperature": "hot S3CRET"})
    await manager.set_content_schema("careful", SCHEMA, by="bob")
    assert await manager.get_content_schema("careful") == SCHEMA
    for change in (push(manager, "careful", {"temperature": "S3CRET"}), manager.update("careful", {}, by="ann")):
        with pytest.raises(ContentSchemaViolatedError) as caught:
            await change
        assert "S3CRET" not in str(caught.value)
    with pytest.raises(ContentSchemaViolatedError) as caught:
        await push(manager, "careful", {"temperature": "S3CRET"})
    assert caught.value.problems == (
        "$: lacks 'model'",
        "$.temperature: must be of type number, and is text",
    )
    assert await numbers(session, "careful") == [1]
    await send(worker, [started("careful", {"temperature": "hot"})])
    await push(manager, "careful", {"model": "m1", "temperature": 1})
    assert [version.number for version in await manager.history("careful")] == [3, 2, 1]
    for constant in (1, True):
        await manager.set_content_schema("careful", {"const": constant}, by="bob")
        stored = await manager.get_content_schema("careful")
        assert stored is not None
        assert stored["const"] is constant, "to Python, true is 1"
    await manager.set_content_schema("careful", None, by="bob")
    await push(manager, "careful", {})
    actions = [entry.action for entry in await manager.audit("careful")]
    assert (AuditAction.SCHEMA_SET in actions, AuditAction.SCHEMA_CLEARED in actions) == (True, True)


def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked of the network, which gives nothing."""
    fetched: list[object] = []

    def fetch(*arguments: object, **_: object) -> None:
        fetched.extend(arguments)
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", fetch)
    return fetched


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://example.com/schema.json"}, "is not in the schema, and others are never fetched"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "others are never fetched"),
        ({"$ref": "#/$defs/missing"}, "is not in the schema"),
        ({"$dynamicRef": "https://example.com/s#x"}, "others are never fetched"),
        ({"type": "objekt"}, r"\$\.type: "),
        ({"pattern": r"^\p{L}+$"}, r"\$\.pattern: is no regular expression that Python reads"),
        ({"properties": {"a": {"minimum": "x"}}}, r"\$\.properties\.a\.minimum: must be of type number, and is text"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "only Draft 2020-12 is enforced"),
        ({"$schema": 5}, "only Draft 2020-12 is enforced"),
        ({"allOf": [{}], "$ref": "#/allOf/x"}, "is not in the schema"),
        ({"$ref": "#"}, "leads back to itself without end"),
        ({"not": {"$ref": "#"}}, "leads back to itself without end"),
        ({"if": {"$ref": "#/$defs/x"}, "$defs": {"x": {"if": {"$ref": "#"}}}}, "leads back to itself without end"),
        ({"properties": {"a": {"not": {"$ref": "#/properties/a"}}}}, "leads back to itself without end"),
        ({"dependentSchemas": {"a": {"anyOf": [{}, {"$ref": "#"}]}}}, "leads back to itself without end"),
        ({"$ref": "#/mine/a", "mine": {"a": {"$ref": "#/nowhere"}}}, "'#/nowhere' is not in the schema"),
        ({"properties": {"a": {"$ref": "#/const"}}, "const": {"type": 7}}, "leads to what is no schema"),
        ({"properties": {"a": {"$ref": "#/enum/0"}}, "enum": ["x"]}, "leads to what is no schema"),
        ({"properties": {"a": {"$ref": "#/examples/0"}}, "examples": [[]]}, "leads to what is no schema"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], message: str
) -> None:
    fetched = no_network(monkeypatch)
    with pytest.raises(ContentSchemaError, match=message):
        check_schema(schema)
    assert fetched == []


async def test_a_schema_that_is_refused_is_not_set(manager: ConfigurationManager) -> None:
    await manager.create("careful", by="ann")
    for schema in ({"type": "objekt"}, {"$ref": "file:///etc/passwd"}):
        with pytest.raises(ContentSchemaError):
            await manager.set_content_schema("careful", schema, by="ann")
    assert await manager.get_content_schema("careful") is None


async def test_a_remote_reference_is_not_fetched_even_where_it_was_stored(
    manager: ConfigurationManager, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = no_network(monkeypatch)
    await manager.create("careful", by="ann")
    schema = '{"$ref": "https://example.com/s.json"}'
    await session.execute("UPDATE configurations SET content_schema = $1::text::jsonb", schema)
    with pytest.raises(ContentSchemaError, match="others are never fetched"):
        await push(manager, "careful", {})
    # That was in a process of its own, whose network is another.
    with pytest.raises(ContentSchemaError, match="others are never fetched"):
        content_problems("careful", schema, {})
    assert fetched == []


async def test_problems_without_end_are_counted_to_a_hundred(manager: ConfigurationManager) -> None:
    await manager.create("careful", by="ann")
    await manager.set_content_schema("careful", {"properties": {"l": {"items": {"type": "string"}}}}, by="ann")
    with pytest.raises(ContentSchemaViolatedError, match="and at least 95 more") as raised:
        await push(manager, "careful", {"l": list(range(5_000))})
    assert raised.value.problems[1].startswith("$.l[1]: must be of type string")


async def test_a_schema_may_refer_to_itself(manager: ConfigurationManager) -> None:
    await manager.create("careful", by="ann")
    tree = {
        "$id": "https://example.com/tree",
        "$defs": {"node": {"$anchor": "node", "type": "object", "properties": {"next": {"$ref": "#node"}}}},
        "$ref": "#/$defs/node",
    }
    await manager.set_content_schema("careful", tree, by="ann")
    await push(manager, "careful", {"next": {"next": {}}})
    with pytest.raises(ContentSchemaViolatedError, match=r"\$\.next\.next: must be of type object"):
        await push(manager, "careful", {"next": {"next": 1}})


async def test_what_ran_in_a_deployment_on_tuesday(manager: ConfigurationManager, session: Session) -> None:
    for number in (1, 2):
        await push(manager, "careful", {"model": number}, labels=["production"])
    await push(manager, "bold", {"model": 3})
    where: dict[str, Any] = {"deployment": "ap-1", "environment": "main", "by": "ann"}
    assert await manager.deploy("careful@1", **where)
    assert not await manager.deploy("careful@1", **where)
    assert await manager.deploy("bold", **where)
    assert await manager.deploy("careful@production", **where, replace=True)
    assert await manager.deploy("careful@1", **{**where, "environment": "dev"})
    left, came = [
        await session.fetch_value(
            f"SELECT {column} FROM configuration_deployments WHERE environment = 'main' AND number = {number}"
            " AND configuration_id = $1",
            ids.configuration_id("careful"),
        )
        for column, number in (("undeployed_at", 1), ("deployed_at", 2))
    ]
    assert left == came, "at no moment was there none, or both"
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    day = timedelta(days=1)
    for number, (begin, end) in {1: (monday, monday + day * 1.5), 2: (monday + day * 1.5, None)}.items():
        await session.execute(
            "UPDATE configuration_deployments SET deployed_at = $1, undeployed_at = $2"
            " WHERE number = $3 AND environment = 'main' AND configuration_id = $4",
            begin,
            end,
            number,
            ids.configuration_id("careful"),
        )

    async def ran(**when: Any) -> list[str]:
        found = await manager.deployments(deployment="ap-1", environment="main", configuration="careful", **when)
        return [f"{one.configuration}@{one.number}" for one in found]

    assert await ran(since=monday + day, until=monday + 2 * day) == ["careful@2", "careful@1"]
    assert await ran(at=monday) == await ran(at=monday + day) == ["careful@1"]
    assert await ran(at=monday + day * 1.5) == ["careful@2"], "the end is not within"
    assert await ran(at=monday - timedelta(seconds=1)) == []
    assert await ran(current=True) == ["careful@2"]
    assert [
        one.configuration for one in await manager.deployments(deployment="ap-1", environment="main", current=True)
    ] == [
        "careful",
        "bold",
    ]
    assert len(await manager.deployments()) == 4
    first = (await manager.deployments(limit=1))[0]
    assert first.configuration_version_id == ids.configuration_version_id({"model": 1})
    assert len(await manager.deployments(before_id=first.id)) == 3
    moments: tuple[tuple[dict[str, Any], str], ...] = (
        ({"at": monday.replace(tzinfo=None)}, "offset from UTC"),
        ({"at": monday, "since": monday}, "at is a moment"),
        ({"since": monday, "until": monday}, "since must be before until"),
        ({"before_id": 2**63}, "before_id: from 0 to"),
    )
    for wrong, message in moments:
        with pytest.raises(ValueError, match=message):
            await manager.deployments(**wrong)


async def test_undeploying(manager: ConfigurationManager) -> None:
    where: dict[str, Any] = {"deployment": "ap-1", "environment": "main", "by": "ann"}
    for number in (1, 2, 3):
        await push(manager, "careful", {"model": number})
        await manager.deploy(f"careful@{number}", **where)
    assert await manager.undeploy("careful@2", **where) == (2,)
    assert await manager.undeploy("careful@2", **where) == ()
    assert await manager.undeploy("careful", **where) == (1, 3)
    assert await manager.deployments(current=True) == ()
    assert await manager.deploy("careful@2", **where), "it may come back"
    history = [one for one in await manager.deployments() if one.number == 2]
    assert [one.undeployed_by for one in history] == [None, "ann"]
    with pytest.raises(ConfigurationError, match="deployment: 1 to 200 characters"):
        await manager.deploy("careful", deployment="", environment="main", by="ann")
    entries = await manager.audit("careful", limit=1)
    assert (entries[0].action, entries[0].number, entries[0].details) == (
        AuditAction.DEPLOYED,
        2,
        {"deployment": "ap-1", "environment": "main"},
    )


async def test_the_audit_trail_pages(manager: ConfigurationManager) -> None:
    for number in range(3):
        await push(manager, "careful", {"model": number})
    everything = await manager.audit()
    page = await manager.audit(limit=2)
    assert page == everything[:2]
    assert await manager.audit(before_id=page[-1].id) == everything[2:]
    with pytest.raises(ConfigurationNotFoundError):
        await manager.audit("other")


@pytest.mark.parametrize("role", [READER, WRITER])
async def test_only_the_admin_changes(manager: ConfigurationManager, small: DatabaseSettings, role: str) -> None:
    await push(manager, "careful", {"model": 1})
    settings = await as_role(small, role)
    async with await connect(settings) as session:
        await session.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO configuration_version_numbers VALUES (gen_random_uuid(), 1, gen_random_uuid())",
            "UPDATE configurations SET revision = 0",
            "SELECT number_configuration_version(gen_random_uuid(), gen_random_uuid(), 'x')",
            "DELETE FROM configuration_audit",
        ):
            with pytest.raises(SchemaMismatchError) as caught:
                await session.execute(statement)
            assert caught.value.sqlstate == "42501", statement


async def test_the_reader_reads_and_the_admin_changes(manager: ConfigurationManager, small: DatabaseSettings) -> None:
    async with ConfigurationManager(await as_role(small, ADMIN)) as admin:
        await push(admin, "careful", {"model": 1}, labels=["production"])
        await admin.set_content_schema("careful", SCHEMA, by="ann")
        await admin.deploy("careful", deployment="d", environment="main", by="ann")
        await admin.undeploy("careful", deployment="d", environment="main", by="ann")
        await admin.unlabel("careful", "production", by="ann")
        await admin.archive("careful", by="ann")
    async with ConfigurationReader(await as_role(small, READER)) as reader:
        assert (await reader.get("careful")).name == "careful"
        assert await reader.get_version("careful@1")
        assert len(await reader.deployments()) == len(await reader.history("careful")) == 1
        assert await reader.get_content_schema("careful") == SCHEMA
        assert len(await reader.audit()) == 8
    async with await connect(await as_role(small, ADMIN)) as session:
        with pytest.raises(SchemaMismatchError, match="permission denied"):
            await session.execute("DELETE FROM configuration_audit")


async def test_an_older_schema_is_named(session: Session, small: DatabaseSettings) -> None:
    await Migrator(session).down(10)
    manager = ConfigurationManager(small, retries=QUICK)
    with pytest.raises(SchemaOutdatedError, match="lacks migration 0011_configuration_versions; run: arc-"):
        await manager.open()


async def test_versions_of_before_get_numbers(
    session: Session, small: DatabaseSettings, worker: DatabaseSettings
) -> None:
    """In the order in which they came; and workers of before go on."""
    await Migrator(session).down(10)
    for number in range(3):
        await write(session, [started("careful", {"model": number}), started(None, {"other": number})])
    await Migrator(session).up()
    async with ConfigurationReader(small) as reader:
        history = await reader.history("careful", contents=True)
        assert [(version.number, version.content) for version in history] == [
            (3, {"model": 2}),
            (2, {"model": 1}),
            (1, {"model": 0}),
        ]
        assert (await reader.get("careful")).revision == 1
    await send(worker, [started("careful", {"model": 3})])
    assert await numbers(session, "careful") == [1, 2, 3, 4]
