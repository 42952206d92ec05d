"""A change whose COMMIT was answered to nobody: trying it again tells what it did."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from arc_eval_db.configurations import ConfigurationExistsError, ConfigurationManager, LabelMove
from arc_eval_db.configurations.commits import Change
from arc_eval_db.configurations.errors import ChangeInDoubtError
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas import ids
from support.databases import connect
from support.proxy import Fate, TcpProxy

pytestmark = pytest.mark.database

QUICK = RetryPolicy(attempts_max=20, deadline_s=60, backoff_s_min=0.01, backoff_s_max=0.1)
WHERE: dict[str, Any] = {"deployment": "ap-1", "environment": "main", "by": "ann"}

Do = Callable[[ConfigurationManager], Awaitable[Any]]


@contextlib.asynccontextmanager
async def losing(
    database: DatabaseSettings, fate: Fate
) -> AsyncIterator[tuple[ConfigurationManager, Callable[[], Any]]]:
    """A manager, and what lets it lose the next COMMIT or its answer."""
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})
        through = DatabaseSettings(**{**through.model_dump(), "database_url": proxy.url})
        async with ConfigurationManager(through, retries=QUICK) as manager:
            yield manager, lambda: proxy.trap("up", lambda chunk: b"COMMIT" in chunk, fate)


async def prepared(manager: ConfigurationManager) -> None:
    await manager.create("careful", {"model": "m1"}, by="ann", labels=["production"])
    await manager.push("careful", {"model": "m2"}, by="ann")
    await manager.deploy("careful@1", **WHERE)


async def created(manager: ConfigurationManager) -> Any:
    pushed = await manager.create("bold", {"model": "m1"}, by="ann")
    assert pushed is not None
    return pushed.version.reference, pushed.is_new, pushed.created_configuration, pushed.revision


async def pushed(manager: ConfigurationManager) -> Any:
    found = await manager.push("careful", {"model": "m3"}, by="ann", labels=["candidate"])
    return found.version.reference, found.version.labels, found.is_new, found.created_configuration


CHANGES: dict[str, tuple[Do, Any, int]] = {
    "create": (created, ("bold@1", True, True, 3), 2),
    "create without a version": (lambda manager: manager.create("bold", by="ann"), None, 1),
    "push": (pushed, ("careful@3", ("candidate",), True, False), 2),
    "label": (
        lambda manager: manager.label("careful@2", "production", by="ann"),
        LabelMove("careful", "production", 2, 1),
        1,
    ),
    "unlabel": (
        lambda manager: manager.unlabel("careful", "production", by="ann"),
        LabelMove("careful", "production", None, 1),
        1,
    ),
    "deploy": (lambda manager: manager.deploy("careful@2", **WHERE, replace=True), True, 2),
    "undeploy": (lambda manager: manager.undeploy("careful", **WHERE), (1,), 1),
    "archive": (lambda manager: manager.archive("careful", by="ann"), None, 1),
    "what is so already": (lambda manager: manager.deploy("careful@1", **WHERE), False, 0),
}


@pytest.mark.parametrize("fate", ["lose_answer", "reset"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_tells_what_it_did(database: DatabaseSettings, change: str, fate: Fate) -> None:
    do, expected, entries = CHANGES[change]
    async with losing(database, fate) as (manager, lose):
        await prepared(manager)
        before = len(await manager.audit())
        trap = lose()
        found = await do(manager)
        assert trap.caught.is_set()
        assert len(await manager.audit()) - before == entries, "and is made once"
    if change == "create":
        assert found[:3] == expected[:3]
    else:
        assert found == expected


async def test_what_others_have_made_is_not_taken_for_one_s_own(database: DatabaseSettings) -> None:
    """The transaction did not come to its end, and before it is tried again somebody else is quicker."""
    async with losing(database, "reset") as (manager, lose), ConfigurationManager(database) as other:
        lose()
        retried = asyncio.Event()

        async def attempt(session: Session) -> Any:
            if retried.is_set():
                await other.create("bold", by="bob")
            retried.set()
            return await original(session)

        original: Any = None
        run = manager._operations.on_session

        async def on_session(running: Any, work: Any) -> Any:
            nonlocal original
            original = work
            return await run(running, attempt)

        manager._operations.on_session = on_session  # type: ignore[method-assign]
        with pytest.raises(ConfigurationExistsError):
            await manager.create("bold", by="ann")
        (entry,) = await other.audit("bold")
        assert entry.actor == "bob"


async def test_an_attempt_that_has_not_ended_is_waited_for(database: DatabaseSettings) -> None:
    """Its COMMIT is under way: what it did is not there yet, and it is not done twice."""
    async with ConfigurationManager(database) as manager:
        await manager.create("careful", by="ann")
    calls: list[int] = []
    async with await connect(database) as first, await connect(database) as second:

        async def work(session: Session) -> int:
            calls.append(1)
            await session.execute(
                "INSERT INTO configuration_audit (configuration_id, actor, action)"
                " SELECT id, 'ann', 'described' FROM configurations WHERE name = 'careful' FOR UPDATE"
            )
            return 7

        change = Change(work, lambda: ids.configuration_id("careful"))
        transaction = first.transaction

        @contextlib.asynccontextmanager
        async def unanswered() -> AsyncIterator[None]:
            await first.execute("BEGIN")
            yield
            raise DatabaseUnavailableError

        first.transaction = unanswered  # type: ignore[method-assign]
        with pytest.raises(DatabaseUnavailableError):
            await change.attempt(first)
        with pytest.raises(ChangeInDoubtError, match="try again"):
            await change.attempt(second)
        first.transaction = transaction  # type: ignore[method-assign]
        await first.execute("COMMIT")
        assert await change.attempt(second) == 7
    assert calls == [1]
