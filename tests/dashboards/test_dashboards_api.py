"""The admin API, noun by noun: what it takes and gives, and who wins where two change the same."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import jsonpatch
import pytest

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.writer import BatchWriter, LoggedEvent
from support.api import ANY, answer, bearer, make_token, problem, serving
from support.events import lifecycle

pytestmark = pytest.mark.database

CAREFUL = "/v1/configurations/careful"
M1, M2 = {"model": "m1", "temperature": 0.2}, {"model": "m2", "tools": ["a"]}


async def create(api: httpx.AsyncClient, name: str = "careful", content: Any = M1, **fields: Any) -> httpx.Response:
    return await api.post("/v1/configurations", json={"name": name, "content": content, **fields})


async def test_a_configuration_is_created_read_described_and_archived(api: httpx.AsyncClient) -> None:
    created = await create(api, description="asks first", labels=["candidate"])
    body = answer(created, 201)
    assert created.headers["location"] == CAREFUL
    assert body["version"]["content"] == M1
    assert body["version"]["id"] == str(ids.configuration_version_id(M1))
    assert body["configuration"]["labels"] == {"candidate": 1}
    problem(await create(api), 409, "conflict")

    read = await api.get(CAREFUL)
    assert answer(read) == body["configuration"]
    assert read.headers["etag"] == created.headers["etag"] == f'"{body["configuration"]["revision"]}"'
    described = await api.patch(CAREFUL, json={"description": "new"}, headers={"If-Match": read.headers["etag"]})
    assert answer(described)["description"] == "new"
    assert described.headers["etag"] != read.headers["etag"]

    gone = await api.delete(CAREFUL, headers={"If-Match": described.headers["etag"]})
    assert answer(gone)["archived_at"]
    assert answer(await api.get("/v1/configurations"))["items"] == []
    assert len(answer(await api.get("/v1/configurations?archived=true"))["items"]) == 1
    problem(await api.patch(CAREFUL, json={"description": "x"}, headers=ANY), 409, "conflict")
    back = await api.post(f"{CAREFUL}/unarchive", headers={"If-Match": gone.headers["etag"]})
    assert answer(back)["archived_at"] is None


async def test_a_configuration_may_have_no_version_yet(api: httpx.AsyncClient) -> None:
    created = answer(await api.post("/v1/configurations", json={"name": "empty"}), 201)
    assert (created["version"], created["configuration"]["latest_number"]) == (None, None)
    assert "has no version yet" in problem(await api.get("/v1/versions/empty"), 404, "not-found")["detail"]


async def test_the_same_content_is_the_same_version(api: httpx.AsyncClient) -> None:
    await create(api)
    versions = f"{CAREFUL}/versions"
    added = await api.post(versions, json={"content": M2})
    assert added.headers["location"] == f"{versions}/2"
    assert answer(added, 201)["is_new"] is True
    again = answer(await api.post(versions, json={"content": {"tools": ["a"], "model": "m2"}}))
    assert (again["is_new"], again["version"]) == (False, answer(added, 201)["version"])
    assert again["configuration"]["revision"] == answer(added, 201)["configuration"]["revision"]
    problem(await api.post("/v1/configurations/none/versions", json={"content": M1}), 404, "not-found")
    # Labels move with it: then it must be said what was read.
    problem(await api.post(versions, json={"content": M2, "labels": ["p"]}), 428, "precondition-required")
    moved = await api.post(versions, json={"content": M2, "labels": ["p"]}, headers={"If-Match": added.headers["etag"]})
    assert answer(moved)["configuration"]["labels"] == {"p": 2}


@pytest.mark.parametrize(
    ("address", "is_fixed"),
    [
        (f"{CAREFUL}/versions/1", True),
        ("/v1/versions/careful@1", True),
        (f"/v1/versions/{ids.configuration_version_id(M1)}", True),
        (f"{CAREFUL}/versions/production", False),
        (f"{CAREFUL}/versions/latest", False),
        ("/v1/versions/careful", False),
        ("/v1/versions/careful@production", False),
        (f"/v1/versions/sha256:{ids.configuration_hash(M1)[:10]}", False),
    ],
)
async def test_a_version_never_changes(api: httpx.AsyncClient, address: str, is_fixed: bool) -> None:
    await create(api, labels=["production"])
    read = await api.get(address)
    version = answer(read)
    assert (version["reference"], version["content"], "labels" in version) == ("careful@1", M1, False)
    assert read.headers["etag"] == f'"{ids.configuration_hash(M1)}"'
    caching = "private, max-age=31536000, immutable" if is_fixed else "private, no-cache"
    for tags in (read.headers["etag"], f"W/{read.headers['etag']}", f'"x", {read.headers["etag"]}', "*"):
        unchanged = await api.get(address, headers={"If-None-Match": tags})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == read.headers["etag"]
    assert read.headers["cache-control"] == unchanged.headers["cache-control"] == caching
    assert (await api.get(address, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_what_may_become_another_answer_has_no_tag(api: httpx.AsyncClient, session: Session) -> None:
    unknown = ids.version_id_of_hash("0" * 64)
    await session.execute("INSERT INTO configuration_versions (id) VALUES ($1)", unknown)
    read = await api.get(f"/v1/versions/{unknown}")
    assert answer(read)["content"] is None
    assert "etag" not in read.headers
    assert read.headers["cache-control"] == "private, no-cache"
    await create(api)
    problem(await api.get("/v1/diffs", params={"before": str(unknown), "after": "careful"}), 409, "conflict")


async def test_labels_move_at_once(api: httpx.AsyncClient) -> None:
    await create(api)
    tag = (await api.post(f"{CAREFUL}/versions", json={"content": M2})).headers["etag"]
    moved = await api.put(f"{CAREFUL}/labels/team/x", json={"number": 1}, headers=ANY)
    problem(moved, 404, "not-found")  # a slash that belongs to the label is encoded
    label = f"{CAREFUL}/labels/team%2Fx"
    moved = await api.put(label, json={"number": 1}, headers={"If-Match": tag})
    assert (answer(moved)["label"], answer(moved)["number"], answer(moved)["previous_number"]) == ("team/x", 1, None)
    # The answer was lost, and the call is made again: nothing is to be done.
    again = await api.put(label, json={"number": 1}, headers={"If-Match": tag})
    assert again.headers["etag"] == moved.headers["etag"]
    stale = problem(await api.put(label, json={"number": 2}, headers={"If-Match": tag}), 412, "stale")
    assert f'"{stale["current_revision"]}"' == moved.headers["etag"]
    either = {"If-Match": f"{tag}, {moved.headers['etag']}"}
    assert answer(await api.put(label, json={"number": 2}, headers=either))["previous_number"] == 1
    labels = await api.get(f"{CAREFUL}/labels")
    assert answer(labels) == {"labels": {"team/x": 2}}
    removed = await api.delete(label, headers={"If-Match": labels.headers["etag"]})
    assert (answer(removed)["number"], answer(removed)["previous_number"]) == (None, 2)
    problem(await api.put(label, json={"number": 9}, headers=ANY), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("PATCH", CAREFUL, {"description": "x"}),
        ("DELETE", CAREFUL, None),
        ("POST", f"{CAREFUL}/unarchive", None),
        ("PUT", f"{CAREFUL}/labels/production", {"number": 1}),
        ("DELETE", f"{CAREFUL}/labels/candidate", None),
        ("PUT", f"{CAREFUL}/content-schema", {"content_schema": {"type": "object"}}),
        ("DELETE", f"{CAREFUL}/content-schema", None),
    ],
)
async def test_a_change_says_what_it_is_made_for(
    api: httpx.AsyncClient, session: Session, method: str, address: str, body: Any
) -> None:
    await create(api, labels=["candidate"])
    await api.put(f"{CAREFUL}/content-schema", json={"content_schema": {}}, headers=ANY)
    if address.endswith("unarchive"):
        await api.delete(CAREFUL, headers=ANY)
    before = answer(await api.get(CAREFUL))
    current = f'"{before["revision"]}"'
    problem(await api.request(method, address, json=body), 428, "precondition-required")
    for stale in (f'"{before["revision"] - 1}"', f"W/{current}", '"x"', f'"{"9" * 30}"'):
        problem(await api.request(method, address, json=body, headers={"If-Match": stale}), 412, "stale")
    for unreadable in ("7", "", '"a', '"a" "b"'):
        answered = await api.request(method, address, json=body, headers={"If-Match": unreadable})
        problem(answered, 400, "malformed-request")
    assert answer(await api.get(CAREFUL)) == before
    changed = await api.request(method, address, json=body, headers={"If-Match": current})
    assert answer(changed)
    assert changed.headers["etag"] == (await api.get(CAREFUL)).headers["etag"] != current


async def test_of_two_who_have_read_the_same_one_wins(api: httpx.AsyncClient) -> None:
    await create(api)
    read = (await api.get(CAREFUL)).headers["etag"]
    changes = [
        api.patch(CAREFUL, json={"description": f"by {number}"}, headers={"If-Match": read}) for number in range(8)
    ]
    statuses = sorted(response.status_code for response in await asyncio.gather(*changes))
    assert statuses == [200] + [412] * 7


async def test_a_content_must_fit_the_schema(api: httpx.AsyncClient) -> None:
    created = await create(api)
    assert answer(await api.get(f"{CAREFUL}/content-schema")) == {"content_schema": None}
    schema = {"type": "object", "properties": {"temperature": {"type": "number", "maximum": 1}}}
    address, tag = f"{CAREFUL}/content-schema", {"If-Match": created.headers["etag"]}
    bad = await api.put(address, json={"content_schema": {"$ref": "https://x.test/"}}, headers=tag)
    assert problem(bad, 422, "invalid")["errors"][0]["path"].startswith("$.content_schema")
    assert answer(await api.put(address, json={"content_schema": schema}, headers=tag))["has_content_schema"]
    read = await api.get(address)
    assert answer(read) == {"content_schema": schema}
    assert (await api.get(address, headers={"If-None-Match": read.headers["etag"]})).status_code == 304
    refused = problem(await api.post(f"{CAREFUL}/versions", json={"content": {"temperature": 98765}}), 422, "invalid")
    assert refused["errors"] == [{"path": "$.content.temperature", "message": "does not meet maximum 1"}]
    assert "98765" not in str(refused), "a content's values are nobody else's"
    cleared = await api.delete(address, headers={"If-Match": read.headers["etag"]})
    assert answer(cleared)["has_content_schema"] is False


async def test_deployments(api: httpx.AsyncClient) -> None:
    await create(api, labels=["production"])
    await api.post(f"{CAREFUL}/versions", json={"content": M2})
    place = {"deployment": "ap-1f0c", "environment": "main"}
    first = answer(await api.post("/v1/deployments", json={"version": "careful@production", **place}), 201)
    assert (first["is_new"], first["deployment"]["number"]) == (True, 1)
    again = answer(await api.post("/v1/deployments", json={"version": "careful@1", **place}))
    assert (again["is_new"], again["deployment"]) == (False, first["deployment"])
    replaced = await api.post("/v1/deployments", json={"version": "careful@2", "replace": True, **place})
    assert answer(replaced, 201)["deployment"]["number"] == 2
    found = answer(await api.get("/v1/deployments", params={"current": "true", **place}))["items"]
    assert [one["number"] for one in found] == [2]
    at = {"at": first["deployment"]["deployed_at"]}
    assert [one["number"] for one in answer(await api.get("/v1/deployments", params=at))["items"]] == [1]
    problem(await api.get("/v1/deployments", params={**at, "since": at["at"]}), 422, "invalid")
    ended = answer(await api.post("/v1/deployments/end", json={"version": "careful", **place}))
    assert ended == {"numbers": [2]}
    problem(await api.post("/v1/deployments", json={"version": "none@1", **place}), 404, "not-found")


async def test_diffs(api: httpx.AsyncClient) -> None:
    await create(api)
    await api.post(f"{CAREFUL}/versions", json={"content": M2})
    asked = {"before": "careful@1", "after": "careful@2"}
    diff = answer(await api.get("/v1/diffs", params=asked))
    assert (diff["is_equal"], diff["before"]["reference"]) == (False, "careful@1")
    assert [(one["kind"], one["place"]) for one in diff["changes"]] == [
        ("changed", "$.model"),
        ("removed", "$.temperature"),
        ("added", "$.tools"),
    ]
    assert "patch" not in diff
    patch = answer(await api.get("/v1/diffs", params={**asked, "format": "patch"}))["patch"]
    assert jsonpatch.apply_patch(M1, patch) == M2
    text = answer(await api.get("/v1/diffs", params={**asked, "format": "text"}))["text"]
    assert text[:2] == ["--- careful@1", "+++ careful@2"]
    same = answer(await api.get("/v1/diffs", params={**asked, "after": "careful@1"}))
    assert (same["is_equal"], same["changes"]) == (True, [])
    for content in ({"a": 1}, {"a": True}):
        await api.post(f"{CAREFUL}/versions", json={"content": content})
    typed = answer(await api.get("/v1/diffs", params={"before": "careful@3", "after": "careful@4"}))
    assert (typed["is_equal"], len(typed["changes"])) == (False, 1), "to Python, true is 1"


async def test_search(api: httpx.AsyncClient) -> None:
    await create(api, "careful", M1, labels=["production"])
    await create(api, "bold", M2, description="does not ask")

    async def names(**conditions: str) -> list[str]:
        items = answer(await api.get("/v1/configurations", params=conditions))["items"]
        return [item["name"] for item in items]

    assert await names() == ["bold", "careful"]
    assert await names(text="ASK") == ["bold"]
    assert await names(label="production") == ["careful"]
    assert await names(containing='{"model": "m2"}') == ["bold"]
    assert await names(containing='{"model": "m2"}', text="careful") == []
    for bad in ("{", "[1]", "1", '{"a": 1, "a": 2}', '{"a": "\\u0000"}'):
        response = await api.get("/v1/configurations", params={"containing": bad})
        assert response.status_code in (400, 422), bad
        assert response.json()["detail"].startswith("query.containing")


async def test_who_did_it_is_in_the_audit_trail(database: DatabaseSettings, session: Session) -> None:
    token = await make_token(session, name="release job")
    async with serving(database) as api:
        await api.post("/v1/configurations", json={"name": "careful"}, headers=bearer(token))
        entries = answer(await api.get("/v1/audit?configuration=careful", headers=bearer(token)))["items"]
        assert [(one["action"], one["actor"]) for one in entries] == [("created", f"release job (token {token[5:17]})")]
        problem(await api.get("/v1/audit?configuration=none", headers=bearer(token)), 404, "not-found")


async def test_names_of_every_kind(api: httpx.AsyncClient) -> None:
    for name in ("a/b", "a/versions", "50%", "a%2Fb", "ü@x", "a b", "a?b#c", "versions"):
        created = await create(api, name)
        assert answer(created, 201)["configuration"]["name"] == name
        read = answer(await api.get(created.headers["location"]))
        assert read["name"] == name
        history = answer(await api.get(f"{created.headers['location']}/versions"))["items"]
        assert [one["configuration"] for one in history] == [name]


async def test_comparisons(api: httpx.AsyncClient, session: Session) -> None:
    runs = [event for _ in range(2) for event in lifecycle()]
    import orjson

    async with session.transaction():
        await BatchWriter().write(session, [LoggedEvent(parse_event(orjson.dumps(one))) for one in runs])
    ran = await session.fetch_value("SELECT configuration_version_id::text FROM outcomes LIMIT 1")
    await create(api, "other", M2)
    report = answer(await api.get("/v1/comparisons", params={"a": ran, "b": "other", "metric": "score"}))
    assert report["verdict"]["kind"] == "too_few_runs"
    assert (report["a"]["runs"], report["b"]["runs"], report["options"]["metric"]) == (2, 0, "score")
    problem(await api.get("/v1/comparisons", params={"a": "other", "b": "other@1"}), 422, "invalid")
    await create(api, "second name", M2)
    report = answer(await api.get("/v1/comparisons", params={"a": ran, "b": "second name"}))
    assert report["b"]["name"] == "second name@1"
    problem(await api.get("/v1/comparisons", params={"a": "other", "b": "none"}), 404, "not-found")
