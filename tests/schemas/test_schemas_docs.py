"""The page about events and the examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
import json
import pkgutil
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

from arc_eval_db import schemas
from arc_eval_db.schemas import generate, ids
from arc_eval_db.schemas.events import EVENT_MODELS, Envelope, type_name
from arc_eval_db.schemas.example_events import NOW
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, NAME_CHARACTERS_MAX, TEXT_BYTES_MAX
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.topics import TOPIC_OF_TYPE

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
MODULES = [module.name for module in pkgutil.iter_modules(schemas.__path__)]


def test_reasons_are_those_of_the_code() -> None:
    assert generate.reasons_table() in PAGE


@pytest.mark.parametrize("model", EVENT_MODELS, ids=type_name)
def test_table_of_types_names_every_field(model: type[Envelope]) -> None:
    name = type_name(model)
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    assert f"`{TOPIC_OF_TYPE[name].name()}`" in row
    _, _, _, required, optional, _ = row.split("|")
    data = generate.json_schema(model)["$defs"]
    (fields,) = [definition for definition in data.values() if "properties" in definition]
    common = {"configuration_version_id", "scenario_id", "simulation_id"}
    for field in fields["properties"].keys() - common:
        where, elsewhere = (required, optional) if field in fields["required"] else (optional, required)
        assert f"`{field}`" in where
        assert f"`{field}`" not in elsewhere


def test_table_of_the_envelope_names_every_attribute() -> None:
    for name, field in Envelope.model_fields.items():
        assert f"| `{name}` | {'required' if field.is_required() else 'optional'} |" in PAGE


def test_limits_are_those_of_the_code() -> None:
    for limit in (
        f"event: {EVENT_BYTES_MAX:,} bytes",
        f"text: {TEXT_BYTES_MAX:,} bytes",
        f"name: {NAME_CHARACTERS_MAX} characters",
        f"nesting: {JSON_DEPTH_MAX} levels",
    ):
        assert limit in PAGE


def test_ids_are_what_the_code_computes() -> None:
    canonical = '{"model":"m1","name":"careful","temperature":0.2}'
    content = json.loads(canonical)
    assert f"    {canonical}\n    {ids.configuration_hash(content)}\n" in PAGE
    for computed in (
        ids.NAMESPACE,
        ids.scenario_id("refund-flow"),
        ids.simulation_id("nightly"),
        ids.configuration_id("careful"),
        ids.configuration_version_id(content),
    ):
        assert f"`{computed}`" in PAGE


def test_the_event_on_the_page_is_valid() -> None:
    start = PAGE.index("    {\n")
    document = textwrap.dedent(PAGE[start : PAGE.index("\n    }\n", start) + 6])
    event = parse_event(document.encode(), NOW)
    assert event.data.scenario_id == ids.scenario_id("refund-flow")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(import_module(f"arc_eval_db.schemas.{name}"))
    assert result.failed == 0


def test_there_are_examples_in_docstrings() -> None:
    attempted = [doctest.testmod(import_module(f"arc_eval_db.schemas.{name}")).attempted for name in MODULES]
    assert sum(attempted) >= 4
