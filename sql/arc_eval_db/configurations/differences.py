"""How two JSON values differ: by path, as JSON Patch, as text. Needs no database."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from arc_eval_db.configurations.content import one_form
from arc_eval_db.configurations.paths import json_path, json_pointer

# Beyond so many elements that differ, lists are compared place by place: finding moved runs takes the square of it.
_ALIGNED_MAX = 200


class ChangeKind(StrEnum):
    """What happened at a path."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` is None for what was added, `after` for what was removed."""

    kind: ChangeKind
    path: tuple[str | int, ...]
    """Places in lists count what the changes before this one have left."""
    before: Any = None
    after: Any = None

    @property
    def place(self) -> str:
        """The path for people, such as `$.tools[2].name`."""
        return json_path(self.path)


def differences(before: Any, after: Any) -> list[Change]:
    """What must be done to `before`, in this order, to make it equal to `after`; nothing where they are equal as JSON.

    The order of keys is no difference, nor is the way in which a number is written. The order of a list is one.

    >>> [(change.kind.value, change.place) for change in differences({"a": 1, "b": [1]}, {"b": [1, 2], "a": 1.0})]
    [('added', '$.b[1]')]
    """
    return list(_between(one_form(before), one_form(after), ()))


def json_patch(before: Any, after: Any) -> list[dict[str, Any]]:
    """RFC 6902: the operations that make `before` equal to `after`.

    >>> json_patch({"model": "m1"}, {"model": "m2"})
    [{'op': 'replace', 'path': '/model', 'value': 'm2'}]
    """
    return [_operation(change) for change in differences(before, after)]


def text_diff(before: Any, after: Any, *, names: tuple[str, str] = ("before", "after")) -> list[str]:
    """A unified diff of both as indented JSON with sorted keys; empty where they are equal."""
    lines = (pretty(before).splitlines(), pretty(after).splitlines())
    return list(difflib.unified_diff(*lines, *names, lineterm=""))


def pretty(value: Any) -> str:
    """Indented JSON with sorted keys, and one form for each number."""
    return orjson.dumps(one_form(value), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


def _operation(change: Change) -> dict[str, Any]:
    path = json_pointer(change.path)
    if change.kind is ChangeKind.REMOVED:
        return {"op": "remove", "path": path}
    return {"op": "add" if change.kind is ChangeKind.ADDED else "replace", "path": path, "value": change.after}


def _between(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _between_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _between_lists(before, after, path)
    elif _key(before) != _key(after):
        yield Change(ChangeKind.CHANGED, path, before, after)


def _between_objects(before: dict[str, Any], after: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            yield Change(ChangeKind.REMOVED, (*path, key), before[key])
        elif key not in before:
            yield Change(ChangeKind.ADDED, (*path, key), None, after[key])
        else:
            yield from _between(before[key], after[key], (*path, key))


def _between_lists(before: list[Any], after: list[Any], path: tuple[str | int, ...]) -> Iterator[Change]:
    # From the end to the beginning: no change moves the place of one that comes after it.
    for before_from, before_to, after_from, after_to in reversed(
        _runs(list(map(_key, before)), list(map(_key, after)))
    ):
        common = min(before_to - before_from, after_to - after_from)
        for index in reversed(range(before_from + common, before_to)):
            yield Change(ChangeKind.REMOVED, (*path, index), before[index])
        for offset in range(common, after_to - after_from):
            yield Change(ChangeKind.ADDED, (*path, before_from + offset), None, after[after_from + offset])
        for offset in reversed(range(common)):
            index = before_from + offset
            yield from _between(before[index], after[after_from + offset], (*path, index))


def _runs(before: list[bytes], after: list[bytes]) -> list[tuple[int, int, int, int]]:
    """Where two lists differ: from and to in the one, from and to in the other."""
    shorter = min(len(before), len(after))
    head = next((index for index in range(shorter) if before[index] != after[index]), shorter)
    tail = next((index for index in range(shorter - head) if before[-1 - index] != after[-1 - index]), shorter - head)
    before_to, after_to = len(before) - tail, len(after) - tail
    if max(before_to, after_to) - head > _ALIGNED_MAX:
        return [(head, before_to, head, after_to)]
    matcher = difflib.SequenceMatcher(None, before[head:before_to], after[head:after_to], autojunk=False)
    return [
        (head + b_from, head + b_to, head + a_from, head + a_to)
        for tag, b_from, b_to, a_from, a_to in matcher.get_opcodes()
        if tag != "equal"
    ]


def _key(value: Any) -> bytes:
    """Equal for what is equal as JSON, and only for that: in Python, True is 1."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
