"""Who is let in: every address refuses whoever has no good token, once there is one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog.testing

from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.api.tokens import (
    Scope,
    TokenNotFoundError,
    TokenRefusedError,
    create_token,
    has_usable_token,
    hash_of,
    list_tokens,
    parse_token,
    revoke_token,
)
from arc_eval_db.database import DatabaseSettings, Session
from support.api import addresses, answer, bearer, make_token, problem, serving

pytestmark = pytest.mark.database

OPEN = ("GET", "/healthz")
ADDRESSES = [address for address in addresses() if address != OPEN]


async def revoked(session: Session) -> str:
    token = await make_token(session)
    await revoke_token(session, token[5:17], by="ann")
    return token


async def expired(session: Session) -> str:
    token = await make_token(session, lifetime=timedelta(days=1))
    await session.execute("UPDATE api_tokens SET expires_at = now() - interval '1 s' WHERE id = $1", token[5:17])
    return token


async def wrong(session: Session) -> str:
    token = await make_token(session)
    return token[:-1] + ("0" if token[-1] != "0" else "1")


@pytest.fixture
async def guarded(database: DatabaseSettings, session: Session) -> AsyncIterator[httpx.AsyncClient]:
    """The API with a good token in its database."""
    await make_token(session)
    async with serving(database) as client:
        yield client


def body_of(method: str) -> dict[str, Any]:
    return {"json": {}} if method in ("POST", "PUT", "PATCH") else {}


@pytest.mark.parametrize(("method", "address"), ADDRESSES, ids=str)
async def test_every_address_needs_a_token(
    guarded: httpx.AsyncClient, session: Session, method: str, address: str
) -> None:
    async def refused(challenge: str, **headers: str) -> None:
        response = await guarded.request(method, address, headers=headers, **body_of(method))
        problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == 'Bearer realm="arc-eval-db"' + challenge

    await refused("")
    known, unknown = await make_token(session), "aedb_" + "0" * 12 + "_" + "0" * 64
    invalid = ', error="invalid_token"'
    bad = (
        await wrong(session),
        await revoked(session),
        await expired(session),
        unknown,
        "",
        known.upper(),
        f"{known}x",
    )
    for token in bad:
        await refused(invalid, Authorization=f"Bearer {token}")
    for header in (known, f"Basic {known}", f"Bearer {known} {known}"):
        await refused(invalid, Authorization=header)
    reader = bearer(await make_token(session, Scope.READ))
    read = await guarded.request(method, address, headers=reader, **body_of(method))
    if method == "GET":
        assert read.status_code not in (401, 403)
    else:
        problem(read, 403, "forbidden")
        assert 'error="insufficient_scope"' in read.headers["www-authenticate"]
    admin = await guarded.request(method, address, headers=bearer(known), **body_of(method))
    assert admin.status_code not in (401, 403)


async def test_two_headers_are_none(guarded: httpx.AsyncClient, session: Session) -> None:
    good = f"Bearer {await make_token(session)}"
    twice = [("Authorization", good), ("Authorization", good)]
    problem(await guarded.get("/v1/audit", headers=twice), 401, "unauthenticated")
    assert (await guarded.get("/v1/audit", headers={"Authorization": good.replace("Bearer", "bearer")})).is_success


async def test_health_is_open_and_says_nothing(guarded: httpx.AsyncClient) -> None:
    assert answer(await guarded.get("/healthz")) == {"status": "ok"}


async def test_loopback_is_open_until_there_is_a_token(api: httpx.AsyncClient, session: Session) -> None:
    answer(await api.post("/v1/configurations", json={"name": "careful"}), 201)
    assert answer(await api.get("/v1/audit"))["items"][0]["actor"] == "the API, without a token"
    problem(await api.get("/v1/audit", headers=bearer("aedb_nonsense")), 401, "unauthenticated")
    token = await make_token(session, lifetime=timedelta(days=1))
    problem(await api.get("/v1/audit"), 401, "unauthenticated")
    await revoke_token(session, token[5:17], by="ann")
    problem(await api.get("/v1/audit"), 401, "unauthenticated")


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"])
async def test_what_a_proxy_brings_is_not_from_this_machine(api: httpx.AsyncClient, header: str) -> None:
    problem(await api.get("/v1/audit", headers={header: "127.0.0.1"}), 401, "unauthenticated")


@pytest.mark.parametrize(
    "settings",
    [ApiSettings(host="0.0.0.0"), ApiSettings(host="db.test"), ApiSettings(allowed_hosts=frozenset({"api.test"}))],
    ids=["every address", "a name", "behind a proxy"],
)
async def test_what_others_can_reach_is_never_open(database: DatabaseSettings, settings: ApiSettings) -> None:
    async with serving(database, settings) as api:
        problem(await api.get("/v1/audit"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        *((name, True) for name in ("localhost", "LOCALHOST:8320", "127.0.0.1:1", "[::1]", "[::1]:8320")),
        *((name, False) for name in ("evil.test", "localhost.evil.test", "127.0.0.1.evil.test:8320", "", "a:b", "::1")),
    ],
)
async def test_on_loopback_only_its_own_names_are_served(api: httpx.AsyncClient, host: str, is_taken: bool) -> None:
    """A page whose name was made to mean 127.0.0.1 is turned away."""
    response = await api.get("/v1/audit", headers={"Host": host})
    if is_taken:
        answer(response)
    else:
        problem(response, 421, "misdirected")
    assert answer(await api.get("/healthz", headers={"Host": host})) == {"status": "ok"}, "probes come by any address"


def test_names_that_may_be_asked_for() -> None:
    proxied = ApiSettings(allowed_hosts=frozenset({"api.test"}))
    assert proxied.allows_host("API.test:443")
    assert not proxied.allows_host("other.test")
    assert ApiSettings(allowed_hosts=frozenset({"API.test:8443"})).allows_host("api.test")
    assert ApiSettings(host="10.0.0.5").allows_host("anything.test")
    assert not ApiSettings(host="10.0.0.5", allowed_hosts=frozenset({"api.test"})).allows_host("other.test")
    for host in ("127.0.0.2", "::1", "0:0:0:0:0:0:0:1", "LocalHost"):
        own = ApiSettings(host=host)
        assert own.allows_host(f"[{host}]:8320" if ":" in host else f"{host}:8320"), host
        assert not own.allows_host("other.test"), host
    assert not ApiSettings(host="127.0.0.2").allows_host("127.0.0.3")
    assert ApiSettings(host="10.0.0.5", allowed_hosts=frozenset({"api.test"})).allows_host("10.0.0.5:8320")
    assert [ApiSettings(host=host).is_loopback for host in ("localhost", "127.0.0.2", "::1", "::", "10.0.0.5")] == [
        *(True, True, True),
        *(False, False),
    ]


async def test_a_refusal_is_logged_without_the_token(guarded: httpx.AsyncClient, session: Session) -> None:
    token = await wrong(session)
    with structlog.testing.capture_logs() as logs:
        await guarded.get("/v1/audit", headers=bearer(token))
    (entry,) = [entry for entry in logs if entry["event"] == "api_authentication_refused"]
    assert (entry["reason"], entry["log_level"]) == ("wrong_secret", "warning")
    assert token[5:17] not in str(logs)
    assert token[18:] not in str(logs)


async def test_who_changes_something_is_logged(api: httpx.AsyncClient, session: Session) -> None:
    with structlog.testing.capture_logs() as logs:
        answer(await api.post("/v1/configurations", json={"name": "careful"}), 201)
        token = await make_token(session)
        await api.post("/v1/configurations", json={"name": "careful"}, headers=bearer(token))
        await api.post("/v1/configurations", content=b"{", headers=bearer(token))
        await api.get("/v1/audit", headers=bearer(token))
    made = [entry for entry in logs if entry["event"] == "api_change_answered"]
    assert [(entry["by"], entry["method"], entry["path"], entry["status"]) for entry in made] == [
        ("anonymous", "POST", "/v1/configurations", 201),
        (f"ci (token {token[5:17]})", "POST", "/v1/configurations", 409),
        (f"ci (token {token[5:17]})", "POST", "/v1/configurations", 415),
    ]
    assert token[18:] not in str(logs)


async def test_only_a_hash_is_kept(session: Session) -> None:
    made, text = await create_token(session, name="ci", scope=Scope.READ, by="ann", lifetime=timedelta(days=90))
    assert re.fullmatch(r"aedb_[0-9a-f]{12}_[0-9a-f]{64}", text)
    parsed = parse_token(text)
    assert parsed is not None
    token_id, secret = parsed
    assert (made.id, made.state(), made.expires_at) == (token_id, "active", made.expires_at)
    (row,) = await session.fetch("SELECT to_jsonb(api_tokens)::text AS all, secret_hash FROM api_tokens")
    assert row["secret_hash"] == hash_of(secret)
    assert secret not in row["all"]
    assert await list_tokens(session) == [made]


async def test_use_is_noted_to_the_hour(guarded: httpx.AsyncClient, session: Session) -> None:
    token = await make_token(session)
    noted = (
        "SELECT last_used_at = date_trunc('hour', last_used_at) AS is_hour, xmin::text AS written"
        " FROM api_tokens WHERE id = $1"
    )
    await guarded.get("/v1/audit", headers=bearer(token))
    first = await session.fetch(noted, token[5:17])
    assert first[0]["is_hour"] is True
    await session.execute("UPDATE api_tokens SET last_used_at = date_trunc('hour', now()) WHERE id = $1", token[5:17])
    before = await session.fetch(noted, token[5:17])
    await guarded.get("/v1/audit", headers=bearer(token))
    after = await session.fetch(noted, token[5:17])
    assert [row["written"] for row in after] == [row["written"] for row in before], (
        "once an hour, not with each request"
    )


async def test_tokens_are_revoked_for_good(session: Session) -> None:
    token = await make_token(session, lifetime=timedelta(days=1))
    assert await has_usable_token(session)
    first = await revoke_token(session, token[5:17], by="ann")
    again = await revoke_token(session, token[5:17], by="bob")
    assert (first, first.state(), first.revoked_by) == (again, "revoked", "ann")
    assert not await has_usable_token(session)
    await expired(session)
    assert not await has_usable_token(session)
    assert {one.state() for one in await list_tokens(session)} == {"revoked", "expired"}
    with pytest.raises(TokenNotFoundError, match="api token list"):
        await revoke_token(session, "0" * 12, by="ann")


@pytest.mark.parametrize(
    ("name", "lifetime"), [("", None), (" ", None), ("a\n", None), ("a" * 101, None), ("ci", timedelta(0))]
)
async def test_tokens_that_are_not_made(session: Session, name: str, lifetime: timedelta | None) -> None:
    with pytest.raises(TokenRefusedError):
        await create_token(session, name=name, scope=Scope.READ, by="ann", lifetime=lifetime)
