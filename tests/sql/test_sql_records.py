"""Records become the same events that a sandbox sends, or are refused for the same reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from arc_eval_db.records import (
    Envelope,
    ExecutionReference,
    ExecutionStart,
    Failure,
    Outcome,
    Record,
    ToolUse,
    event_of,
    plain_data_of,
)
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.events import CompletedEvent, FailureRecordedEvent, StartedEvent, ToolUsedEvent
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.status import ExecutionStatus

CONFIGURATION = {"name": "careful", "model": "m1"}
EXECUTION = ExecutionReference(
    ids.uuid7(),
    ids.configuration_version_id(CONFIGURATION),
    ids.scenario_id("refund-flow"),
    ids.simulation_id("nightly"),
)


def test_a_start_brings_everything_that_its_configuration_says() -> None:
    event = event_of(ExecutionStart("refund-flow", CONFIGURATION, "nightly", metadata={"seed": 7}))
    assert isinstance(event, StartedEvent)
    assert event.data.configuration_name == "careful"
    assert event.data.configuration == CONFIGURATION
    assert event.data.metadata == {"seed": 7}
    assert ExecutionReference.of(event) == ExecutionReference(
        event.subject, EXECUTION.configuration_version_id, EXECUTION.scenario_id, EXECUTION.simulation_id
    )


def test_a_start_may_name_a_known_version() -> None:
    event = event_of(
        ExecutionStart("refund-flow", EXECUTION.configuration_version_id, execution_id=EXECUTION.execution_id)
    )
    assert isinstance(event, StartedEvent)
    assert event.subject == EXECUTION.execution_id
    assert event.data.configuration is None
    assert event.data.simulation_id is None


@pytest.mark.parametrize(
    ("record", "model", "expected"),
    [
        (
            Outcome(EXECUTION, ExecutionStatus.FAILED, score=0.5, cost_usd=1, metadata={"a": [1, None]}),
            CompletedEvent,
            {"status": ExecutionStatus.FAILED, "score": 0.5, "cost_usd": 1.0, "metadata": {"a": [1, None]}},
        ),
        (
            ToolUse(EXECUTION, "lookup", success=False, error="no\x00such order", arguments={"order_id": 7}),
            ToolUsedEvent,
            {"tool": "lookup", "success": False, "error": "no\ufffdsuch order", "arguments": {"order_id": 7}},
        ),
        (Failure(EXECUTION, "policy", "refunded"), FailureRecordedEvent, {"kind": "policy", "message": "refunded"}),
    ],
)
def test_what_is_about_an_execution_says_which(record: Record, model: type, expected: dict[str, Any]) -> None:
    event = event_of(record)
    assert isinstance(event, model)
    assert ExecutionReference.of(event) == EXECUTION
    assert event.data.model_dump(include=set(expected)) == expected


def test_the_same_id_is_the_same_event() -> None:
    envelope = Envelope(event_id=ids.uuid7())
    first, second = (event_of(Failure(EXECUTION, "k", "m", envelope=envelope)) for _ in range(2))
    assert (first.id, first.time) == (second.id, second.time)
    assert abs(datetime.now(UTC) - first.time) < timedelta(minutes=1)


def test_an_envelope_is_taken_over() -> None:
    time = datetime(2026, 11, 23, 12, tzinfo=UTC)
    event = event_of(Failure(EXECUTION, "k", "m", envelope=Envelope(time=time, sequence=7, source="/scripts/import")))
    assert (event.time, event.sequence, event.source) == (time, "0000000007", "/scripts/import")


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (Outcome(EXECUTION, "fine"), RefusalReason.INVALID_DATA, "data.status: "),
        (Outcome(EXECUTION, "failed", score=float("nan")), RefusalReason.INVALID_DATA, "data.score: must be finite"),
        (Outcome(EXECUTION, "failed", cost_usd=-1), RefusalReason.INVALID_DATA, "data.cost_usd: "),
        (
            Outcome(EXECUTION, "failed", metadata={"a": object()}),
            RefusalReason.INVALID_DATA,
            "cannot be written as JSON",
        ),
        (Failure(EXECUTION, "k", "\ud800"), RefusalReason.INVALID_DATA, "cannot be written as JSON"),
        (ToolUse(EXECUTION, "x" * 201, success=True), RefusalReason.INVALID_DATA, "data.tool: "),
        (ExecutionStart("s", {"a": float("inf")}), RefusalReason.INVALID_DATA, "configuration: "),
        (ExecutionStart("s", CONFIGURATION, attempt=0), RefusalReason.INVALID_DATA, "data.attempt: "),
        (
            Failure(EXECUTION, "k", "m", envelope=Envelope(time=datetime(2019, 1, 1, tzinfo=UTC))),
            RefusalReason.TIME_OUT_OF_RANGE,
            "time: before 2020",
        ),
        (
            Failure(EXECUTION, "k", "m", envelope=Envelope(time=datetime(2026, 11, 23))),  # noqa: DTZ001 - naive
            RefusalReason.INVALID_ENVELOPE,
            "time: ",
        ),
        (
            Failure(EXECUTION, "k", "m", envelope=Envelope(event_id=UUID(int=1))),
            RefusalReason.INVALID_DATA,
            "cannot be written as JSON",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(record: Record, reason: RefusalReason, detail: str) -> None:
    with pytest.raises(EventRefusedError) as caught:
        event_of(record)
    assert caught.value.reason is reason
    assert caught.value.detail.startswith(detail)


class DriversUUID(UUID):
    """What a driver may give for an id that it has read."""


def test_ids_that_were_read_are_recorded_with() -> None:
    read = ExecutionReference(
        DriversUUID(int=EXECUTION.execution_id.int),
        DriversUUID(int=EXECUTION.configuration_version_id.int),
        DriversUUID(int=EXECUTION.scenario_id.int),
    )
    event = event_of(Outcome(read, "succeeded"))
    assert type(event.subject) is type(event.data.scenario_id) is UUID
    assert plain_data_of(Outcome(read, "succeeded")) is None
    mixed = replace(EXECUTION, scenario_id=read.scenario_id)
    assert plain_data_of(Outcome(mixed, "succeeded")) is None
    start = ExecutionStart("s", read.configuration_version_id, execution_id=read.execution_id)
    assert event_of(start).data.configuration_version_id == EXECUTION.configuration_version_id


def test_the_moment_in_an_id() -> None:
    before = datetime.now(UTC)
    moment = ids.time_of(ids.uuid7())
    assert timedelta(microseconds=-2) <= moment - before < timedelta(seconds=10)
    with pytest.raises(ValueError, match="not a UUIDv7"):
        ids.time_of(EXECUTION.scenario_id)
