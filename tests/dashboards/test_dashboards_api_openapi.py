"""The OpenAPI document: it is the one that is committed, and the API does what it says."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.openapi import operations
from arc_eval_db.dashboards.api.problems import Kind
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.records import ExecutionStart, Outcome
from support.api import QUICK, answer, bearer, make_token, serving, small
from support.databases import connect
from support.regenerate import openapi_text

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, EXAMPLES_LONG = 10, 300

NOWHERE = ApiDatabase(DatabaseSettings.load(database_url="postgresql://localhost/none"))
DOCUMENT = create_app(ApiSettings(), NOWHERE).openapi()
OPERATIONS = operations(DOCUMENT)


def test_the_document_is_the_one_that_is_committed() -> None:
    assert (ROOT / "dashboards" / "openapi.json").read_text() == openapi_text(), "run: make schema"


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(
        name.replace("_", "").isalpha() and operation["description"]
        for name, operation in zip(names, OPERATIONS.values(), strict=True)
    )


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
def test_every_operation_declares_its_problems(method: str, path: str) -> None:
    responses = OPERATIONS[method, path]["responses"]
    expected = {400, 401, 413, 421, 422, 500, 503, 504} | ({403, 415} if method != "GET" else set())
    assert expected <= {int(status) for status in responses}
    for status, response in responses.items():
        if int(status) >= 400:
            name = response["$ref"].rpartition("/")[2]
            assert Kind[name.upper()].status == int(status)
    assert any(int(status) < 300 for status in responses)
    needs = {parameter["name"] for parameter in OPERATIONS[method, path].get("parameters", ()) if parameter["required"]}
    assert ("If-Match" in needs) == ("428" in responses and path != "/v1/configurations/{name}/versions")


def fuzzed(token: str, app: Any, examples_max: int) -> Any:
    """The operations of the running application, each to be tried with so many examples."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    config = SchemathesisConfig.from_dict(
        {
            "seed": 7,
            "generation": {
                "deterministic": True,
                "max-examples": examples_max,
                "database": "none",
                "with-security-parameters": False,
            },
            "checks": {
                # 404, 409 and 412 are what most of what is made up meets; 400 and 422 what no schema can say, such as
                # that a reference is one, or that a cursor is one that a page gave.
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", 304, 400, 404, 409, 412, 422, 428],
                },
                "missing_required_header": {"expected-statuses": [400, 401, 412, 422, 428]},
            },
        }
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config, headers=bearer(token))


@pytest.mark.database
@pytest.mark.parametrize(
    "examples_max", [pytest.param(EXAMPLES, id="short"), pytest.param(EXAMPLES_LONG, marks=pytest.mark.long, id="long")]
)
@pytest.mark.timeout(1800)
async def test_the_api_does_what_the_document_says(database: DatabaseSettings, examples_max: int) -> None:
    async with await connect(database) as session:
        token = await make_token(session)
    async with serving(database) as api:
        # What the document's examples name.
        for model in ("m1", "m2", "m3"):
            body: dict[str, Any] = {"content": {"model": model}}
            if model == "m1":
                await api.post("/v1/configurations", json={"name": "careful", **body}, headers=bearer(token))
            await api.post("/v1/configurations/careful/versions", json=body, headers=bearer(token))
        labels = "/v1/configurations/careful/labels/production"
        answer(await api.put(labels, json={"number": 1}, headers={**bearer(token), "If-Match": "*"}))
    async with ArcEvalDBClient(small(database)) as client:
        # What the examples have put under `careful@production` and `careful` when they compare those.
        contents: list[dict[str, Any]] = [{"model": "m3"}, {"model": "m1", "temperature": 0.2}]
        for content, number in itertools.product(contents, range(12)):
            status = "succeeded" if number % len(content) == 0 else "failed"
            execution = await client.record_execution_start(ExecutionStart(f"task {number}", content))
            await client.record_execution_outcome(Outcome(execution, status, cost_usd=number, score=number / 12))
    settings = ApiSettings(allowed_hosts=frozenset({"testserver"}))
    app = create_app(settings, ApiDatabase(small(database), retries=QUICK))
    await asyncio.to_thread(try_all, token, app, examples_max)


def try_all(token: str, app: Any, examples_max: int) -> None:
    """Every operation, in this thread: schemathesis has an event loop of its own, in which the pools live."""
    from hypothesis import HealthCheck, Phase, assume, given, settings
    from schemathesis.generation import GenerationMode
    from schemathesis.generation.hypothesis.examples import generate_one
    from schemathesis.python.asgi import shutdown_lifespans

    try:
        schema = fuzzed(token, app, examples_max)
        headers = bearer(token)
        succeeded: dict[str, Any] = {}

        def validate(case: Any) -> None:
            # Given here, the check of ignored tokens knows that this one is good.
            response = case.call_and_validate(headers=headers)
            if response.status_code < 300:
                succeeded.setdefault(case.operation.label, response.json())

        found = [result.ok() for result in schema.get_all_operations()]
        # What others need is taken away last, and the configuration after all that it has.
        for operation in sorted(found, key=lambda one: -len(one.path) if one.method == "delete" else -1000):
            for strategy in operation.get_strategies_from_examples():
                validate(generate_one(strategy))
        assert succeeded["GET /v1/comparisons"]["common_scenarios"] == 12
        for operation, mode in itertools.product(found, GenerationMode):
            if mode is GenerationMode.NEGATIVE and operation.label == "GET /healthz":
                continue  # takes nothing that could be wrong

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples_max,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def run(case: Any) -> None:
                # A parameter without a value is in no address: what is wrong with it would not be sent.
                assume(all(value not in ([], {}, None) for value in (case.query or {}).values()))
                validate(case)

            run()
        assert len(found) == len(OPERATIONS)
        # Of what is only ever refused nobody has seen an answer.
        assert {f"{method.upper()} {path}" for method, path in OPERATIONS} - succeeded.keys() == set()
    finally:
        shutdown_lifespans()
