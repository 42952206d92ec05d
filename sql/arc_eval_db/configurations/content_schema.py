"""A JSON Schema for the content of a configuration: checked when it is set, enforced when content is pushed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from arc_eval_db.configurations.content import kind_of
from arc_eval_db.configurations.errors import ContentSchemaError
from arc_eval_db.configurations.paths import json_path

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
PROBLEMS_MAX = 5
"""So many problems are named; the others are counted."""
_COUNTED_MAX = 100
_EXPECTED_CHARACTERS_MAX = 120
_REFERENCES = ("$ref", "$dynamicRef")
_UNEVALUATED = re.compile(r"\((.*) (?:was|were) (?:unexpected|unevaluated and invalid)\)", re.DOTALL)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check that a schema can be enforced: Draft 2020-12, valid, and complete in itself.

    Raises:
        ContentSchemaError: it is not. A `$ref` to another document is never fetched.
    """
    if str(schema.get("$schema", _DRAFT)).rstrip("#") != _DRAFT:
        raise ContentSchemaError(f"$.$schema: only Draft 2020-12 is enforced; write {_DRAFT}, or leave it out")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ContentSchemaError(f"{json_path(list(error.absolute_path))}: {_problem(error)}") from error
    except RecursionError as error:
        raise ContentSchemaError("the schema is nested too deep") from error
    resource = DRAFT202012.create_resource(schema)
    registry: Registry[Any] = Registry().with_resource("", resource).crawl()
    _check_references(resource, registry.resolver_with_root(resource))
    # Definitions that double with every `$ref` take too long even for this: whoever waits ends it.
    Draft202012Validator(schema, registry=Registry()).is_valid({})


def _is_schema(value: Mapping[str, Any] | bool) -> bool:
    """Not everything in a schema is one, such as what stands under `const` or under a name that means nothing."""
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError:
        return False
    return True


def _check_references(root: Resource[Any], resolver: Any) -> None:
    """Every `$ref` leads to a schema, also from there on, and none back to where it came from at the same value."""
    seen: dict[int, list[int]] = {}
    """Of each schema, by `id`: those that are asked about the same value."""
    waiting = [(root, resolver)]
    while waiting:
        resource, resolver = waiting.pop()
        contents = resource.contents
        if not isinstance(contents, Mapping) or id(contents) in seen:
            continue
        seen[id(contents)] = [id(one) for one in _of_the_same_value(contents)]
        for name in _REFERENCES:
            if (reference := contents.get(name)) is not None:
                found = _looked_up(name, reference, resolver)
                seen[id(contents)].append(id(found.contents))
                waiting.append((DRAFT202012.create_resource(found.contents), found.resolver))
        waiting.extend((inner, resolver.in_subresource(inner)) for inner in resource.subresources())
    try:
        TopologicalSorter(seen).prepare()
    except CycleError as error:
        raise ContentSchemaError("a $ref leads back to itself without end") from error


def _looked_up(name: str, reference: str, resolver: Any) -> Any:
    try:
        found = resolver.lookup(reference)
    # ValueError: what points into a list by a name.
    except (Unresolvable, ValueError) as error:
        raise ContentSchemaError(
            f"{name} {_cut(repr(reference))} is not in the schema, and others are never fetched; put it under $defs"
        ) from error
    if not isinstance(found.contents, Mapping | bool) or not _is_schema(found.contents):
        raise ContentSchemaError(f"{name} {_cut(repr(reference))} leads to what is no schema; put one under $defs")
    return found


def _of_the_same_value(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Schemas in a schema that are asked about the same value as it, and not about a part of it."""
    for name in ("not", "if", "then", "else"):
        if name in schema:
            yield schema[name]
    for name in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(name, ())
    yield from schema.get("dependentSchemas", {}).values()


def unenforceable(configuration: str, why: str) -> ContentSchemaError:
    """That a schema which was set, perhaps by an earlier version, cannot be enforced."""
    return ContentSchemaError(
        f"the schema of {configuration} {why}; set another: arc-eval-db config schema set {configuration} FILE"
    )


def content_problems(configuration: str, schema: str, content: Mapping[str, Any]) -> list[str]:
    """What does not fit in a content, by JSON path and without a value; the first problems, and how many more.

    Args:
        schema: JSON text.

    Raises:
        ContentSchemaError: the schema asks for something that has no end, or that is not there.
    """
    validator = _validator(schema)
    try:
        problems = [
            f"{json_path(list(error.absolute_path))}: {_problem(error)}"
            for error in islice(validator.iter_errors(content), _COUNTED_MAX)
        ]
    except RecursionError as error:
        raise unenforceable(configuration, "leads back to itself without end") from error
    except Unresolvable as error:
        raise unenforceable(configuration, "refers to what is not in it, and others are never fetched") from error
    more = len(problems) - PROBLEMS_MAX
    at_least = "at least " if len(problems) == _COUNTED_MAX else ""
    return problems[:PROBLEMS_MAX] + ([f"and {at_least}{more} more"] if more > 0 else [])


def _multiple_of(_: Any, divisor: float, instance: Any, __: Any) -> Iterator[ValidationError]:
    """As the numbers are written: 0.3 is a multiple of 0.1, which it is not as a binary fraction."""
    is_number = isinstance(instance, int | float) and not isinstance(instance, bool)
    if is_number and (Fraction(repr(instance)) / Fraction(repr(divisor))).denominator != 1:
        yield ValidationError("")


_Validator: Any = extend(Draft202012Validator, {"multipleOf": _multiple_of})  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # A registry of its own that can retrieve nothing: the default one fetches a remote $ref.
    return _Validator(_saying_where(orjson.loads(schema)), registry=Registry())


_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"const", "enum", "default", "examples"})


def _saying_where(schema: Any) -> Any:
    """The same schema: of a `not` the validator says which property it is about, and of a `false` it does not."""
    if isinstance(schema, list):
        return [_saying_where(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value
        if name in _DATA
        else {key: {"not": {}} if one is False else _saying_where(one) for key, one in value.items()}
        if name in _MAPS and isinstance(value, dict)
        else _saying_where(value)
        for name, value in schema.items()
    }


def _problem(error: ValidationError | SchemaError) -> str:
    """What is wrong, without the value: contents hold prompts, and sometimes what should be in a vault."""
    expected: Any = error.validator_value
    instance: Any = error.instance
    # None: a schema that is `false`.
    broken: Any = error.validator
    match broken:
        case None:
            return "may not be there, or in this place"
        case "type":
            types = expected if isinstance(expected, Sequence) and not isinstance(expected, str) else [expected]
            return f"must be of type {' or '.join(map(str, types))}, and is {kind_of(instance)}"
        case "required":
            return f"lacks {', '.join(repr(name) for name in expected if name not in instance)}"
        case "additionalProperties" if isinstance(error.schema, Mapping) and isinstance(instance, Mapping):
            return f"may not have {_named(_additional(error.schema, instance))}"
        case "unevaluatedProperties":
            # Which they are only the message says: it quotes names, and no value.
            names = _UNEVALUATED.search(error.message)
            what = "may not have" if expected is False else "does not meet unevaluatedProperties with"
            return f"{what} {_cut(names[1]) if names else 'some of its properties'}"
        case "not" if expected == {}:
            return "may not be there"
        case "format" if expected == "regex":
            return "is no regular expression that Python reads"
        case "enum":
            return f"must be one of {_short(expected)}"
        case keyword:
            return f"does not meet {keyword} {_short(expected)}"


def _additional(schema: Mapping[str, Any], instance: Mapping[str, Any]) -> list[str]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [name for name in instance if name not in known and not any(re.search(one, name) for one in patterns)]


def _named(names: Sequence[str]) -> str:
    more = len(names) - PROBLEMS_MAX
    return ", ".join(map(repr, names[:PROBLEMS_MAX])) + (f" and {more} more" if more > 0 else "")


def _short(expected: Any) -> str:
    return _cut(orjson.dumps(expected).decode())


def _cut(text: str) -> str:
    return text if len(text) <= _EXPECTED_CHARACTERS_MAX else text[:_EXPECTED_CHARACTERS_MAX] + "…"
