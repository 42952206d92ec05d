"""The dashboard's parts that need neither a browser nor servers."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from arc_eval_db.consumers.alerts import AlertSettings
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.api.tokens import Actor
from arc_eval_db.dashboards.web import (
    access,
    headers,
    letter_changes,
    payloads,
    plain,
    status,
)
from arc_eval_db.dashboards.web.access import Access, NotLetInError
from arc_eval_db.dashboards.web.data import pipeline
from arc_eval_db.dashboards.web.database import WebDatabase
from arc_eval_db.dashboards.web.elements import Cell
from arc_eval_db.dashboards.web.live import LiveBoard, Seen, Source, TooManyFeedsError
from arc_eval_db.dashboards.web.pages import pipeline as pipeline_page
from arc_eval_db.dashboards.web.payloads import SHOWN_BYTES_MAX, Payload
from arc_eval_db.dashboards.web.server import alert_runner
from arc_eval_db.dashboards.web.sessions import Login, Sessions
from arc_eval_db.dashboards.web.settings import DashboardSettings
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError
from arc_eval_db.errors import ArcEvalError, SettingsError
from support.conditions import eventually

TOKEN_ID = "0123456789ab"


@pytest.mark.parametrize(
    "module", [headers, letter_changes, payloads, plain, status, pipeline, pipeline_page], ids=lambda one: one.__name__
)
def test_examples_in_docstrings_are_right(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


class TestSessions:
    def test_a_cookie_is_good_until_its_time_is_over(self) -> None:
        now_s = 1000.0
        sessions = Sessions(60, lambda: now_s)
        cookie = sessions.issue(TOKEN_ID)
        assert sessions.read(cookie) == Login(TOKEN_ID, 1060)
        now_s = 1060.0
        assert sessions.read(cookie) is None

    def test_a_cookie_that_was_changed_or_is_of_another_server_is_none(self) -> None:
        sessions = Sessions(60)
        token_id, expiry, signature = sessions.issue(TOKEN_ID).split(".")
        assert sessions.read(f"{token_id}.{int(expiry) + 1}.{signature}") is None
        assert sessions.read(f"{'f' * 12}.{expiry}.{signature}") is None
        assert sessions.read(Sessions(60).issue(TOKEN_ID)) is None
        assert sessions.read(None) is None
        assert sessions.read("") is None


class TestAccess:
    """While the database is away whoever was known goes on for a while; nobody new gets in, and nobody changes."""

    @pytest.fixture
    def now_s(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def answers(self) -> list[Actor | ArcEvalError | None]:
        return []

    @pytest.fixture
    def entry(
        self, monkeypatch: pytest.MonkeyPatch, now_s: list[float], answers: list[Actor | ArcEvalError | None]
    ) -> Access:
        database = WebDatabase(DatabaseSettings.load(database_url="postgresql://localhost/none"), DashboardSettings())
        made = Access(ApiSettings(), database, 5, lambda: now_s[0])

        async def look_up(_: str | None) -> Actor | None:
            answer = answers.pop(0)
            if isinstance(answer, ArcEvalError):
                raise answer
            return answer

        monkeypatch.setattr(made, "_look_up", look_up)
        return made

    async def test_the_database_is_asked_again_after_some_seconds(
        self, entry: Access, now_s: list[float], answers: list[Actor | ArcEvalError | None]
    ) -> None:
        login = Login(TOKEN_ID, 0)
        answers[:] = [access.ANY_READER, None]
        assert await entry.who(login) == access.ANY_READER
        now_s[0] = 4.9
        assert await entry.who(login) == access.ANY_READER
        now_s[0] = 5.0
        with pytest.raises(NotLetInError):
            await entry.who(login)

    async def test_an_outage_sends_nobody_away_for_a_quarter_of_an_hour(
        self, entry: Access, now_s: list[float], answers: list[Actor | ArcEvalError | None]
    ) -> None:
        answers[:] = [access.ANYBODY, *[DatabaseUnavailableError()] * 4]
        await entry.who(None)
        now_s[0] = 899.0
        assert await entry.who(None) == access.ANYBODY
        with pytest.raises(DatabaseUnavailableError):
            await entry.who(None, fresh=True)
        with pytest.raises(DatabaseUnavailableError):
            await entry.who(Login(TOKEN_ID, 0))
        now_s[0] = 901.0
        with pytest.raises(DatabaseUnavailableError):
            await entry.who(None)


class TestLiveBoard:
    """One look for all who follow, none for nobody."""

    @pytest.fixture
    async def board(self) -> AsyncGenerator[LiveBoard]:
        async with LiveBoard(feeds_max=2) as opened:
            yield opened

    async def test_many_followers_cost_one_look(self, board: LiveBoard) -> None:
        looks = 0

        async def load() -> int:
            nonlocal looks
            looks += 1
            return looks

        source = Source(("a",), load, 600)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                follower = await stack.enter_async_context(contextlib.aclosing(board.follow(source)))
                assert (await anext(follower)).value == 1
            board.refresh("a")
            assert (await anext(follower)).value == 2

    async def test_nothing_is_looked_at_where_nobody_follows(self, board: LiveBoard) -> None:
        async def load() -> int:
            return 1

        async with contextlib.aclosing(board.follow(Source(("a",), load, 0.01))) as follower:
            await anext(follower)
            assert board.feeds == 1

        await eventually(lambda: board.feeds == 0, "the source is forgotten")

    async def test_a_failure_is_said_beside_what_was_seen_and_passes(self, board: LiveBoard) -> None:
        answers: list[int | Exception] = [1, DatabaseUnavailableError("away"), ValueError("a secret"), 2]

        async def load() -> int:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        seen: list[Seen[int]] = []
        async with contextlib.aclosing(board.follow(Source(("a",), load, 0.01))) as follower:
            async for look in follower:
                seen.append(look)
                if look.value == 2:
                    break
                board.refresh("a")
        assert [(look.value, look.problem is None) for look in seen] == [(1, True), (1, False), (1, False), (2, True)]
        assert seen[1].problem == "away"
        assert "secret" not in str(seen[2].problem)
        assert seen[1].seen_at == seen[0].seen_at

    async def test_a_look_that_hangs_is_given_up(self, board: LiveBoard) -> None:
        async def load() -> int:
            await asyncio.Event().wait()
            return 1

        async with contextlib.aclosing(board.follow(Source(("a",), load, 600, timeout_s=0.01))) as follower:
            assert (await anext(follower)).problem == "no answer within 0.01 s"

    async def test_there_is_a_bound_on_what_is_shown_at_once(self, board: LiveBoard) -> None:
        async def load() -> int:
            return 1

        async with contextlib.AsyncExitStack() as stack:
            for name in ("a", "b"):
                follower = await stack.enter_async_context(
                    contextlib.aclosing(board.follow(Source((name,), load, 600)))
                )
                await anext(follower)
            with pytest.raises(TooManyFeedsError):
                await anext(board.follow(Source(("c",), load, 600)))


class TestPayload:
    def test_json_is_indented_unless_that_would_change_it(self) -> None:
        assert Payload.of(b'{"a":1}').text == '{\n  "a": 1\n}'
        assert Payload.of(b'{"a":1.0e2, "a":2}').text == '{"a":1.0e2, "a":2}'

    def test_what_would_not_show_is_written_out(self) -> None:
        assert Payload.of("a\u202eb\x1b".encode()).text == "a\\u202eb\\x1b"

    def test_a_long_one_is_cut_and_says_so(self) -> None:
        cut = Payload.of("é".encode() * SHOWN_BYTES_MAX)
        assert cut.encoding == "text"
        assert cut.text.endswith(f"\n… and {SHOWN_BYTES_MAX:,} more bytes")
        assert Payload.of(b"\xff" * (SHOWN_BYTES_MAX + 1)).text.endswith("\n… and 1 more bytes")


def test_links_lead_nowhere_else() -> None:
    assert Cell("a", href="/executions").href == "/executions"
    for address in ("//elsewhere.example", "https://elsewhere.example", "javascript:alert(1)", "/\\elsewhere"):
        with pytest.raises(ValueError, match="an address on this server"):
            Cell("a", href=address)


def test_a_setting_that_does_not_fit_is_named() -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_DASHBOARD_PAGES_MAX"):
        DashboardSettings.load(pages_max=0)


@pytest.mark.parametrize("told", [True, False])
async def test_receivers_are_told_unless_another_process_does(told: bool) -> None:
    registry = CollectorRegistry()
    alert_runner(
        AlertSettings.load(webhook_url="https://hooks.example/arc"), DashboardSettings(send_alerts=told), registry
    )
    assert ("arc_eval_alerts_sent_total{" in generate_latest(registry).decode()) is told


def test_buckets_are_as_many_as_can_be_seen() -> None:
    for since in (timedelta(minutes=15), timedelta(days=14)):
        assert since / pipeline.bucket_of(since) <= pipeline.BUCKETS_MAX
