"""Schemas and contents, checked in bounded time: what is certainly quick at once, the rest in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from arc_eval_db.configurations.bounded import Bounded, TaskRefusedError, TooMuchWorkError
from arc_eval_db.configurations.content_schema import check_schema, content_problems
from arc_eval_db.configurations.content_schema_cost import is_cheap_content, is_cheap_schema
from arc_eval_db.configurations.errors import ContentSchemaError, ContentSchemaViolatedError

_COSTLY = "patterns that backtrack, $refs that branch and uniqueItems of long lists take so long"


class ContentSchemas:
    """Checks schemas and contents."""

    def __init__(self, bounded: Bounded | None = None) -> None:
        self._bounded = bounded or Bounded()

    async def check_schema(self, configuration: str, schema: dict[str, Any]) -> None:
        """Check that a schema can be enforced.

        Raises:
            ContentSchemaError: it cannot.
            TooManyAtWorkError, BoundedWorkFailedError: it cannot be told now.
        """
        if is_cheap_schema(schema):
            await asyncio.to_thread(check_schema, schema)
            return
        try:
            await self._bounded.run("schema", {"schema": schema})
        except TaskRefusedError as error:
            raise ContentSchemaError(str(error)) from error
        except TooMuchWorkError as error:
            raise ContentSchemaError(
                f"to check the schema of {configuration} took more than {self._bounded.cpu_s} s, and it was not set; "
                f"{_COSTLY}: write it without them"
            ) from error

    async def check_content(self, configuration: str, schema: str | None, content: Mapping[str, Any]) -> None:
        """Check a content against a configuration's schema, which is JSON text; None: anything fits.

        Raises:
            ContentSchemaViolatedError: it does not fit; no value is quoted.
            ContentSchemaError: whether it fits cannot be told: the schema asks for what is not there, or for too much.
            TooManyAtWorkError, BoundedWorkFailedError: it cannot be told now.
        """
        if schema is None:
            return
        if problems := await self._problems(configuration, schema, content):
            raise ContentSchemaViolatedError(configuration, tuple(problems))

    async def _problems(self, configuration: str, schema: str, content: Mapping[str, Any]) -> list[str]:
        if is_cheap_content(orjson.loads(schema), content):
            return await asyncio.to_thread(content_problems, configuration, schema, content)
        arguments = {"configuration": configuration, "schema": schema, "content": content}
        try:
            found: list[str] = await self._bounded.run("content", arguments)
        except TaskRefusedError as error:
            raise ContentSchemaError(str(error)) from error
        except TooMuchWorkError as error:
            raise ContentSchemaError(
                f"whether the content fits the schema of {configuration} took more than {self._bounded.cpu_s} s to "
                f"tell, and nothing was changed; {_COSTLY}; set a simpler one: "
                f"arc-eval-db config schema set {configuration} FILE"
            ) from error
        return found
