"""Pages: no row twice and none lost, whatever is added in between; a cursor is good for its own query only."""

from __future__ import annotations

import base64
import random
from typing import Any

import httpx
import orjson
import pytest

from arc_eval_db.database import DatabaseSettings, Session
from support.api import answer, bearer, make_token, problem, serving

pytestmark = pytest.mark.database


async def fill(api: httpx.AsyncClient, names: list[str]) -> None:
    for name in names:
        answer(await api.post("/v1/configurations", json={"name": name, "content": {"of": name}}), 201)


async def pages(api: httpx.AsyncClient, address: str, between: Any = None) -> list[list[Any]]:
    """All pages, with something done before each next one."""
    found: list[list[Any]] = []
    following: str | None = address
    while following:
        response = await api.get(following)
        page = answer(response)
        found.append(page["items"])
        following = page["next"]
        link = f'<{following}>; rel="next"' if following else None
        assert response.headers.get("link") == link
        if between is not None:
            await between()
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_rows_that_stay_are_seen_once_under_inserts(api: httpx.AsyncClient, seed: int) -> None:
    generator = random.Random(seed)
    names = [f"{number:03}" for number in range(0, 40, 2)]
    await fill(api, names)
    free = [f"{number:03}" for number in range(1, 60, 2)]
    generator.shuffle(free)

    async def between() -> None:
        await fill(api, [free.pop()])

    seen = [row["name"] for page in await pages(api, "/v1/configurations?limit=3", between) for row in page]
    assert seen == sorted(set(seen))
    assert set(names) <= set(seen)


async def test_what_comes_first_is_not_disturbed_by_what_comes_later(api: httpx.AsyncClient) -> None:
    """Versions, the audit trail and deployments: the latest first, by numbers that only grow."""
    await fill(api, ["careful"])
    number = 0

    async def add() -> None:
        nonlocal number
        number += 1
        answer(await api.post("/v1/configurations/careful/versions", json={"content": {"n": number}}), 201)
        place = {"deployment": f"d{number}", "environment": "main"}
        answer(await api.post("/v1/deployments", json={"version": "careful", **place}), 201)

    for _ in range(7):
        await add()
    for address, key in (
        ("/v1/configurations/careful/versions?limit=2", "number"),
        ("/v1/deployments?limit=2", "id"),
        ("/v1/audit?limit=3&configuration=careful", "id"),
    ):
        before = [row[key] for page in await pages(api, address.replace("limit=2", "limit=200")) for row in page]
        during = [row[key] for page in await pages(api, address, add) for row in page]
        assert during == before, address


async def test_a_page_that_is_just_full_is_the_last(api: httpx.AsyncClient) -> None:
    await fill(api, ["a", "b", "c/d ü&="])
    found = await pages(api, "/v1/configurations?limit=1&text=")
    assert [[row["name"] for row in page] for page in found] == [["a"], ["b"], ["c/d ü&="]]
    versions = await pages(api, "/v1/configurations/c%2Fd%20%C3%BC%26%3D/versions?limit=1")
    assert [[row["number"] for row in page] for page in versions] == [[1]]
    await api.post("/v1/configurations/c%2Fd%20%C3%BC%26%3D/versions", json={"content": {}})
    versions = await pages(api, "/v1/configurations/c%2Fd%20%C3%BC%26%3D/versions?limit=1")
    assert [[row["number"] for row in page] for page in versions] == [[2], [1]]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5"])
async def test_limits_are_bounded(api: httpx.AsyncClient, limit: str) -> None:
    found = problem(await api.get("/v1/configurations", params={"limit": limit}), 422, "invalid")
    assert found["errors"][0]["path"] == "query.limit"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


async def test_a_cursor_is_good_for_its_own_query_only(database: DatabaseSettings, session: Session) -> None:
    token = bearer(await make_token(session))
    async with serving(database) as api:
        api.headers.update(token)
        await fill(api, ["a", "b", "c"])
        following = answer(await api.get("/v1/configurations?limit=1&text="))["next"]
        cursor = httpx.URL(following).params["cursor"]
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))[0]

        async def ask(**parameters: str) -> httpx.Response:
            return await api.get("/v1/configurations", params={"text": "", **parameters})

        # Another size of page is the same query.
        assert [row["name"] for row in answer(await ask(cursor=cursor, limit="2"))["items"]] == ["b", "c"]
        for response in (
            await ask(cursor=cursor, archived="true"),
            await ask(cursor=cursor, text="x"),
            await api.get("/v1/audit", params={"cursor": cursor}),
        ):
            assert "another query" in problem(response, 422, "invalid")["detail"]
        bad = ("", "x", "====", "é", encoded(1), encoded([key]), encoded([key, 1]), encoded([key, "\x00"]), encoded({}))
        for one in bad:
            assert problem(await ask(cursor=one), 422, "invalid")["errors"][0]["path"] == "query.cursor"


@pytest.mark.parametrize("position", [True, -1, 2**31, 2**63, "1", 1.0])
async def test_positions_that_no_page_gave(api: httpx.AsyncClient, position: Any) -> None:
    await fill(api, ["a"])
    await api.post("/v1/configurations/a/versions", json={"content": {}})
    following = answer(await api.get("/v1/audit?limit=1"))["next"]
    key = orjson.loads(base64.urlsafe_b64decode(httpx.URL(following).params["cursor"] + "=="))[0]
    problem(await api.get("/v1/audit", params={"cursor": encoded([key, position])}), 422, "invalid")
