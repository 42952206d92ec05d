"""What nobody well-meaning sends, and servers that fail: the answer is a problem, without SQL or secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog.testing
from pydantic import SecretStr

from arc_eval_db.configurations import ConfigurationManager
from arc_eval_db.configurations.bounded import Bounded, TooMuchWorkError
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator, SchemaOutdatedError
from arc_eval_db.retries import RetryPolicy
from support.api import answer, make_token, problem, serving
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy

pytestmark = pytest.mark.database

CONFIGURATIONS = "/v1/configurations"
JSON = {"Content-Type": "application/json"}


async def post(api: httpx.AsyncClient, content: Any, **headers: str) -> httpx.Response:
    return await api.post(CONFIGURATIONS, content=content, headers={**JSON, **headers})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "$"),
        (b"{", 400, "body:1:2: not JSON"),
        (b"nonsense", 400, "body:1:1: not JSON"),
        (b'{"name": "a"} {}', 400, "body:1:15"),
        (b'\xff{"name": "a"}', 400, "not UTF-8, from byte 0 on"),
        (b'{"name": NaN}', 400, "a value was expected"),
        (b'{"name": "a", "name": "b"}', 422, "stands twice"),
        (b'{"name": "a", "content": {"seed": 12345678901234567890}}', 422, "2^53"),
        (b'{"name": "a", "content": {"seed": 1e999}}', 422, "finite"),
        (b'{"name": "a", "content": {"x": "\\u0000"}}', 422, "NUL"),
        (b'{"name": "a", "content": {"x": "\\ud800"}}', 422, "surrogate"),
        (b'{"name": "a", "content": ' + b"[" * 100_000, 422, "deeper than 33 levels"),
        (b'{"name": "a", "content": ' + b'{"a":' * 32 + b"1" + b"}" * 33, 201, ""),
        (b'{"name": "a", "content": [1]}', 422, "$.content: "),
        (b'{"name": "a", "unknown": 1}', 422, "$.unknown: "),
        (b'{"name": 5}', 422, "$.name: "),
        (b'{"name": "a\\n"}', 422, "$.name: "),
        (b'{"name": "a", "content": {}, "labels": ["1"]}', 422, "$.labels[0]: "),
        (b'{"name": "a", "content": {}, "labels": ["latest"]}', 422, "latest"),
        (b'{"name": "a", "labels": ["p"]}', 422, "labels are for a version"),
        (b"[]", 422, "$"),
        (b"null", 422, "$"),
    ],
    ids=lambda part: repr(part)[:40],
)
async def test_bodies(file_api: httpx.AsyncClient, body: bytes, status: int, said: str) -> None:
    response = await post(file_api, body)
    if status == 201:
        answer(response, 201)
        return
    found = problem(response, status, "invalid" if status == 422 else "malformed-request")
    assert said in found["detail"]


async def test_a_body_is_at_most_a_megabyte(api: httpx.AsyncClient) -> None:
    head, tail = b'{"name": "a", "content": {"x": "', b'"}}'
    fits = head + b"y" * (1_000_000 - len(head) - len(tail)) + tail
    assert len(fits) == 1_000_000
    answer(await post(api, fits), 201)
    problem(await post(api, fits + b" "), 413, "body-too-large")
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield b" " * 100_000

    problem(await api.post(CONFIGURATIONS, content=parts(), headers=JSON), 413, "body-too-large")
    assert sent <= 1_100_000, "no more is read than it takes to see that it is too much"
    problem(await post(api, b"{}", **{"Content-Length": "9" * 30}), 413, "body-too-large")


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_only_json_changes_anything(api: httpx.AsyncClient, media_type: str | None) -> None:
    """What a form of another site can send without the browser's asking first is refused."""
    body, headers = b'{"name": "a"}', {} if media_type is None else {"Content-Type": media_type}
    problem(await api.post(CONFIGURATIONS, content=body, headers=headers), 415, "unsupported-media-type")
    problem(await api.put(f"{CONFIGURATIONS}/a/labels/b", content=body, headers=headers), 415, "unsupported-media-type")
    assert answer(await api.get("/v1/audit"))["items"] == []
    # Without a body there is nothing that a form could have sent, but for what needs a header that forms lack.
    assert "a body is needed" in problem(await api.post(CONFIGURATIONS, headers=headers), 422, "invalid")["detail"]
    problem(await api.post(f"{CONFIGURATIONS}/a/unarchive", headers=headers), 428, "precondition-required")
    problem(await api.post("/v1/deployments/end", headers=headers), 422, "invalid")


async def test_a_body_is_sent_as_it_is(api: httpx.AsyncClient) -> None:
    for coding in ("gzip", "identity, gzip", "br", ""):
        response = await post(api, b'{"name": "a"}', **{"Content-Encoding": coding})
        assert "without Content-Encoding" in problem(response, 415, "unsupported-media-type")["detail"]
        assert response.headers["accept-encoding"] == "identity"
    answer(await post(api, b'{"name": "a"}', **{"Content-Encoding": "Identity"}), 201)


async def test_json_may_name_its_characters(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer(await api.post(CONFIGURATIONS, content=b'{"name": "a"}', headers=headers), 201)


async def test_no_other_site_s_page_may_read(api: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://evil.test", "Access-Control-Request-Method": "PUT"}
    response = await api.options(CONFIGURATIONS, headers=asked)
    problem(response, 405, "method-not-allowed")
    read = await api.get(CONFIGURATIONS, headers=asked)
    for one in (response, read):
        assert not any(name.startswith("access-control") for name in one.headers)
        assert one.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "address", "allow"),
    [
        ("DELETE", CONFIGURATIONS, "GET, POST"),
        ("PUT", f"{CONFIGURATIONS}/a", "DELETE, GET, PATCH"),
        ("GET", f"{CONFIGURATIONS}/a/unarchive", "POST"),
        ("TRACE", f"{CONFIGURATIONS}/a/labels/b", "DELETE, PUT"),
        ("DELETE", "/openapi.json", "GET"),
    ],
)
async def test_what_cannot_be_done_says_what_can(
    file_api: httpx.AsyncClient, method: str, address: str, allow: str
) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PUT" else {}
    response = await file_api.request(method, address, **body)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("address", ["/", "/v1", "/docs", "/redoc", f"{CONFIGURATIONS}/", "/v1/configurations/a/b/c/d"])
async def test_what_is_not_there(file_api: httpx.AsyncClient, address: str) -> None:
    problem(await file_api.get(address), 404, "not-found")


@pytest.mark.parametrize(
    "query",
    [
        *("text=%00", "label=%00", "label=1", "archived=maybe", "containing=%00"),
        *("text=" + "x" * 201, "containing=" + "%7B" * 40),
    ],
)
async def test_queries(file_api: httpx.AsyncClient, query: str) -> None:
    response = await file_api.get(f"{CONFIGURATIONS}?{query}")
    assert response.status_code in (400, 422)
    assert response.json()["detail"].startswith("query.")


@pytest.mark.parametrize("query", ["txt=careful", "=", "limit=1&x=1", "Text=a"])
async def test_a_condition_that_is_misspelt_does_not_mean_all(file_api: httpx.AsyncClient, query: str) -> None:
    found = problem(await file_api.get(f"{CONFIGURATIONS}?{query}"), 422, "invalid")
    assert "there is archived, containing, cursor, label, limit, text" in found["detail"]
    problem(await file_api.get(f"/openapi.json?{query}"), 422, "invalid")
    problem(await file_api.post(f"{CONFIGURATIONS}?{query}", json={"name": "a"}), 422, "invalid")


@pytest.mark.parametrize("query", ["label=a&label=b", "limit=1&limit=1", "cursor=a&text=b&cursor=c"])
async def test_a_condition_that_stands_twice_is_not_half_heeded(file_api: httpx.AsyncClient, query: str) -> None:
    found = problem(await file_api.get(f"{CONFIGURATIONS}?{query}"), 422, "invalid")
    name = query.partition("=")[0]
    assert found["errors"] == [{"path": f"query.{name}", "message": "stands twice; keep one"}]


@pytest.mark.parametrize(
    "moment",
    [
        *("yesterday", "0", "2026-11-24", "2026-11-24T00:00:00", "0001-01-01T00:00:00+14:00"),
        *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", ""),
    ],
)
async def test_moments(file_api: httpx.AsyncClient, moment: str) -> None:
    found = problem(await file_api.get("/v1/deployments", params={"at": moment}), 422, "invalid")
    assert found["errors"][0]["path"] == "query.at"


async def test_a_span_in_which_there_is_no_moment(file_api: httpx.AsyncClient) -> None:
    span = {"since": "2026-11-24T00:00:00Z", "until": "2026-11-23T00:00:00Z"}
    for address, more in (("/v1/deployments", {}), ("/v1/comparisons", {"a": "x", "b": "y"})):
        found = problem(await file_api.get(address, params=span | more), 422, "invalid")
        assert found["errors"] == [{"path": "query.until", "message": "must be after since"}]


async def test_names_that_nobody_sees(file_api: httpx.AsyncClient) -> None:
    for name in (".", "..", " ", "a\x9b", "a\u202e"):
        problem(await file_api.post(CONFIGURATIONS, json={"name": name}), 422, "invalid")


async def test_references(api: httpx.AsyncClient) -> None:
    for selector in ("b@3", "1b", "-1", "@", "1" * 10):
        problem(await api.get(f"/v1/configurations/careful/versions/{selector}"), 422, "invalid")
    for reference in ("a@1b", "sha256:123", "a@-1", "%00"):
        problem(await api.get(f"/v1/versions/{reference}"), 422, "invalid")
    problem(await api.get(f"/v1/versions/{'0' * 8}-0000-0000-0000-{'0' * 12}"), 404, "not-found")


async def slow() -> AsyncIterator[bytes]:
    """A body that begins and does not end."""
    yield b"{"
    await asyncio.Event().wait()


async def test_who_sends_slowly_is_not_waited_for(database: DatabaseSettings) -> None:
    async with serving(database, ApiSettings(body_timeout_s=0.05)) as api:
        problem(await api.post(CONFIGURATIONS, content=slow(), headers=JSON), 408, "body-timeout")


async def test_a_probe_takes_no_slot_and_its_body_is_not_read(database: DatabaseSettings, session: Session) -> None:
    """Anybody may send one, and it is answered while all slots are taken."""
    async with serving(database, ApiSettings(requests_max=1)) as api:
        never = await asyncio.wait_for(api.post("/healthz", content=slow(), headers=JSON), 5)
        assert (problem(never, 405, "method-not-allowed")["status"], never.headers["allow"]) == (405, "GET")
        async with session.transaction():
            await session.execute("LOCK TABLE configurations")
            waiting = asyncio.create_task(api.get(CONFIGURATIONS))

            async def waits() -> bool:
                return bool(await session.fetch_value("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted"))

            await eventually(waits, "the request is at work")
            problem(await api.get(CONFIGURATIONS), 503, "unavailable")
            assert answer(await api.get("/healthz")) == {"status": "ok"}
        answer(await waiting)


async def test_probes_ask_the_database_once(database: DatabaseSettings) -> None:
    async with ApiDatabase(database) as opened:
        asked: list[str] = []
        read = opened.client.read

        async def noting(operation: str, work: Any) -> Any:
            asked.append(operation)
            return await read(operation, work)

        opened.client.read = noting  # type: ignore[method-assign]
        await asyncio.gather(*(opened.ping() for _ in range(50)))
        assert asked == ["api_ping"]
        await opened.ping()
        assert asked == ["api_ping"] * 2


async def test_what_is_wrong_is_told_to_a_point(api: httpx.AsyncClient) -> None:
    wrong = {"name": "a", **{f"k{n}": 1 for n in range(1_000)}}
    found = problem(await api.post(CONFIGURATIONS, json=wrong), 422, "invalid")
    assert len(found["errors"]) == 20
    assert found["detail"].endswith("; and 995 more")


async def test_a_diff_that_takes_long_is_ended(database: DatabaseSettings) -> None:
    """In a process, and not in a thread that nothing ends."""
    bounded = Noting()
    async with serving(database, bounded=bounded) as api:
        for name, numbers in (("a", range(2_000)), ("b", range(2_000, 0, -1))):
            answer(await api.post(CONFIGURATIONS, json={"name": name, "content": {"l": list(numbers)}}), 201)
            answer(await api.post(CONFIGURATIONS, json={"name": f"small {name}", "content": {"l": [name]}}), 201)
        for form in ("changes", "patch", "text"):
            query = {"before": "small a", "after": "small b", "format": form}
            assert len(answer(await api.get("/v1/diffs", params=query))[form]) > 0
        assert bounded.tasks == []
        query = {"before": "a", "after": "b", "format": "changes"}
        changes = answer(await api.get("/v1/diffs", params=query))["changes"]
        assert changes[0] == {"kind": "changed", "path": ["l", 1999], "place": "$.l[1999]", "before": 1999, "after": 1}
        bounded.is_ended = True
        found = problem(await api.get("/v1/diffs", params={**query, "format": "text"}), 422, "invalid")
        assert found["errors"][0]["path"] == "query.format"
        assert bounded.tasks == ["changes", "text"]


class Noting(Bounded):
    """Says what was given to a process, and ends it where a test wants that."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[str] = []
        self.is_ended = False

    async def run(self, task: str, arguments: dict[str, Any]) -> Any:
        self.tasks.append(task)
        if self.is_ended:
            raise TooMuchWorkError
        return await super().run(task, arguments)


async def test_too_much_that_takes_long_is_turned_away(database: DatabaseSettings) -> None:
    async with serving(database, bounded=Bounded(processes_max=0, wait_s=0.01)) as api:
        answer(await api.post(CONFIGURATIONS, json={"name": "a", "content": {"l": list(range(3_000))}}), 201)
        response = await api.get("/v1/diffs", params={"before": "a", "after": "a"})
        assert problem(response, 503, "unavailable")["detail"] == "others are at work that takes long; try again"
        assert response.headers["retry-after"] == "10"


async def test_an_answer_has_its_time(database: DatabaseSettings, session: Session) -> None:
    async with serving(database, ApiSettings(request_timeout_s=0.2)) as api, session.transaction():
        await session.execute("LOCK TABLE configurations")
        problem(await api.get(CONFIGURATIONS), 504, "timeout")
    # What was given up holds no connection, and the next one is answered.
    async with serving(database) as api:
        answer(await api.get(CONFIGURATIONS))


async def test_so_many_at_once_and_no_more(database: DatabaseSettings, session: Session) -> None:
    async with serving(database, ApiSettings(requests_max=2)) as api:
        async with session.transaction():
            await session.execute("LOCK TABLE configurations")
            waiting = [asyncio.create_task(api.get(CONFIGURATIONS)) for _ in range(2)]

            async def both_wait() -> bool:
                return bool(await session.fetch_value("SELECT count(*) = 2 FROM pg_locks WHERE NOT granted"))

            await eventually(both_wait, "both requests are at work")
            response = await api.get(CONFIGURATIONS)
            problem(response, 503, "unavailable")
            assert response.headers["retry-after"] == "1"
        for one in await asyncio.gather(*waiting):
            answer(one)
        answer(await api.get(CONFIGURATIONS))


async def test_a_database_that_is_away_is_said_without_details(database: DatabaseSettings) -> None:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        proxied = database.model_copy(update={"database_url": SecretStr(proxy.url)})
        quick = RetryPolicy(attempts_max=2, deadline_s=2, backoff_s_min=0, backoff_s_max=0.01)
        async with serving(proxied, retries=quick) as api:
            answer(await api.get(CONFIGURATIONS))
            proxy.refuse()
            proxy.cut()
            for address in (CONFIGURATIONS, "/healthz"):
                response = await api.get(address)
                found = problem(response, 503, "unavailable")
                assert response.headers["retry-after"] == "5"
                assert found["detail"] == "the database does not answer; try again"
            await proxy.accept()
            answer(await api.get(CONFIGURATIONS))


async def test_a_broken_schema_is_said_without_details(
    api: httpx.AsyncClient, session: Session, database: DatabaseSettings
) -> None:
    await session.execute("ALTER TABLE configuration_audit RENAME TO hidden")
    with structlog.testing.capture_logs() as logs:
        response = await api.get("/v1/audit")
    found = problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "60"
    assert not any(word in str(found) for word in ("configuration_audit", "relation", "42P01", "SELECT"))
    assert any(
        "configuration_audit" in entry.get("error", "") for entry in logs if entry["event"] == "api_request_failed"
    )


async def test_a_mistake_of_ours_is_a_problem_too(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://user:secret@host")

    monkeypatch.setattr(ConfigurationManager, "search", fail)
    with structlog.testing.capture_logs() as logs:
        found = problem(await api.get(CONFIGURATIONS), 500, "internal")
    assert "secret" not in str(found) + str(logs)


async def test_the_migration_is_asked_for(empty_database: DatabaseSettings) -> None:
    async with await connect(empty_database) as session:
        await Migrator(session).up(11)
    with pytest.raises(SchemaOutdatedError, match="0012_api_tokens; run: arc-eval-db migrate up"):
        await ApiDatabase(empty_database).open()


async def test_a_standby_lets_readers_in(database: DatabaseSettings, session: Session) -> None:
    """Where the use of a token cannot be noted, it is good all the same."""
    token = await make_token(session)
    name = await session.fetch_value("SELECT current_database()")
    await session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with serving(database) as api:
        with structlog.testing.capture_logs() as logs:
            answer(await api.get(CONFIGURATIONS, headers={"Authorization": f"Bearer {token}"}))
    assert "api_token_use_not_noted" in [entry["event"] for entry in logs]
