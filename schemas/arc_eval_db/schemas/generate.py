"""What is made from the models: JSON Schemas, examples and the AsyncAPI document.

    python -m arc_eval_db.schemas.generate schemas/

The committed files are what this writes; a test compares them.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from arc_eval_db.schemas.events import EVENT_MODELS, Envelope, type_name
from arc_eval_db.schemas.example_events import all_examples
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import DEFAULT_PARTITIONS, TOPICS, Topic

GENERATED = "Generated from the models by arc_eval_db.schemas.generate; do not edit."
FOLDERS = ("json", "examples")
"""Folders in which every file is generated."""

CONTENT_TYPE = "application/cloudevents+json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BEYOND_SCHEMA = (
    f"What a schema cannot say: an event of more than {EVENT_BYTES_MAX:,} bytes, nested deeper than {JSON_DEPTH_MAX} "
    "levels, or with a time before 2020 or more than one day ahead is refused; text for people is cut at "
    f"{TEXT_BYTES_MAX:,} bytes; unknown fields are ignored."
)


def all_files() -> dict[str, str]:
    """Every generated file: its path relative to the folder `schemas/`, and its text."""
    files = {schema_path(type_name(model)): _json(json_schema(model)) for model in EVENT_MODELS}
    files |= {example.path: _json(example.document) for example in all_examples()}
    files["asyncapi.yaml"] = f"# {GENERATED}\n" + _yaml(asyncapi())
    return files


def write(folder: Path) -> int:
    """Write the files under `folder`, remove what stands among them and is no longer made, and return their number."""
    files = all_files()
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    for stale in committed_files(folder) - files.keys():
        (folder / stale).unlink()
    return len(files)


def committed_files(folder: Path) -> set[str]:
    """Relative paths of the files that stand where generated files belong."""
    paths = [path for name in FOLDERS for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix() for path in (*paths, *folder.glob("asyncapi.*"))}


def schema_path(event_type: str) -> str:
    """Where the JSON Schema of an event type is written."""
    return f"json/{event_type}.schema.json"


def json_schema(model: type[Envelope]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one event type and version."""
    name = type_name(model)
    schema = model.model_json_schema(schema_generator=_Generator)
    _standardize_formats(schema)
    definitions = schema.pop("$defs")
    _describe(schema, model)
    data_model = model.model_fields["data"].annotation
    assert isinstance(data_model, type)
    _describe(definitions[data_model.__name__], data_model)
    return {
        "$schema": _DIALECT,
        "$id": f"urn:arc-eval-db:schema:{name}",
        "$comment": GENERATED,
        "title": name,
        "description": f"{inspect.getdoc(model)} {_BEYOND_SCHEMA}",
        "type": schema["type"],
        "required": schema["required"],
        "properties": schema["properties"],
        "$defs": definitions,
    }


class _Generator(GenerateJsonSchema):
    """Says what validators in other languages understand, where pydantic's own schema does not."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False  # it would be "Scenario Id" beside scenario_id

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        hexadecimal = "[0-9a-fA-F]"
        version = schema["version"]
        pattern = f"^{hexadecimal}{{8}}-{hexadecimal}{{4}}-{version}{hexadecimal}{{3}}-[89abAB]{hexadecimal}{{3}}-"
        return {"type": "string", "pattern": f"{pattern}{hexadecimal}{{12}}$"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:  # noqa: ARG002 - as above
        # Most validators take a format for a remark.
        pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
        return {"type": "string", "format": "date-time", "pattern": pattern}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        result = super().dict_schema(schema)
        # `patternProperties` lets keys that do not match pass unchecked.
        for pattern, values in result.pop("patternProperties", {}).items():
            result["propertyNames"] = {**result.get("propertyNames", {}), "pattern": pattern}
            result["additionalProperties"] = values
        return result


def _standardize_formats(node: Any) -> None:
    """Replace pydantic's "uuid5" and "uuid7", which are no formats of JSON Schema; the patterns say the version."""
    if isinstance(node, dict):
        if str(node.get("format")).startswith("uuid"):
            node["format"] = "uuid"
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _standardize_formats(child)


def _describe(schema: dict[str, Any], model: type) -> None:
    """Add the fields' docstrings, which exist in the source only."""
    docstrings: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            docstrings |= attribute_docstrings(ancestor)
    for name, field in schema["properties"].items():
        if name in docstrings:
            field["description"] = docstrings[name]


def attribute_docstrings(cls: type) -> dict[str, str]:
    """The texts that stand under a class's fields, or under an enumeration's members."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, following in pairwise(definition.body):
        if not isinstance(statement, ast.AnnAssign | ast.Assign):
            continue
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            found[target.id] = " ".join(following.value.value.split())
    return found


def reasons_table() -> str:
    """The refusal reasons as a Markdown table, for `docs/events.md`."""
    docstrings = attribute_docstrings(RefusalReason)
    rows = [f"| `{reason}` | {docstrings[reason.name]} |" for reason in RefusalReason]
    return "\n".join(["| reason | meaning |", "| --- | --- |", *rows])


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: topics as channels, event types as messages."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "arc-eval-db events",
            "version": "1.0.0",
            "description": (
                "What sandboxes send and consumers read: CloudEvents 1.0 in structured JSON, one event a record. "
                "A compatible change keeps an event type's version; any other is a new type. The first part of each "
                "topic's name can be changed with ARC_EVAL_TOPIC_PREFIX."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.suffix: _channel(topic) for topic in TOPICS},
        "operations": {f"send-{topic.suffix}": _operation(topic) for topic in TOPICS},
        "components": {"messages": {type_name(model): _message(model) for model in EVENT_MODELS}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    config = topic.config()
    return {
        "address": topic.name(),
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.event_types},
        "bindings": {
            "kafka": {
                "topic": topic.name(),
                "partitions": DEFAULT_PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": config["cleanup.policy"].split(","),
                    "retention.ms": int(config["retention.ms"]),
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{topic.suffix}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"A sandbox sends: {topic.description}",
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in topic.event_types],
    }


def _message(model: type[Envelope]) -> dict[str, Any]:
    name = type_name(model)
    minimal = next(example for example in all_examples() if example.event_type == name and example.case == "minimal")
    return {
        "name": name,
        "title": model.__name__,
        "summary": inspect.getdoc(model),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "description": "They repeat what the payload says, so that tools can filter without parsing.",
            "properties": {
                "ce_type": {"type": "string", "const": name},
                "ce_id": {"type": "string", "format": "uuid", "description": "The event's id."},
            },
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{schema_path(name)}"},
        },
        "correlationId": {"description": "The execution's id.", "location": "$message.payload#/subject"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": "The execution's id, as in `subject`."},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"name": "minimal", "payload": minimal.document}],
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _yaml(document: dict[str, Any]) -> str:
    import yaml  # noqa: PLC0415 - only those who generate have it

    # Through JSON: objects that are used twice would become YAML anchors.
    copied = json.loads(json.dumps(document))
    text: str = yaml.safe_dump(copied, sort_keys=False, allow_unicode=True, width=120)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files to the folder that is named on the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m arc_eval_db.schemas.generate FOLDER\n")
        return 2
    sys.stdout.write(f"{write(Path(arguments[0]))} files written to {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
