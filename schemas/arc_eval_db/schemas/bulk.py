"""Reads many events quickly, for whoever writes tens of thousands of rows a second.

What is read here is read by the models' own rules, and most events are: those that the producer SDK makes. The others,
and whatever is wrong, are left to `parsing.parse_event`, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
from pydantic_core import SchemaValidator

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import EVENT_MODELS, Event, ExecutionContext, ExecutionStarted, type_name
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.json_fields import check_exact_json, check_json
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX, TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.text import truncate
from arc_eval_db.schemas.topics import STARTED

# So many that what is done for all of them costs each little, and so few that they stay in the CPU's cache: of 20, 50,
# 100 and 500, the fastest.
_CHUNK_VALUES = 50

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

_id, _subject, _data, _context = itemgetter("id"), itemgetter("subject"), itemgetter("data"), itemgetter(*CONTEXT_IDS)


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


class BulkParser:
    """Reads values of one topic. Pure: the same values always give the same result."""

    def __init__(self, event_types: Sequence[str]) -> None:
        """
        Args:
            event_types: what the topic carries; other types are left to `parse_event`.
        """
        self._validate = _validator(tuple(sorted(event_types)))

    def parse(
        self, values: Sequence[bytes | None], now: datetime, others: list[int]
    ) -> Iterator[tuple[int, PlainEvent]]:
        """Read `values`, each with its index. Events that are let go before the next are made cost the least time.

        Args:
            now: the moment that "one day ahead" is measured from.
            others: takes the indexes of what `parse_event` has to read.
        """
        time_max = now + TIME_AHEAD_MAX
        for begin in range(0, len(values), _CHUNK_VALUES):
            chunk = values[begin : begin + _CHUNK_VALUES]
            found = self._validated(chunk)
            for index, event in enumerate(found, begin):
                if event is not None and _complete(event, time_max):
                    yield index, event
                else:
                    others.append(index)

    def _validated(self, chunk: Sequence[bytes | None]) -> list[PlainEvent | None]:
        """The events that the schema takes."""
        if not _is_plain(chunk):
            return [None] * len(chunk)
        try:
            found: list[PlainEvent | None] = list(map(self._validate, chunk))
        except (ValueError, RecursionError):
            found = [self._validated_alone(value) for value in chunk]
        return found if _have_ids(found) else [None] * len(chunk)

    def _validated_alone(self, value: bytes | None) -> PlainEvent | None:
        try:
            return self._validate(value)
        except (ValueError, RecursionError):
            return None


def _is_plain(chunk: Sequence[bytes | None]) -> bool:
    """Whether no value needs the care of `parse_event`: what holds for most is found out of all together."""
    values = [value for value in chunk if value is not None]
    text = b"".join(values)
    if len(values) < len(chunk) or max(map(len, values)) > EVENT_BYTES_MAX:
        return False
    # To look for one byte takes a twentieth of the time.
    if b"\\" in text and rb"\u0000" in text:
        return False
    # Most have fewer brackets than may be nested.
    opened = max([len(value) - len(value.replace(b"{", b"").replace(b"[", b"")) for value in values])
    return opened <= JSON_DEPTH_MAX or not any(map(exceeds_depth, values))


def _have_ids(found: Iterable[PlainEvent | None]) -> bool:
    """Whether all ids have the form that the SDK writes. To look at each by itself takes a fifth of an event's time."""
    events = list(filter(None, found))
    own = [*map(_id, events), *map(_subject, events)]
    context = set(chain.from_iterable(map(_context, map(_data, events))))
    return _are_uuids("".join(own), 7) and _are_uuids("".join(filter(None, context)), 5)


def _are_uuids(text: str, version: int) -> bool:
    """Whether a text consists of UUIDs in lower case, written one after the other."""
    number = len(text) // 36
    return (
        len(text) == 36 * number
        and text[8::36] == text[13::36] == text[18::36] == text[23::36] == "-" * number
        and text[14::36] == str(version) * number
        and not text[19::36].strip("89ab")
        and not text.encode().translate(None, b"0123456789abcdef-")
        and text.count("-") == 4 * number
    )


def _complete(event: PlainEvent, time_max: datetime) -> bool:
    """Turn the time and the JSON objects into what they are in a row; returns whether all is as it has to be."""
    type_, data = event["type"], event["data"]
    try:
        time = event["time"] = datetime.fromisoformat(event["time"])
        for name in _OBJECTS[type_]:
            if value := data[name]:
                text = data[name] = _json(value)
                if len(text) > TEXT_BYTES_MAX // 4:
                    return False  # perhaps with text to be cut
            else:
                data[name] = None
        if type_ == STARTED:
            if data["configuration"] is not None:
                data["configuration"] = _json(data["configuration"])
            return TIME_MIN <= time <= time_max and _is_consistent(data)
    except (ValueError, TypeError, RecursionError, OverflowError, ids.NotCanonicalError):
        return False
    return TIME_MIN <= time <= time_max


def _json(value: dict[str, Any]) -> str:
    text = orjson.dumps(value)
    if b"null" in text:
        check_exact_json(value)  # orjson makes a null of a number that is not finite
    return text.decode()


def _is_consistent(data: Mapping[str, Any]) -> bool:
    """What `ExecutionStarted` checks of its ids."""
    if data["scenario_id"] != _scenario_id(data["scenario"]):
        return False
    if data["simulation"] is not None and data["simulation_id"] != _simulation_id(data["simulation"]):
        return False
    content = data["configuration"]
    return content is None or _version_id(content) == data["configuration_version_id"]


# Many starts name the same few; to make JSON canonical takes a hundred times as long as all the rest.
@lru_cache(maxsize=1024)
def _scenario_id(name: str) -> str:
    return str(ids.scenario_id(name))


@lru_cache(maxsize=1024)
def _simulation_id(name: str) -> str:
    return str(ids.simulation_id(name))


@lru_cache(maxsize=1024)
def _version_id(content: str) -> str:
    return str(ids.configuration_version_id(orjson.loads(content)))


@cache
def _validator(event_types: tuple[str, ...]) -> Callable[[Any], PlainEvent]:
    """`Event` of these types, as dictionaries."""
    choices = {
        type_name(model): _translated(model.__pydantic_core_schema__)
        for model in EVENT_MODELS
        if type_name(model) in event_types
    }
    schema: Any = {"type": "tagged-union", "choices": choices, "discriminator": "type"}
    # Names of fields repeat, values do not: looking for them in pydantic's cache takes longer than making them.
    return SchemaValidator(schema, {"cache_strings": "keys"}).validate_json


# The form that the SDK writes; `datetime.fromisoformat` takes it as it is.
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
        case {"type": "uuid"}:
            return {"type": "str", "strict": True, "min_length": 36, "max_length": 36}  # `_have_ids` does the rest
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
            return {**inner, "strict": True}  # `_complete` checks it
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
