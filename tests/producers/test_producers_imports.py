"""What a sandbox pays for: the SDK imports no database, no broker client, no pydantic."""

from __future__ import annotations

import pytest

from support.scripts import run_script

NEVER = ("asyncpg", "pydantic", "pydantic_settings", "click", "rich", "structlog", "fastapi", "starlette", "flask")


def modules_after(script: str) -> set[str]:
    ended = run_script(f"{script}\nimport sys\nprint(*sys.modules)")
    assert ended.code == 0, ended.stderr
    return {name.partition(".")[0] for name in ended.stdout.split()}


def test_importing_the_sdk_pulls_in_nothing_heavy() -> None:
    modules = modules_after("import arc_eval_db.producers")
    assert "arc_eval_db" in modules
    assert not modules & {*NEVER, "aiokafka", "aiohttp", "uvicorn", "asyncio"}


def test_nothing_configured_pulls_in_nothing_more() -> None:
    script = """
from arc_eval_db.producers import execution
with execution("s", {"a": 1}) as run:
    run.progress("x")
"""
    assert not modules_after(script) & {*NEVER, "aiokafka", "asyncio"}


def test_emitting_into_memory_pulls_in_no_kafka() -> None:
    script = """
from arc_eval_db.producers import EventEmitter, MemoryTransport, execution
memory = MemoryTransport()
with EventEmitter(transport=memory) as emitter, execution("s", {"a": 1}, emitter=emitter) as run:
    with run.tool("t", {"a": object()}) as call:
        call.result("x")
assert len(memory.records) == 3
"""
    assert not modules_after(script) & {*NEVER, "aiokafka"}


@pytest.mark.parametrize("module", ["arc_eval_db.producers.transports.kafka"])
def test_the_check_can_see_what_it_looks_for(module: str) -> None:
    assert "aiokafka" in modules_after(f"import {module}")
