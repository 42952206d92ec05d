"""Reads many events quickly, for whoever writes tens of thousands of rows a second.

What is read here is read by the models' own rules, and most events are: those that the producer SDK makes. The others,
and whatever is wrong, are left to `parsing.parse_event`, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

import orjson
from pydantic.fields import FieldInfo
from pydantic_core import SchemaValidator

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import EVENT_MODELS, Event, ExecutionContext, ExecutionStarted, type_name
from arc_eval_db.schemas.json_depth import exceeds_depth
from arc_eval_db.schemas.json_fields import check_exact_json, check_json
from arc_eval_db.schemas.limits import EVENT_BYTES_MAX, JSON_DEPTH_MAX, TEXT_BYTES_MAX, TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.text import truncate
from arc_eval_db.schemas.topics import STARTED

# So many that what is done for all of them costs each little: of 20, 50, 100, 250 and 500, from 100 on equally fast.
_CHUNK_VALUES = 250

PlainEvent = dict[str, Any]
"""An event's type, attributes and data by their names: ids are text, the time is in UTC, and JSON objects are JSON text
or, where empty, None; a configuration is JSON text also where it is empty."""

CONTEXT_IDS = ("configuration_version_id", "scenario_id", "simulation_id")
"""What the data of every event begins with."""

_ATTRIBUTES = ("id", "subject", "time", "sequence", "source", "traceparent")
"""What is kept of the envelope."""

_DATA_FIELDS: dict[str, Mapping[str, FieldInfo]] = {
    type_name(model): model.model_fields["data"].annotation.model_fields  # type: ignore[union-attr]
    for model in EVENT_MODELS
}
assert not any(set(_ATTRIBUTES) & fields.keys() for fields in _DATA_FIELDS.values())

# The fields with JSON objects, by the event type, but for the configuration: an empty one is also one.
_OBJECTS: dict[str, tuple[str, ...]] = {
    type_: tuple(name for name, field in fields.items() if "dict[" in str(field.annotation) and name != "configuration")
    for type_, fields in _DATA_FIELDS.items()
}

_type, _data, _attributes = itemgetter("type"), itemgetter("data"), itemgetter(*_ATTRIBUTES)
_fields: dict[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {
    type_: itemgetter(*fields) for type_, fields in _DATA_FIELDS.items()
}


@dataclass(slots=True)
class PlainEvents:
    """Events of one type, as columns: to make a value for many at once takes a fraction of making it for each."""

    type: str
    indexes: Sequence[int]
    """Where each stands among the values that were read."""
    columns: dict[str, Sequence[Any]]
    """By the names that a `PlainEvent` has, but for the type."""

    def events(self) -> list[PlainEvent]:
        """The events one by one."""
        names = ("type", *self.columns)
        return [dict(zip(names, values, strict=True)) for values in zip(repeat(self.type), *self.columns.values())]


def plain_of(event: Event) -> PlainEvent:
    """An event that was read by `parse_event`, as `BulkParser` would have read it."""
    return {
        "type": event.type,
        "id": str(event.id),
        "subject": str(event.subject),
        "time": event.time.astimezone(UTC),
        "sequence": event.sequence,
        "source": event.source,
        "traceparent": event.traceparent,
        **plain_data(event.type, event.data),
    }


def plain_data(event_type: str, data: ExecutionContext) -> dict[str, Any]:
    """What a plain event has of the event's data."""
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

    def parse(self, values: Sequence[bytes | None], now: datetime, others: list[int]) -> Iterator[PlainEvents]:
        """Read `values`. Events that are let go before the next are made cost the least time.

        Args:
            now: the moment that "one day ahead" is measured from.
            others: takes the indexes of what `parse_event` has to read.
        """
        time_max = now + TIME_AHEAD_MAX
        for begin in range(0, len(values), _CHUNK_VALUES):
            found = self._validated(values[begin : begin + _CHUNK_VALUES])
            others += [index for index, event in enumerate(found, begin) if event is None]
            for type_, indexes in _by_type(found).items():
                yield from _plain_events(type_, begin, indexes, [found[index] for index in indexes], time_max, others)

    def _validated(self, chunk: Sequence[bytes | None]) -> list[Any]:
        """The events that the schema takes; None in the place of the others."""
        if not _is_plain(chunk):
            return [None] * len(chunk)
        try:
            return list(map(self._validate, chunk))
        except (ValueError, RecursionError):
            return [self._validated_alone(value) for value in chunk]

    def _validated_alone(self, value: bytes | None) -> dict[str, Any] | None:
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


def _by_type(found: Sequence[Any]) -> dict[str, list[int]]:
    """The indexes of the events of each type."""
    types = [event and event["type"] for event in found]
    return {
        type_: [index for index, other in enumerate(types) if other == type_]
        for type_ in dict.fromkeys(types)
        if type_ is not None
    }


def _plain_events(
    type_: str, begin: int, indexes: list[int], events: list[Any], time_max: datetime, others: list[int]
) -> Iterator[PlainEvents]:
    """Events of one type as columns, but for those that need the parser; `indexes` count from `begin`."""
    if columns := _columns(type_, events, time_max):
        yield PlainEvents(type_, [begin + index for index in indexes], columns)
        return
    for index, event in zip(indexes, events, strict=True):
        if columns := _columns(type_, [event], time_max):
            yield PlainEvents(type_, [begin + index], columns)
        else:
            others.append(begin + index)


def _columns(type_: str, events: list[Any], time_max: datetime) -> dict[str, Sequence[Any]] | None:
    """The columns of events that the schema took, or None where one of them is not as it has to be."""
    datas = list(map(_data, events))
    columns: dict[str, Sequence[Any]] = dict(zip(_ATTRIBUTES, zip(*map(_attributes, events), strict=True), strict=True))
    columns |= zip(_DATA_FIELDS[type_], zip(*map(_fields[type_], datas), strict=True), strict=True)
    if not _have_ids(columns):
        return None
    try:
        columns["time"] = times = list(map(datetime.fromisoformat, columns["time"]))
        for name in _OBJECTS[type_]:
            texts = columns[name] = [_json(value) if value else None for value in columns[name]]
            if not _are_short(texts):
                return None
        if type_ == STARTED:
            contents = columns["configuration"]
            columns["configuration"] = [None if content is None else _json(content) for content in contents]
            if not all(map(_is_consistent, *map(columns.__getitem__, _CONSISTENT))):
                return None
    except (ValueError, TypeError, RecursionError, OverflowError, ids.NotCanonicalError):
        return None
    return columns if min(times) >= TIME_MIN and max(times) <= time_max else None


def _have_ids(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether all ids have the form that the SDK writes. To look at each by itself takes a fifth of an event's time."""
    context = set().union(*map(columns.__getitem__, CONTEXT_IDS))
    own = "".join(chain(columns["id"], columns["subject"]))
    return _are_uuids(own, 7) and _are_uuids("".join(filter(None, context)), 5)


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


def _json(value: dict[str, Any]) -> str:
    text = orjson.dumps(value)
    if b"null" in text:
        check_exact_json(value)  # orjson makes a null of a number that is not finite
    return text.decode()


def _are_short(texts: Iterable[str | None]) -> bool:
    """Whether none can hold a text that is to be cut."""
    return max(map(len, filter(None, texts)), default=0) <= TEXT_BYTES_MAX // 4


_CONSISTENT = (*CONTEXT_IDS, "scenario", "simulation", "configuration")


def _is_consistent(
    version_id: str,
    scenario_id: str,
    simulation_id: str | None,
    scenario: str,
    simulation: str | None,
    configuration: str | None,
) -> bool:
    """What `ExecutionStarted` checks of its ids."""
    return (
        scenario_id == _scenario_id(scenario)
        and (simulation is None or simulation_id == _simulation_id(simulation))
        and (configuration is None or version_id == _version_id(configuration))
    )


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
def _validator(event_types: tuple[str, ...]) -> Callable[[Any], dict[str, Any]]:
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
            return {**inner, "strict": True}  # `_columns` checks it
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
