"""How much work a JSON Schema can ask for at the most, where that can be told beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORK_MAX = 30_000
"""Places in a schema, each `$ref` counted with all that it leads to, times places in a content: 0.3 s at the worst
(measured on the 2-core machine), for which the interpreter's lock keeps others waiting."""
SCHEMA_PLACES_MAX = 300
"""Of a schema that is to be set: to check it against the schema of schemas takes 0.3 s at the worst."""

_LINE_CHARACTERS = 64
# Time that grows with the square of a list, or without bound; and what leads to where only a validator knows.
_UNBOUNDED = frozenset(
    {
        *("pattern", "patternProperties", "uniqueItems", "unevaluatedItems", "unevaluatedProperties"),
        *("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$anchor", "$id"),
    }
)


def places(value: Any, most: int) -> int:
    """The values within a JSON value, itself counted; more than `most` are not counted to their end.

    A text counts once more for each line of it: errors are made with a copy of what is wrong.
    """
    waiting, count = [value], 0
    while waiting and count <= most:
        found = waiting.pop()
        count += _weight(found)
        if isinstance(found, Mapping):
            waiting.extend(found.values())
        elif isinstance(found, list | tuple):
            waiting.extend(found)
    return count + len(waiting)


def schema_places(schema: Mapping[str, Any], most: int) -> int | None:
    """The places of a schema in which every `$ref` is written out; None: more than `most`, without end, or not known.

    A validator looks at no place of a content with a place of the schema twice, so that their product bounds its work.

    >>> schema_places({"$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}, 100)
    9
    >>> schema_places({"properties": {"a": {"$ref": "#"}}}, 100), schema_places({"pattern": "x"}, 100)
    (None, None)
    """
    waiting: list[Any] = [schema]
    count = 0
    while waiting:
        found = waiting.pop()
        count += _weight(found)
        if isinstance(found, Mapping):
            if not _UNBOUNDED.isdisjoint(found):
                return None
            waiting.extend(found.values())
            if "$ref" in found:
                target = _target(schema, found["$ref"])
                if target is None:
                    return None
                waiting.append(target)
        elif isinstance(found, list):
            waiting.extend(found)
        if count + len(waiting) > most:
            return None
    return count


def _weight(value: Any) -> int:
    return 1 + len(value) // _LINE_CHARACTERS if isinstance(value, str) else 1


def _target(schema: Mapping[str, Any], reference: Any) -> Any:
    """What a JSON pointer leads to; None where it is no plain one."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")) or "%" in reference:
        return None
    found: Any = schema
    for step in reference.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def is_cheap_schema(schema: Mapping[str, Any]) -> bool:
    """Whether a schema can be checked at once."""
    return schema_places(schema, SCHEMA_PLACES_MAX) is not None


def is_cheap_content(schema: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether a content can be checked against a schema at once."""
    of_content = places(content, WORK_MAX)
    return schema_places(schema, WORK_MAX // of_content) is not None
