"""What schemas and contents may ask for: work without end is ended, and nobody waits for it under a lock."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from arc_eval_db.configurations import (
    ConfigurationManager,
    ContentSchemaError,
    ContentSchemaViolatedError,
)
from arc_eval_db.configurations.bounded import (
    Bounded,
    BoundedWorkFailedError,
    TaskRefusedError,
    TooManyAtWorkError,
    TooMuchWorkError,
)
from arc_eval_db.configurations.content_schema import check_schema, content_problems
from arc_eval_db.configurations.content_schema_checking import ContentSchemas
from arc_eval_db.configurations.content_schema_cost import (
    SCHEMA_PLACES_MAX,
    WORK_MAX,
    is_cheap_content,
    is_cheap_schema,
    places,
    schema_places,
)
from arc_eval_db.configurations.errors import SchemaChangedError
from arc_eval_db.database import DatabaseSettings, Session
from support.conditions import eventually
from support.databases import connect

BACKTRACKING = {"properties": {"model": {"pattern": "^(a+)+$"}}}
HOSTILE = {"model": "a" * 40 + "b"}
DOUBLING = {
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}},
    "$ref": "#/$defs/d0",
}


class Counting(Bounded):
    """Says what was given to a process."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[str] = []

    async def run(self, task: str, arguments: dict[str, Any]) -> Any:
        self.tasks.append(task)
        return await super().run(task, arguments)


@pytest.fixture
async def manager(database: DatabaseSettings) -> AsyncIterator[ConfigurationManager]:
    """With two seconds of the processor for what is not cheap."""
    small = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 4})
    async with ConfigurationManager(small, schemas=ContentSchemas(Bounded(cpu_s=2))) as opened:
        yield opened


@pytest.mark.database
async def test_a_pattern_that_backtracks_is_ended(manager: ConfigurationManager) -> None:
    await manager.create("careful", by="ann")
    await manager.set_content_schema("careful", BACKTRACKING, by="ann")
    with pytest.raises(ContentSchemaError, match=r"schema of careful took more than 2 s.*schema set careful FILE"):
        await manager.push("careful", HOSTILE, by="ann")
    assert (await manager.get("careful")).latest_number is None
    assert (await manager.push("careful", {"model": "aa"}, by="ann")).is_new


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that were started."""
    found: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noting(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        found.append(await start(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    return found


async def test_references_that_double_are_ended(started: list[asyncio.subprocess.Process]) -> None:
    """By the kernel: it would be so without whoever has started it."""
    schemas = ContentSchemas(Bounded(cpu_s=1))
    with pytest.raises(ContentSchemaError, match="schema of careful took more than 1 s, and it was not set"):
        await schemas.check_schema("careful", DOUBLING)
    assert [process.returncode for process in started] == [-signal.SIGXCPU]


class Paused(ContentSchemas):
    """Lets a test do something while a content is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.checking, self.may_end = asyncio.Event(), asyncio.Event()
        self.checked: list[str | None] = []

    async def check_content(self, configuration: str, schema: str | None, content: Mapping[str, Any]) -> None:
        self.checked.append(schema)
        self.checking.set()
        await self.may_end.wait()
        await super().check_content(configuration, schema, content)


@pytest.mark.database
async def test_no_lock_is_held_while_a_content_is_checked(
    manager: ConfigurationManager, database: DatabaseSettings
) -> None:
    """And what becomes the schema meanwhile is enforced: the content is checked again."""
    await manager.create("careful", {"model": "m1"}, by="ann")
    paused = Paused()
    async with ConfigurationManager(database, schemas=paused) as slow:
        pushing = asyncio.create_task(slow.push("careful", {"model": "m2"}, by="ann"))
        await asyncio.wait_for(paused.checking.wait(), 20)
        async with await connect(database) as session, session.transaction():
            await session.execute("SELECT FROM configurations WHERE name = 'careful' FOR UPDATE NOWAIT")
        await manager.set_content_schema("careful", {"required": ["seed"]}, by="bob")
        paused.may_end.set()
        with pytest.raises(ContentSchemaViolatedError, match=r"\$: lacks 'seed'"):
            await pushing
        assert [None if one is None else orjson.loads(one) for one in paused.checked] == [None, {"required": ["seed"]}]
        assert (await manager.get("careful")).latest_number == 1


@pytest.mark.database
async def test_a_schema_that_changes_without_end_is_given_up(
    manager: ConfigurationManager, database: DatabaseSettings, session: Session
) -> None:
    await manager.create("careful", by="ann")

    class Restless(ContentSchemas):
        rounds = 0

        async def check_content(self, *_: object) -> None:
            Restless.rounds += 1
            schema = orjson.dumps({"title": str(Restless.rounds)}).decode()
            await session.execute("UPDATE configurations SET content_schema = $1::text::jsonb", schema)

    async with ConfigurationManager(database, schemas=Restless()) as restless:
        with pytest.raises(SchemaChangedError, match="try again"):
            await restless.push("careful", {}, by="ann")
    assert Restless.rounds == 5
    assert (await manager.get("careful")).latest_number is None


async def test_what_is_cheap_needs_no_process() -> None:
    bounded = Counting()
    schemas = ContentSchemas(bounded)
    cheap = {"type": "object", "required": ["model"], "properties": {"tools": {"items": {"type": "string"}}}}
    await schemas.check_schema("careful", cheap)
    await schemas.check_content("careful", orjson.dumps(cheap).decode(), {"model": "m1", "tools": ["a"]})
    assert bounded.tasks == []
    with pytest.raises(ContentSchemaViolatedError, match=r"\$\.model: does not meet pattern"):
        await schemas.check_content("careful", orjson.dumps(BACKTRACKING).decode(), {"model": "b"})
    await schemas.check_schema("careful", BACKTRACKING)
    with pytest.raises(ContentSchemaError, match="is not in the schema"):
        await schemas.check_schema("careful", {"pattern": "x", "$ref": "#/$defs/missing"})
    assert bounded.tasks == ["content", "schema", "schema"]


@pytest.mark.parametrize(
    "schema",
    [
        BACKTRACKING,
        DOUBLING,
        {"uniqueItems": True},
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/missing"},
        {"$ref": "other.json"},
        {"$defs": {"a": {"$anchor": "a"}}, "$ref": "#a"},
        {"unevaluatedProperties": False},
        {"patternProperties": {"^a": {}}},
        {"enum": [f"text {n}" for n in range(SCHEMA_PLACES_MAX)]},
        {"const": "x" * 64 * SCHEMA_PLACES_MAX},
    ],
    ids=lambda schema: str(schema)[:30],
)
def test_what_may_take_long_is_not_cheap(schema: dict[str, Any]) -> None:
    assert not is_cheap_schema(schema)
    assert not is_cheap_content(schema, {str(n): n for n in range(200)})


def test_a_reference_counts_with_all_that_it_leads_to() -> None:
    pairs: dict[str, Any] = {
        "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}] * 2}, "b": {"allOf": [{"$ref": "#/$defs/c~1"}] * 2}}
    }
    pairs["$defs"]["c/"] = {"type": "string"}
    once = schema_places(pairs, 1000)
    twice = schema_places({**pairs, "$ref": "#/$defs/a"}, 1000)
    assert once is not None
    assert twice is not None
    assert twice - once > once / 2
    assert schema_places(pairs, once - 1) is None
    assert places({"a": [1, "x" * 640]}, 100) == 14
    assert places(list(range(1000)), 10) > 10
    assert not is_cheap_content({}, {"a": [0] * WORK_MAX})


async def test_so_many_processes_at_once_and_no_more() -> None:
    bounded = Bounded(processes_max=1, wait_s=0.05)
    arguments = {"configuration": "c", "schema": "{}", "content": {}}
    first = asyncio.create_task(bounded.run("content", arguments))
    await asyncio.sleep(0)
    with pytest.raises(TooManyAtWorkError, match="try again"):
        await bounded.run("content", arguments)
    assert await first == []
    assert await bounded.run("content", arguments) == [], "its turn is given back"


async def test_a_process_that_does_not_end_is_killed(started: list[asyncio.subprocess.Process]) -> None:
    """Also where whoever waits for it is cancelled."""
    arguments = {"configuration": "c", "schema": orjson.dumps(BACKTRACKING).decode(), "content": HOSTILE}
    with pytest.raises(TooMuchWorkError):
        await Bounded(deadline_s=0.05).run("content", arguments)
    waiting = asyncio.create_task(Bounded().run("content", arguments))

    async def is_started() -> bool:
        return len(started) == 2

    await eventually(is_started, "the second process is started")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for process in started:
        assert process.returncode == -9
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


async def test_a_process_knows_no_secret_and_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    start = asyncio.create_subprocess_exec

    async def noting(*arguments: Any, env: dict[str, str], **options: Any) -> asyncio.subprocess.Process:
        seen.update(env)
        return await start(*arguments, env=env, **options)

    monkeypatch.setenv("ARC_EVAL_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    with pytest.raises(TaskRefusedError, match=r"\$\.type: "):
        await Bounded().run("schema", {"schema": {"type": "objekt"}})
    assert "secret" not in str(seen)
    with pytest.raises(BoundedWorkFailedError, match="ended with 1"):
        await Bounded().run("nothing", {})
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(BoundedWorkFailedError, match="could not be started"):
        await Bounded().run("schema", {"schema": {}})


@pytest.mark.parametrize(
    "schema",
    [{"if": {"$ref": "#/$defs/x"}, "$defs": {"x": {"if": {"$ref": "#"}}}}, {"type": 7}],
    ids=["panic", "error"],
)
async def test_a_stored_schema_that_fails_the_validator_says_the_way_out(schema: dict[str, Any]) -> None:
    """Set by hand, or by a version that checked less."""
    arguments = {"configuration": "careful", "schema": orjson.dumps(schema).decode(), "content": {}}
    with pytest.raises(TaskRefusedError, match=r"schema of careful makes the .*\(\w+\); set another: .* careful FILE"):
        await Bounded().run("content", arguments)


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        ({"properties": {"t": {"multipleOf": 0.1}}}, {"t": 0.3}),
        ({"properties": {"t": {"multipleOf": 0.01}}}, {"t": 1e300}),
        ({"properties": {"t": {"multipleOf": 2}}}, {"t": "text"}),
        ({"properties": {"t": {"multipleOf": 2}}}, {"t": True}),
        (
            {
                "$defs": {"properties": {"type": "array", "uniqueItems": False}},
                "properties": {"a": {"$ref": "#/$defs/properties"}},
            },
            {"a": [1, 1]},
        ),
        ({"dependentSchemas": {"properties": {"uniqueItems": False}}}, {"properties": 1}),
    ],
    ids=str,
)
def test_what_fits_is_taken(schema: dict[str, Any], content: dict[str, Any]) -> None:
    check_schema(schema)
    assert content_problems("careful", orjson.dumps(schema).decode(), content) == []


@pytest.mark.parametrize(
    ("schema", "content", "said"),
    [
        (
            {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": False},
            {"a": 1, "x-b": 2, "c": 3},
            "$: may not have 'c'",
        ),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"a": 1, "b": 2}, "$: may not have 'b'"),
        (
            {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
            {"a": 1, "b": "S3CRET", "c (was unexpected)": 1},
            "$: may not have 'b', 'c (was unexpected)'",
        ),
        (
            {"properties": {"a": {}}, "unevaluatedProperties": {"type": "string"}},
            {"a": 1, "b": 2},
            "$: does not meet unevaluatedProperties with 'b'",
        ),
        ({"properties": {"a": False}}, {"a": "S3CRET"}, "$.a: may not be there"),
        (
            {"additionalProperties": False},
            {f"k{n}": 1 for n in range(7)},
            "$: may not have 'k0', 'k1', 'k2', 'k3', 'k4'",
        ),
        ({"patternProperties": {"^x": False}}, {"xa": "S3CRET", "a": 1}, "$.xa: may not be there"),
        (
            {"properties": {"properties": {"const": {"properties": {"a": False}}}}},
            {"properties": {"properties": {}}},
            '$.properties: does not meet const {"properties":{"a":false}}',
        ),
        ({"properties": {"l": {"items": False}}}, {"l": ["S3CRET"]}, "$.l: does not meet items false"),
        ({"properties": {"t": {"multipleOf": 0.1}}}, {"t": 0.35}, "$.t: does not meet multipleOf 0.1"),
        ({"properties": {"t": {"multipleOf": 1e-320}}}, {"t": 1e-321}, "$.t: does not meet multipleOf 1e-320"),
    ],
)
def test_only_what_is_wrong_is_blamed(schema: dict[str, Any], content: dict[str, Any], said: str) -> None:
    check_schema(schema)
    (problem,) = content_problems("careful", orjson.dumps(schema).decode(), content)
    assert problem.removesuffix(" and 2 more") == said
    assert "S3CRET" not in problem
