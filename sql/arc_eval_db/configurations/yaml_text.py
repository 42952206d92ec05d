"""YAML, one event at a time: what is hostile, or means two things, is refused where it stands, before it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from arc_eval_db.configurations.content import CONTENT_BYTES_MAX, DEPTH_MAX, kind_of, text_problem
from arc_eval_db.configurations.errors import DocumentError
from arc_eval_db.configurations.json_text import place
from arc_eval_db.configurations.paths import key_in_words
from arc_eval_db.configurations.yaml_scalars import ScalarError, plain_scalar

ALIASES_MAX = 100
"""Uses of `*name` in a document."""
NODES_MAX = 20_000
"""Keys and values, with what aliases repeat."""

# The C parser is ten times as fast; both give the same events.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NO_KEY = object()


@dataclass(slots=True)
class _Measure:
    """How large something is when its aliases are written out."""

    nodes: int
    characters: int
    height: int
    """Levels of objects and lists in it."""


@dataclass(slots=True)
class _Open:
    """A mapping or a sequence whose end has not been met."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    nodes_before: int
    characters_before: int
    height: int = 1
    key: Any = _NO_KEY


class YamlReader:
    """Builds the value of one document from the parser's events."""

    def __init__(self, text: str, source: str) -> None:
        """
        Args:
            source: the file's name, for errors.
        """
        self._text, self._source = text, source
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, _Measure]] = {}
        self._nodes = self._characters = self._aliases = self._documents = 0
        self._result: Any = None

    def read(self) -> Any:
        """The value.

        Raises:
            DocumentError: not YAML, not one document, or not what can be taken.
        """
        for event in self._events():
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
        if not self._documents:
            raise DocumentError(
                "the file is empty; a configuration is a mapping of names to values", self._source, 1, 1
            )
        return self._result

    def _events(self) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            problem = f"not YAML: {error.problem or error.context}; check quotes, colons and indentation"
            raise DocumentError(problem, self._source, line, column) from error
        except yaml.reader.ReaderError as error:
            problem = "not YAML: a control character; write it as an escape in double quotes, or leave it out"
            raise DocumentError(problem, self._source, *place(self._text, error.position)) from error

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._error("a second document begins here; push each from a file of its own", event)
        if event.tags:
            raise self._error("tags are not taken; leave the %TAG directive out", event)

    def _node(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._alias(event)
            return
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None:
            raise self._error(f"tags such as {event.tag} are not taken; write the value plainly", event)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        else:
            self._begin(event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        value: Any = event.value
        self._grow(1, len(value) + 1, event)
        if problem := text_problem(value):
            raise self._error(problem, event)
        if event.implicit[0]:
            try:
                value = plain_scalar(value)
            except ScalarError as error:
                raise self._error(str(error), event) from None
            if value == "<<" and self._awaits_key():
                raise self._error("merge keys (<<) are not taken; write the keys out", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, _Measure(1, len(event.value) + 1, 0))
        self._place(value, event)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        self._grow(1, 1, event)
        if self._awaits_key():
            raise self._error("a key must be text; quote it where it is meant so", event)
        if len(self._open) >= DEPTH_MAX:
            raise self._error(f"deeper than {DEPTH_MAX} levels; flatten the configuration", event)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Open(value, event.anchor, self._nodes - 1, self._characters - 1))

    def _end(self, event: yaml.Event) -> None:
        closed = self._open.pop()
        if closed.anchor is not None:
            nodes, characters = self._nodes - closed.nodes_before, self._characters - closed.characters_before
            self._anchors[closed.anchor] = (closed.value, _Measure(nodes, characters, closed.height))
        if self._open:
            self._open[-1].height = max(self._open[-1].height, closed.height + 1)
        self._place(closed.value, event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._aliases += 1
        if self._aliases > ALIASES_MAX:
            raise self._error(f"more than {ALIASES_MAX} aliases; write the values out", event)
        if event.anchor not in self._anchors:
            raise self._error(f"*{event.anchor} names nothing that ended before it", event)
        if self._awaits_key():
            raise self._error("a key must be text, and no alias; write it out", event)
        value, measure = self._anchors[event.anchor]
        self._grow(measure.nodes, measure.characters, event)
        if len(self._open) + measure.height > DEPTH_MAX:
            raise self._error(f"*{event.anchor} makes it deeper than {DEPTH_MAX} levels", event)
        if self._open:
            self._open[-1].height = max(self._open[-1].height, measure.height + 1)
        self._place(value, event)

    def _grow(self, nodes: int, characters: int, event: yaml.Event) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > NODES_MAX:
            raise self._error(f"more than {NODES_MAX:,} keys and values, with what aliases repeat", event)
        if self._characters > CONTENT_BYTES_MAX:
            raise self._error(f"more than {CONTENT_BYTES_MAX:,} characters, with what aliases repeat", event)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is _NO_KEY

    def _place(self, value: Any, event: yaml.Event) -> None:
        """Put a finished value where it belongs."""
        if not self._open:
            self._result = value
            return
        inner = self._open[-1]
        if isinstance(inner.value, list):
            inner.value.append(value)
        elif inner.key is not _NO_KEY:
            inner.value[inner.key], inner.key = value, _NO_KEY
        elif not isinstance(value, str):
            raise self._error(f"a key must be text, and this is {kind_of(value)}; quote it", event)
        elif value in inner.value:
            raise self._error(f"the key {key_in_words(value)} stands twice; keep one", event)
        else:
            inner.key = value

    def _error(self, problem: str, event: yaml.Event) -> DocumentError:
        mark = event.start_mark
        assert mark is not None
        return DocumentError(problem, self._source, mark.line + 1, mark.column + 1)
