"""The one place that knows how versions are compared; what that needs is imported with the first comparison."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from arc_eval_db.client import ArcEvalDBClient


async def report(
    client: ArcEvalDBClient,
    a: str,
    b: str,
    options: Mapping[str, Any],
    *,
    since: datetime | None,
    until: datetime | None,
    runs_max: int,
) -> dict[str, Any]:
    """B against A as JSON.

    Args:
        a: a version, as everywhere; the report has it under the name that is given.
        options: of `ComparisonOptions`.
    """
    # scipy takes a second to import: in a thread, so that the other requests get their turn.
    await asyncio.to_thread(importlib.import_module, "arc_eval_db.recommendations")
    from arc_eval_db.recommendations import ComparisonOptions, compare  # noqa: PLC0415 - see above

    found = await compare(client, a, b, ComparisonOptions(**options), since=since, until=until, runs_max=runs_max)
    return found.to_json()
