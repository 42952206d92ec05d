"""Who gets in: logging in where others can reach the dashboard, what a login may do, and when it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Browser

from arc_eval_db.dashboards.api.tokens import Scope, create_token, revoke_token
from arc_eval_db.dashboards.web.server import serve
from arc_eval_db.dashboards.web.settings import DashboardSettings
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import SettingsError
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from support.browser import Tab, tab
from support.conditions import eventually
from support.dashboards import ServedDashboard, environment, serving_dashboard
from support.databases import connect, temporary_database
from support.dead_letters import set_aside_as
from support.events import event, record
from support.proxy import TcpProxy

pytestmark = [pytest.mark.kafka, pytest.mark.database]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A dashboard that other machines can reach, with two tokens."""

    url: str
    database: DatabaseSettings
    topics: TopicNames
    admin: str
    reader: str
    proxy: TcpProxy
    """Between the dashboard and its database."""


async def token_of(database: DatabaseSettings, scope: Scope) -> str:
    async with await connect(database) as session:
        return (await create_token(session, name=f"a {scope}", scope=scope, by="ann", lifetime=None))[1]


@pytest.fixture(scope="module")
async def guarded(
    dashboard_kafka: KafkaSettings, database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[Guarded]:
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with temporary_database(database_server, template=name) as database:
        admin, reader = [await token_of(database, scope) for scope in (Scope.ADMIN, Scope.READ)]
        group = f"group-{secrets.token_hex(6)}"
        async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
            behind = DatabaseSettings.load(database_url=proxy.url)
            async with serving_dashboard(dashboard_kafka, behind, group, "--host", "0.0.0.0") as served:
                url = served.url.replace("0.0.0.0", "127.0.0.1")
                async with httpx.AsyncClient(base_url=url) as client:

                    async def is_open() -> bool:
                        answers = [await client.get(path) for path in ("/v1/configurations", "/readyz")]
                        return [answer.status_code for answer in answers] == [401, 200]

                    await eventually(is_open, "the API's database was reached")
                yield Guarded(url, database, TopicNames(dashboard_kafka.topic_prefix), admin, reader, proxy)


@pytest.fixture
async def visitor(browser: Browser, guarded: Guarded) -> AsyncIterator[Tab]:
    async with tab(browser, guarded.url) as opened:
        yield opened


async def log_in(visitor: Tab, token: str) -> None:
    await visitor.page.fill("#token", token)
    await visitor.page.keyboard.press("Enter")


async def cookie_of(guarded: Guarded, token: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        answer = await client.post("/login", data={"token": token}, headers={"Origin": guarded.url})
        assert answer.status_code == 303
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def socket_status(url: str, **headers: str) -> int:
    """The HTTP status that a WebSocket's handshake is answered with."""
    host, _, port = url.removeprefix("http://").partition(":")
    given = {
        "Host": f"{host}:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = ["GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = int((await reader.readline()).split()[1])
        writer.close()
        await writer.wait_closed()
    return status


async def test_others_are_not_served_before_there_is_a_token(
    database: DatabaseSettings, kafka_settings: KafkaSettings
) -> None:
    settings = DashboardSettings(host="0.0.0.0", port=0)
    with pytest.raises(SettingsError, match="arc-eval-db api token create"):
        await serve(settings, kafka_settings, database, "any", on_listening=lambda _: None)


async def test_one_logs_in_with_a_token_and_out_again(visitor: Tab, guarded: Guarded) -> None:
    await visitor.page.goto(guarded.url + "/health?a=1")
    assert visitor.page.url.endswith("/login?next=%2Fhealth%3Fa%3D1")
    await log_in(visitor, "aedb_" + "0" * 12 + "_" + "0" * 64)
    assert "is not a token" in await visitor.text("[role=alert]")
    await log_in(visitor, guarded.reader)
    await visitor.page.wait_for_selector("h1:has-text('Database health')")
    assert visitor.page.url == guarded.url + "/health?a=1"
    assert "a read" in await visitor.text(".who")
    (cookie,) = await visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert cookie["expires"] > 0
    assert guarded.reader.rpartition("_")[2] not in cookie["value"]
    await visitor.page.get_by_role("button", name="Log out").click()
    await visitor.page.wait_for_url("**/login")
    await visitor.page.goto(guarded.url + "/")
    assert "/login" in visitor.page.url


async def test_a_token_that_is_revoked_ends_its_pages(visitor: Tab, guarded: Guarded) -> None:
    token = await token_of(guarded.database, Scope.READ)
    await visitor.page.goto(guarded.url)
    await log_in(visitor, token)
    await visitor.page.wait_for_function("window.did_handshake === true")
    async with await connect(guarded.database) as session:
        await revoke_token(session, token.split("_")[1], by="ann")
    await visitor.page.wait_for_url("**/login")


async def test_without_a_login_nothing_is_to_be_had(guarded: Guarded) -> None:
    forged = "arc_eval_dashboard=" + guarded.reader.split("_")[1] + ".99999999999." + "0" * 64
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        for path in ("/", "/health", "/nowhere", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
            for headers in ({}, {"Cookie": forged}):
                assert (await client.get(path, headers=headers)).status_code == 401, path
        assert (await client.get("/v1/configurations")).status_code == 401
        answer = await client.get("/v1/configurations", headers=await cookie_of(guarded, guarded.admin))
        assert answer.status_code == 401, "the API takes tokens, and no cookies"


async def test_programs_show_their_token_with_each_request(guarded: Guarded) -> None:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        answer = await client.get("/api/lag", headers={"Authorization": f"Bearer {guarded.reader}"})
        assert answer.json()["state"] == "ok"
        for headers in ({}, {"Authorization": f"Bearer {guarded.reader[:-1]}"}, {"Authorization": guarded.admin[:-1]}):
            assert (await client.get("/api/health", headers=headers)).status_code == 401
        page = await client.get("/", headers={"Authorization": f"Bearer {guarded.reader}"})
        assert page.status_code == 401, "pages take logins"
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200


async def test_a_socket_needs_the_login_and_a_page_of_ours(guarded: Guarded) -> None:
    login = await cookie_of(guarded, guarded.reader)
    assert await socket_status(guarded.url, Origin=guarded.url, **login) == 101
    assert await socket_status(guarded.url, Origin=guarded.url) == 403
    assert await socket_status(guarded.url, Origin="http://elsewhere.example", **login) == 403
    assert await socket_status(guarded.url, Origin="null", **login) == 403
    assert await socket_status(guarded.url, **login) == 403


async def test_requests_of_other_sites_do_nothing(guarded: Guarded) -> None:
    elsewhere = {"Origin": "http://elsewhere.example"}
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        assert (await client.post("/login", data={"token": guarded.admin}, headers=elsewhere)).status_code == 403
        assert (await client.post("/login", data={"token": guarded.admin})).status_code == 403
        login = await cookie_of(guarded, guarded.reader)
        assert (await client.post("/logout", headers=elsewhere | login)).status_code == 403
        polling = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        assert (await client.get(polling, headers=elsewhere | login)).status_code == 403


async def test_the_login_leads_to_pages_of_ours_only(guarded: Guarded) -> None:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        for wanted in ("//elsewhere.example/", "/\\elsewhere.example", "https://elsewhere.example/", "/a\r\nb: c"):
            form = {"token": guarded.reader, "next": wanted}
            answer = await client.post("/login", data=form, headers={"Origin": guarded.url})
            assert answer.headers["location"] == "/"
        assert (await client.get("/login", params={"next": '"><script>'})).text.count("<script") == 0


async def test_whoever_may_only_read_changes_nothing_by_messages_of_his_own(visitor: Tab, guarded: Guarded) -> None:
    topic = guarded.topics.of_type(TOOL_USED)
    async with await connect(guarded.database) as session:
        await set_aside_as(session, RefusalReason.UNKNOWN_TYPE, [record(event(TOOL_USED), topic=topic, offset=1)])
    await visitor.page.goto(guarded.url + "/dead-letters")
    await log_in(visitor, guarded.reader)
    await visitor.page.wait_for_function("window.did_handshake === true")
    await visitor.page.wait_for_selector("table.data a[href^='/dead-letters/']")
    assert await visitor.page.get_by_role("button", name="Retry").count() == 0
    # The server knows no button that is not there, but it hears every message.
    await visitor.page.evaluate("""() => {
        const say = (name, args) => {
            for (const [id, element] of Object.entries(mounted_app.elements))
                for (const event of element.events ?? [])
                    if (event.type === name)
                        socket.emit("event", { id: Number(id), client_id: clientId, listener_id: event.listener_id,
                                               args: args.map((one) => JSON.stringify(one)) });
        };
        say("action", ["retry", "1"]);
        say("confirm", []);
    }""")
    await visitor.page.wait_for_selector("[data-notice]:has-text('may only read')")
    async with await connect(guarded.database) as session:
        assert await _resolved(session) == 0


async def _resolved(session: Session) -> int:
    return int(await session.fetch_value("SELECT count(*) FROM dead_letters WHERE resolved_at IS NOT NULL"))


async def test_a_database_that_is_away_is_said_on_the_pages_which_recover(visitor: Tab, guarded: Guarded) -> None:
    await visitor.page.goto(guarded.url + "/dead-letters")
    await log_in(visitor, guarded.reader)
    panel = "section[aria-label='By reason']"
    await visitor.page.wait_for_selector(f"{panel} .stamp time")
    guarded.proxy.refuse()
    guarded.proxy.cut()
    try:
        await visitor.page.wait_for_selector(f"{panel} .notice", state="visible")
        # Whoever was in stays, and sees what can be seen.
        await visitor.page.goto(guarded.url + "/")
        await visitor.page.wait_for_selector("h1:has-text('Pipeline')")
        await visitor.page.goto(guarded.url + "/dead-letters")
        await visitor.page.wait_for_selector(f"{panel} .notice", state="visible")
        async with httpx.AsyncClient(base_url=guarded.url) as client:
            answer = await client.post("/login", data={"token": guarded.admin}, headers={"Origin": guarded.url})
            assert answer.status_code == 503
            assert "arc-eval-db doctor" in answer.text
            assert (await client.get("/healthz")).status_code == 200
    finally:
        await guarded.proxy.heal()
    await visitor.page.wait_for_selector(f"{panel} .notice", state="hidden")
    await visitor.page.wait_for_selector(f"{panel} .stamp time")


async def test_more_pages_than_may_be_open_are_told_to_come_back(
    dashboard_kafka: KafkaSettings, dashboard_database: DatabaseSettings
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "dashboard", "--port", "0", "--group", "few", "--json"),
        env=environment(dashboard_kafka, dashboard_database) | {"ARC_EVAL_DASHBOARD_PAGES_MAX": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert said["group"] == "few"
        async with httpx.AsyncClient(base_url=said["url"]) as client:
            assert (await client.get("/alerts")).status_code == 200
            refused = await client.get("/alerts")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
            assert "ARC_EVAL_DASHBOARD_PAGES_MAX" in refused.text
            assert (await client.get("/healthz")).status_code == 200
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
    assert process.returncode == 0


async def test_on_loopback_only_names_of_loopback_are_answered(dashboard: ServedDashboard) -> None:
    async with httpx.AsyncClient(base_url=dashboard.url) as client:
        assert (await client.get("/", headers={"Host": "rebound.example"})).status_code == 421
        assert (await client.get("/metrics", headers={"Host": "rebound.example"})).status_code == 421
        assert (await client.get("/healthz", headers={"Host": "10.0.0.5:8330"})).status_code == 200
        assert (await client.get("/", headers={"X-Forwarded-For": "203.0.113.7"})).status_code == 401
        assert (await client.get("/")).status_code == 200
    assert await socket_status(dashboard.url, Host="rebound.example", Origin="http://rebound.example") == 403
