"""What the SDK costs the agent, in counts and not in time: they are the same on every machine, however busy it is."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable

import pytest

from arc_eval_db.producers import EventEmitter, Execution, execution
from arc_eval_db.schemas.ids import new_execution_id
from arc_eval_db.schemas.topics import PROGRESSED
from support.fake_transport import FakeTransport
from support.scripts import run_script
from support.steps import steps

ARGUMENTS = {"order_id": 7, "query": "blue shoes, size 42", "limit": 10}

# How often each is measured. The least counts: an emit that finds the sender asleep has to wake it.
_ATTEMPTS = 20


def progress(run: Execution) -> None:
    run.progress("asked the customer", step=3)


def tool(run: Execution) -> None:
    with run.tool("lookup_order", ARGUMENTS) as call:
        call.result("a result of some length")


def tool_used(run: Execution) -> None:
    run.tool_used("search", success=True, duration_ms=310.5, arguments=ARGUMENTS)


def failure(run: Execution) -> None:
    run.failure("policy_violation", "refunded without approval", details={"order_id": 7})


def emit(run: Execution) -> None:
    run._emitter.emit(PROGRESSED, run.execution_id, {"message": "asked the customer", "step": 3})


@pytest.mark.parametrize(
    ("record", "steps_max"), [(progress, 145), (tool, 215), (tool_used, 165), (failure, 145), (emit, 150)]
)
def test_an_event_takes_few_steps(emitter: EventEmitter, record: Callable[[Execution], None], steps_max: int) -> None:
    """A change that needs more steps than this says in docs/performance.md what the event costs with it."""
    with execution("s", {}, emitter=emitter) as run:
        assert min(steps(lambda: record(run)) for _ in range(_ATTEMPTS)) <= steps_max


def test_a_step_more_is_counted() -> None:
    def nothing() -> None:
        pass

    def something() -> None:
        nothing()
        len("")

    assert steps(something) == steps(nothing) + 4


def test_an_event_that_waits_is_few_objects_for_the_garbage_collector() -> None:
    """Each is looked at again and again while the broker is away, whatever the agent does."""
    transport = FakeTransport()
    transport.hangs_in.add("open")
    emitter = EventEmitter(transport=transport)
    execution_id = new_execution_id()
    count = 1000

    def emit_all() -> None:
        for _ in range(count):
            emitter.emit_text(PROGRESSED, execution_id, {"step": 3})

    emit_all()
    gc.collect()
    before = len(gc.get_objects())
    emit_all()
    gc.collect()
    try:
        assert len(gc.get_objects()) - before <= 4.1 * count
    finally:
        emitter.close(timeout=0.1)


IMPORTS = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# What most Python programs load is among those that the SDK may. What is here costs a twentieth of its import or more.
NEVER = {
    "asyncio",
    "ssl",
    "socket",
    "subprocess",
    "pathlib",
    "urllib.parse",
    "decimal",
    "importlib.metadata",
    "concurrent.futures",
    "arc_eval_db.producers.sender",
    "arc_eval_db.producers.spool",
    "arc_eval_db.producers.supervisor",
    "arc_eval_db.schemas.events",
}
MODULES_MAX = 110


def loaded_by(statement: str) -> set[str]:
    # Coverage loads modules of its own, which would be taken for the interpreter's.
    ended = run_script(IMPORTS.format(statement=statement), measured=False)
    assert ended.code == 0, ended.stderr
    return set(json.loads(ended.stdout))


def test_importing_the_sdk_loads_few_modules() -> None:
    loaded = loaded_by("import arc_eval_db.producers")
    assert not loaded & NEVER
    assert len(loaded) <= MODULES_MAX, sorted(loaded)


def test_what_is_not_loaded_is_found_when_it_is_used() -> None:
    loaded = loaded_by("from arc_eval_db.producers import *")
    assert "arc_eval_db.producers.supervisor" in loaded
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import arc_eval_db.producers

        arc_eval_db.producers.nothing  # noqa: B018 - that is what is looked at
