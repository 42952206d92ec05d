"""What is generated from the models: the committed files, the examples, the JSON Schemas and the AsyncAPI document."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from arc_eval_db.schemas import generate
from arc_eval_db.schemas.events import EVENT_MODELS, type_name
from arc_eval_db.schemas.example_events import NOW, Example, all_examples, reason_in_name
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.topics import DEFAULT_PARTITIONS, TOPIC_OF_TYPE, TOPICS

FOLDER = Path(__file__).parents[2] / "schemas"
TYPES = [type_name(model) for model in EVENT_MODELS]
EXAMPLES = {example.path: example for example in all_examples()}

FORMATS = FormatChecker(["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    # jsonschema's own check needs a package that is not installed.
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def committed(path: str) -> Any:
    return json.loads((FOLDER / path).read_text(encoding="utf-8"))


def validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(committed(generate.schema_path(event_type)), format_checker=FORMATS)


def with_reason(examples: dict[str, Example], *, valid: bool) -> list[str]:
    return [path for path, example in examples.items() if (example.reason is None) == valid]


def test_committed_files_are_what_the_models_give() -> None:
    expected = generate.all_files()
    differing = [
        path
        for path, text in expected.items()
        if not (FOLDER / path).is_file() or (FOLDER / path).read_bytes() != text.encode()
    ]
    assert not differing, "run: make schema"


def test_no_file_stands_among_them_that_is_not_generated() -> None:
    assert generate.committed_files(FOLDER) == generate.all_files().keys()


def test_generation_is_deterministic() -> None:
    first, second = generate.all_files(), generate.all_files()
    assert list(first.items()) == list(second.items())


def test_the_command_writes_all_files_and_removes_stale_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "examples" / "arc_eval.gone.v1" / "valid-minimal.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    untouched = tmp_path / "arc_eval_db" / "kept.py"
    untouched.parent.mkdir()
    untouched.write_text("")

    assert generate.main([str(tmp_path)]) == 0

    assert f"{len(generate.all_files())} files written" in capsys.readouterr().out
    assert generate.committed_files(tmp_path) == generate.all_files().keys()
    assert untouched.is_file()


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_the_command_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("event_type", TYPES)
def test_schema_is_a_valid_schema_with_an_identity(event_type: str) -> None:
    schema = committed(generate.schema_path(event_type))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"].endswith(event_type)
    assert schema["title"] == event_type
    assert schema["$comment"] == generate.GENERATED
    assert {"id", "subject", "time", "type", "data", "sequence"} <= set(schema["required"])


@pytest.mark.parametrize("event_type", TYPES)
def test_schema_describes_fields_by_their_docstrings_and_uses_standard_formats(event_type: str) -> None:
    schema = committed(generate.schema_path(event_type))
    assert schema["properties"]["subject"]["description"] == "The execution's id."
    definition = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    assert "ids.scenario_id" in definition["properties"]["scenario_id"]["description"]  # inherited
    formats = set(_values_of("format", schema))
    assert formats == {"uuid", "date-time"}


def _values_of(key: str, node: Any) -> list[str]:
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    own = [node[key]] if isinstance(node, dict) and isinstance(node.get(key), str) else []
    return own + [value for child in children for value in _values_of(key, child)]


@pytest.mark.parametrize("event_type", TYPES)
def test_every_type_has_enough_examples(event_type: str) -> None:
    examples = [example for example in EXAMPLES.values() if example.event_type == event_type]
    assert {"minimal", "full"} <= {example.case for example in examples if example.reason is None}
    invalid = [example for example in examples if example.reason is not None]
    assert sum(example.reason is RefusalReason.INVALID_DATA for example in invalid) >= 3
    assert len({example.reason for example in invalid}) >= 3


def test_the_full_example_has_every_field_and_the_minimal_one_only_what_is_required() -> None:
    for model in EVENT_MODELS:
        name = type_name(model)
        schema = committed(generate.schema_path(name))
        definition = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
        full, minimal = (committed(f"examples/{name}/valid-{case}.json") for case in ("full", "minimal"))
        assert full.keys() == schema["properties"].keys()
        assert full["data"].keys() == definition["properties"].keys()
        assert minimal.keys() == set(schema["required"])
        assert minimal["data"].keys() == set(definition["required"])


def test_paths_of_examples_are_unique() -> None:
    assert not [path for path, count in Counter(example.path for example in all_examples()).items() if count > 1]


@pytest.mark.parametrize("path", with_reason(EXAMPLES, valid=True))
def test_valid_example_is_accepted(path: str) -> None:
    event_type = path.split("/")[1]
    validator(event_type).validate(committed(path))
    event = parse_event((FOLDER / path).read_bytes(), NOW)
    assert event.type == event_type


@pytest.mark.parametrize("path", with_reason(EXAMPLES, valid=False))
def test_invalid_example_is_refused_for_the_reason_in_its_name(path: str) -> None:
    with pytest.raises(EventRefusedError) as refusal:
        parse_event((FOLDER / path).read_bytes(), NOW)
    assert refusal.value.reason is reason_in_name(Path(path).name)
    by_schema = not validator(path.split("/")[1]).is_valid(committed(path))
    assert by_schema == EXAMPLES[path].refused_by_schema


def test_reason_in_a_file_name_can_be_read_back() -> None:
    assert reason_in_name("valid-full.json") is None
    assert reason_in_name("invalid-time_out_of_range-year-9999.json") is RefusalReason.TIME_OUT_OF_RANGE


def test_asyncapi_has_a_channel_for_each_topic_and_a_message_for_each_type() -> None:
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in document["channels"].values()} == {topic.name() for topic in TOPICS}
    assert list(document["components"]["messages"]) == TYPES
    for topic in TOPICS:
        channel = document["channels"][topic.suffix]
        kafka = channel["bindings"]["kafka"]
        assert tuple(channel["messages"]) == topic.event_types
        assert kafka["topic"] == topic.name()
        assert kafka["partitions"] == DEFAULT_PARTITIONS
        assert kafka["topicConfiguration"]["retention.ms"] == topic.retention_ms
        operation = document["operations"][f"send-{topic.suffix}"]
        assert [message["$ref"].rpartition("/")[2] for message in operation["messages"]] == list(topic.event_types)


def test_asyncapi_references_lead_somewhere() -> None:
    text = (FOLDER / "asyncapi.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"# {generate.GENERATED}")
    assert "&id" not in text, "anchors are hard to read"
    document = yaml.safe_load(text)
    references = _values_of("$ref", document)
    assert len(references) >= 3 * len(TYPES)
    for reference in references:
        if reference.startswith("#/"):
            target = document
            for key in reference.removeprefix("#/").split("/"):
                target = target[key]
        else:
            assert (FOLDER / reference).is_file()


@pytest.mark.parametrize("event_type", TYPES)
def test_asyncapi_message_carries_its_schema_and_a_valid_example(event_type: str) -> None:
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))
    message = document["components"]["messages"][event_type]
    assert message["contentType"] == generate.CONTENT_TYPE
    assert message["payload"]["schema"]["$ref"] == f"./{generate.schema_path(event_type)}"
    assert message["headers"]["properties"]["ce_type"]["const"] == event_type
    validator(event_type).validate(message["examples"][0]["payload"])
    assert TOPIC_OF_TYPE[event_type].suffix in document["channels"]


def test_docstrings_of_attributes_are_found_under_fields_only() -> None:
    assert generate.attribute_docstrings(RefusalReason)["EMPTY"] == "The record has no value (a tombstone)."
    assert generate.attribute_docstrings(RefusalReason).keys() == RefusalReason.__members__.keys()
