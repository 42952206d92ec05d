"""What `bounded` starts: one task from standard input, its result to standard output, within limits of its own.

The limits are the kernel's: nothing else interrupts a regular expression, and they hold though the parent is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from arc_eval_db.configurations.content_schema import check_schema, content_problems, unenforceable
from arc_eval_db.configurations.differences import differences, json_patch, text_diff
from arc_eval_db.configurations.errors import ContentSchemaError

EXIT_TOO_MUCH = 9
"""It has taken more memory than it may."""


def _schema(arguments: Mapping[str, Any]) -> None:
    check_schema(arguments["schema"])


def _content(arguments: Mapping[str, Any]) -> list[str]:
    return list(content_problems(arguments["configuration"], arguments["schema"], arguments["content"]))


def _changes(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = differences(arguments["before"], arguments["after"])
    return [{**asdict(change), "place": change.place} for change in found]


def _patch(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    return json_patch(arguments["before"], arguments["after"])


def _text(arguments: Mapping[str, Any]) -> list[str]:
    before, after = arguments["names"]
    return text_diff(arguments["before"], arguments["after"], names=(before, after))


TASKS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "schema": _schema,
    "content": _content,
    "changes": _changes,
    "patch": _patch,
    "text": _text,
}


_OF_SCHEMAS = frozenset({"schema", "content"})


def _unenforceable(arguments: Mapping[str, Any], error: BaseException) -> ContentSchemaError:
    why = f"makes the validator fail ({type(error).__name__})"
    if "configuration" in arguments:
        return unenforceable(arguments["configuration"], why)
    return ContentSchemaError(f"the schema {why}")


def limit(cpu_s: int, memory_bytes: int) -> None:
    """Let the kernel end this process where it takes more; where it cannot, the parent's deadline does."""
    try:
        import resource  # noqa: PLC0415 - not to be had everywhere
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main(cpu_s: int, memory_bytes: int) -> None:
    """Do the one task."""
    limit(cpu_s, memory_bytes)
    try:
        request = orjson.loads(sys.stdin.buffer.read())
        try:
            reply = {"result": TASKS[request["task"]](request["arguments"])}
        except ContentSchemaError as error:
            reply = {"refused": str(error)}
        except MemoryError:
            raise
        # The validator is partly written in Rust: what it panics with where the stack ends is no Exception.
        except BaseException as error:
            if request["task"] not in _OF_SCHEMAS:
                raise
            reply = {"refused": str(_unenforceable(request["arguments"], error))}
        sys.stdout.buffer.write(orjson.dumps(reply))
        sys.stdout.buffer.flush()
    except MemoryError:
        sys.exit(EXIT_TOO_MUCH)
