"""Reads many events quickly, for whoever writes tens of thousands of rows a second.

What is read here is read by the models' own rules, and most events are: those that the producer SDK makes. The others,
and whatever is wrong, are left to `parsing.parse_event`, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import orjson
from pydantic_core import SchemaValidator

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import EVENT_MODELS, Event, ExecutionContext, ExecutionStarted, type_name
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.json_fields import check_exact_json, check_json
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, TEXT_BYTES_MAX, TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.text import truncate

PlainEvent = dict[str, Any]
"""An event's attributes by their names, `data` among them as a dictionary: ids are text, the time is in UTC, and JSON
objects are JSON text or, where empty, None; a configuration is JSON text also where it is empty."""

# The fields with JSON objects, by the event type, but for the configuration: an empty one is also one.
_OBJECTS: dict[str, tuple[str, ...]] = {
    type_name(model): tuple(
        name
        for name, part in model.model_fields["data"].annotation.model_fields.items()  # type: ignore[union-attr]
        if "dict[" in str(part.annotation) and name != "configuration"
    )
    for model in EVENT_MODELS
}
CONTEXT_IDS = ("configuration_version_id", "scenario_id", "simulation_id")
"""What the data of every event begins with."""


def plain_of(event: Event) -> PlainEvent:
    """An event that was read by `parse_event`, as `BulkParser` would have read it."""
    return {
        **vars(event),
        "id": str(event.id),
        "subject": str(event.subject),
        "time": event.time.astimezone(UTC),
        "data": plain_data(event.type, event.data),
    }


def plain_data(event_type: str, data: ExecutionContext) -> dict[str, Any]:
    """The `data` of a plain event."""
    plain = dict(vars(data))
    for name in CONTEXT_IDS:
        if plain[name] is not None:
            plain[name] = str(plain[name])
    for name in _OBJECTS[event_type]:
        plain[name] = orjson.dumps(plain[name]).decode() if plain[name] else None
    if plain.get("configuration") is not None:
        plain["configuration"] = orjson.dumps(plain["configuration"]).decode()
    return plain


@dataclass(slots=True)
class BulkEvents:
    """What became of a sequence of values; each is in one of the two lists, by its index."""

    events: list[tuple[int, PlainEvent]] = field(default_factory=list)
    """In order."""
    others: list[int] = field(default_factory=list)
    """What `parse_event` has to read."""


class BulkParser:
    """Reads values of one topic. Pure: the same values always give the same result."""

    def __init__(self, event_types: Sequence[str]) -> None:
        """
        Args:
            event_types: what the topic carries; other types are left to `parse_event`.
        """
        self._validate = _validator(tuple(sorted(event_types)))

    def parse(self, values: Sequence[bytes | None], now: datetime) -> BulkEvents:
        """Read `values`.

        Args:
            now: the moment that "one day ahead" is measured from.
        """
        found = BulkEvents()
        take, leave, validate = found.events.append, found.others.append, self._validate
        time_of, time_max = datetime.fromisoformat, now + TIME_AHEAD_MAX
        for index, value in enumerate(values):
            if (
                not value
                or len(value) > EVENT_BYTES_MAX
                or exceeds_depth(value)
                # Most hold no backslash, and to look for one byte takes a twentieth of the time.
                or (b"\\" in value and rb"\u0000" in value)
            ):
                leave(index)
                continue
            try:
                event = validate(value)
                time = event["time"] = time_of(event["time"])
                data = event["data"]
                for name in _OBJECTS[event["type"]]:
                    if data[name] is not None:
                        data[name] = _text(data[name])
                if "configuration" in data and data["configuration"] is not None:
                    data["configuration"] = _json(data["configuration"])
                is_fine = TIME_MIN <= time <= time_max and ("scenario" not in data or _is_consistent(data))
            # A ValidationError is a ValueError; the others are limits of the parsers.
            except (ValueError, TypeError, RecursionError, OverflowError, ids.NotCanonicalError):
                is_fine = False
            if is_fine:
                take((index, event))
            else:
                leave(index)
        return found


def _text(value: dict[str, Any]) -> str | None:
    """The JSON text of an object that `check_json` leaves as it is.

    Raises:
        ValueError: `check_json` would refuse it or cut something.
    """
    if not value:
        return None
    text = _json(value)
    if len(text) > TEXT_BYTES_MAX // 4:
        raise ValueError("perhaps with text to be cut")
    return text


def _json(value: dict[str, Any]) -> str:
    raw = orjson.dumps(value)
    if b"null" in raw:
        check_exact_json(value)  # orjson makes a null of a number that is not finite
    return raw.decode()


def _is_consistent(data: Mapping[str, Any]) -> bool:
    """What `ExecutionStarted` checks of its ids."""
    if data["scenario_id"] != str(ids.scenario_id(data["scenario"])):
        return False
    if data["simulation"] is not None and data["simulation_id"] != str(ids.simulation_id(data["simulation"])):
        return False
    content = data["configuration"]
    return content is None or _version_id(content) == data["configuration_version_id"]


# To make JSON canonical takes a hundred times as long as all the rest, and a simulation has few configurations.
@lru_cache(maxsize=1024)
def _version_id(content: str) -> str:
    return str(ids.configuration_version_id(orjson.loads(content)))


@cache
def _validator(event_types: tuple[str, ...]) -> Callable[[bytes], Any]:
    """`Event` of these types, as dictionaries."""
    choices = {
        type_name(model): _translated(model.__pydantic_core_schema__)
        for model in EVENT_MODELS
        if type_name(model) in event_types
    }
    schema: Any = {"type": "tagged-union", "choices": choices, "discriminator": "type"}
    # Names of fields repeat, values do not: looking for them in pydantic's cache takes longer than making them.
    return SchemaValidator(schema, {"cache_strings": "keys"}).validate_json


# The forms that the SDK writes. PostgreSQL and `datetime.fromisoformat` take them as they are.
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-%d[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|\+00:00)$"


def _translated(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A model's schema without what is expensive to make: instances, and calls of Python functions.

    What is translated takes no more than the original, and takes it for the same: a test compares them.
    """
    match schema:
        case {"type": "function-after", "schema": {"type": "model", "cls": model, "schema": fields}}:
            assert model is ExecutionStarted, f"{model.__name__} has checks that are not made here"
            return _translated(fields)
        case {"type": "model", "schema": fields}:
            return _translated(fields)
        case {"type": "model-fields", "fields": fields}:
            translated = {name: _field(part["schema"]) for name, part in fields.items()}
            return {"type": "typed-dict", "fields": translated, "strict": True, "extra_behavior": "ignore"}
        case {"type": "uuid", "version": version}:
            return {"type": "str", "strict": True, "pattern": _UUID % version}
        case {"type": "function-before", "schema": {"type": "datetime"}}:
            return {"type": "str", "strict": True, "pattern": _TIME}
        case {"type": "enum", "members": members}:
            return {"type": "literal", "expected": [member.value for member in members]}
        case {"type": "function-after", "function": {"function": function}, "schema": inner} if function is truncate:
            return {**inner, "strict": True, "max_length": TEXT_BYTES_MAX // 4}
        case {"type": "function-after", "function": {"function": function}, "schema": inner} if function in (
            check_json,
            check_exact_json,
        ):
            return {**inner, "strict": True}  # `_text` checks it
        case {"type": "default", "schema": inner, "default_factory": factory} if factory is dict:
            return {"type": "default", "schema": _translated(inner), "default": None}
        case {"type": "default" | "nullable", "schema": inner}:
            return {**schema, "schema": _translated(inner)}
        case {"type": "dict" | "str" | "int" | "float" | "bool" | "literal"}:
            return {**schema, "strict": True}
    raise AssertionError(f"no translation for {schema['type']}")


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "typed-dict-field",
        "schema": _translated(schema),
        "required": schema["type"] != "default",
    }
