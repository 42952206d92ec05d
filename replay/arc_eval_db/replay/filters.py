"""Which records of a range are meant: by what their headers and their events say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import jmespath
import orjson

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import TOPIC_OF_TYPE

_TYPE_HEADER = "ce_type"


class FilterError(ArcEvalError):
    """A filter that cannot be understood; the message gives a correct one."""


def event_types(name: str) -> frozenset[str]:
    """The event types that a name stands for: the type itself, or a part of it such as `completed` or `tool.used`.

    >>> sorted(event_types("completed"))
    ['arc_eval.execution.completed.v1']

    Raises:
        FilterError: it stands for none.
    """
    found = {type_ for type_ in TOPIC_OF_TYPE if f".{name}." in f".{type_}."}
    if not found and name.count(".") < 2:
        known = ", ".join(type_.removeprefix("arc_eval.") for type_ in TOPIC_OF_TYPE)
        raise FilterError(f"no event type is called {name!r}; there are: {known}; others need their full name")
    return frozenset(found or {name})


def scenario_id(name: str) -> str:
    """The id of a scenario that is given by its name or by its id."""
    return str(_uuid(name) or ids.scenario_id(name))


def version_id(text: str) -> str:
    """The id of a configuration's version.

    Raises:
        FilterError: it is no id.
    """
    if (found := _uuid(text)) is None:
        raise FilterError(f"{text!r} is not the id of a configuration's version; one looks like {ids.scenario_id('x')}")
    return str(found)


def execution_id(text: str) -> str:
    """The id of an execution.

    Raises:
        FilterError: it is no id.
    """
    if (found := _uuid(text)) is None:
        raise FilterError(
            f"{text!r} is not the id of an execution; one looks like 01a21225-d900-7895-91bf-908802f35579"
        )
    return str(found)


def header(text: str) -> tuple[str, str]:
    """A header as `NAME=VALUE`.

    Raises:
        FilterError: it is none.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise FilterError(f"{text!r} is not a header; a correct one is: ce_type=arc_eval.tool.used.v1")
    return name, value


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Everything that is given must hold; of several values of one kind, one must.

    A record whose value is no JSON object matches nothing but headers: it has none of the rest.
    """

    executions: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """Full names."""
    versions: tuple[str, ...] = ()
    """Of configurations, by id."""
    scenarios: tuple[str, ...] = ()
    """By id."""
    since: datetime | None = None
    """By the event's own time, in UTC."""
    until: datetime | None = None
    """Before this moment."""
    headers: tuple[tuple[str, str], ...] = ()
    where: str | None = None
    """A JMESPath expression (https://jmespath.org) over the whole event, such as `data.score > `0.5``."""
    _where: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """
        Raises:
            FilterError: the expression is no JMESPath.
        """
        if self.where is None:
            return
        try:
            object.__setattr__(self, "_where", jmespath.compile(self.where))
        except jmespath.exceptions.JMESPathError as error:
            raise FilterError(
                f"{self.where!r} is no JMESPath expression: {str(error).splitlines()[0]}; "
                "a correct one is: data.tool == 'lookup_order' && data.duration_ms > `1000`"
            ) from error

    @property
    def is_everything(self) -> bool:
        """Whether every record matches."""
        return self == EventFilter()

    @property
    def _is_about_content(self) -> bool:
        given = (self.executions, self.types, self.versions, self.scenarios, self.since, self.until, self.where)
        return any(part is not None and part != () for part in given)

    def matches(self, record: LogRecord) -> bool:
        """Whether a record is meant."""
        if self.headers and not all(_has_header(record, name, value) for name, value in self.headers):
            return False
        if not self._is_about_content:
            return True
        if self.types and (named := _type_of_headers(record)) is not None and named not in self.types:
            return False  # without reading the value
        try:
            event = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            return False
        return isinstance(event, dict) and self._matches_event(event)

    def _matches_event(self, event: Mapping[str, Any]) -> bool:
        data = event.get("data")
        context = data if isinstance(data, dict) else {}
        return (
            (not self.types or event.get("type") in self.types)
            and (not self.executions or _lower(event.get("subject")) in self.executions)
            and (not self.versions or _lower(context.get("configuration_version_id")) in self.versions)
            and (not self.scenarios or _lower(context.get("scenario_id")) in self.scenarios)
            and self._is_in_time(event.get("time"))
            and (self._where is None or _holds(self._where, event))
        )

    def _is_in_time(self, text: Any) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            time = datetime.fromisoformat(text)
            return (self.since is None or time >= self.since) and (self.until is None or time < self.until)
        except (TypeError, ValueError):
            return False  # no time, or one without a zone

    def select(self, records: Iterable[LogRecord]) -> list[LogRecord]:
        """Those that are meant."""
        return list(records) if self.is_everything else [record for record in records if self.matches(record)]

    def to_json(self) -> dict[str, Any]:
        """What was given, for `replay_jobs`; `from_json` takes it back."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, ()) and name != "_where"}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` made."""
        times = {name: datetime.fromisoformat(document[name]) for name in ("since", "until") if name in document}
        pairs = {"headers": tuple((name, value) for name, value in document.get("headers", ()))}
        lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list | tuple)}
        return cls(**{**document, **lists, **pairs, **times})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _has_header(record: LogRecord, name: str, value: str) -> bool:
    return any(key == name and content == value.encode() for key, content in record.headers)


def _type_of_headers(record: LogRecord) -> str | None:
    return next((value.decode("utf-8", "replace") for name, value in record.headers if name == _TYPE_HEADER), None)


def _holds(expression: Any, event: Mapping[str, Any]) -> bool:
    """JMESPath's own truth: null, false, and what is empty are false, and 0 is true."""
    try:
        found = expression.search(event)
    except jmespath.exceptions.JMESPathTypeError:
        return False  # a function that does not take what this event has there
    except jmespath.exceptions.JMESPathError as error:
        # What was compiled can still name a function that there is not.
        raise FilterError(f"--where: {str(error).splitlines()[0]}") from error
    return bool(found) or (found == 0 and not isinstance(found, bool))
