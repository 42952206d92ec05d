"""No settings, or wrong ones: the agent's run goes on, and the log says so once."""

from __future__ import annotations

import logging
import threading

import pytest

from arc_eval_db.producers import EventEmitter, execution
from arc_eval_db.schemas.ids import new_execution_id
from arc_eval_db.schemas.topics import TOOL_USED

pytestmark = pytest.mark.usefixtures("new_process")


def run_something() -> str:
    with execution("refund-flow", {"model": "m1"}) as run:
        with run.tool("lookup", {"id": 7}) as call:
            call.result("x")
        run.progress("halfway", step=1)
        run.failure("policy_violation", "no approval")
        run.complete(success=True)
    return str(run.execution_id)


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_one_warning_in_the_whole_process(caplog: pytest.LogCaptureFixture) -> None:
    threads_before = set(threading.enumerate())
    ids = {run_something() for _ in range(3)}
    assert len(ids) == 3
    assert set(threading.enumerate()) == threads_before
    ((level, message),) = messages(caplog)
    assert level == logging.WARNING
    assert "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS" in message


def test_one_warning_also_from_many_threads(caplog: pytest.LogCaptureFixture) -> None:
    threads = [threading.Thread(target=run_something) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) == 1


def test_emit_gives_none_and_close_has_nothing_to_say() -> None:
    emitter = EventEmitter()
    assert not emitter.enabled
    assert emitter.emit(TOOL_USED, new_execution_id(), {"tool": "t"}) is None
    assert emitter.flush(timeout=5).complete
    assert emitter.close(timeout=5).complete


def test_an_unknown_event_type_is_the_callers_mistake() -> None:
    with pytest.raises(KeyError):
        EventEmitter().emit("arc_eval.typo.v1", new_execution_id(), {})


def test_none_is_silent(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_TRANSPORT", "none")
    run_something()
    assert not caplog.records


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ARC_EVAL_CLOSE_TIMEOUT_S", "soon"),
        ("ARC_EVAL_TRANSPORT", "pigeon"),
        ("ARC_EVAL_TRANSPORT", "file"),  # without ARC_EVAL_EVENTS_FILE
        ("ARC_EVAL_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),  # without a user
    ],
)
def test_a_wrong_setting_is_one_error_and_no_exception(
    variable: str, value: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    run_something()
    run_something()
    ((level, message),) = messages(caplog)
    assert level == logging.ERROR
    assert "ARC_EVAL_" in message


async def test_a_wrong_setting_does_not_end_a_coroutine_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_QUEUE_BYTES_MAX", "many")
    async with execution("s", {}) as run, run.tool("t"):
        pass
    assert run.execution_id.version == 7
