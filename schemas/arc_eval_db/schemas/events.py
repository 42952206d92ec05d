"""The event types: CloudEvents 1.0 in structured JSON. The JSON Schemas are made from these models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self, get_args

import orjson
from pydantic import (
    UUID7,
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic.types import UUID5
from pydantic_core import PydanticCustomError

from arc_eval_db.schemas import ids
from arc_eval_db.schemas.json_fields import ExactJsonObject, JsonObject
from arc_eval_db.schemas.limits import INTEGER_MAX, NAME_CHARACTERS_MAX
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.schemas.text import truncate

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f\uFFFD]+$"),
]
"""Short text that is indexed and grouped by: one to 200 characters, no control characters."""

FreeText = Annotated[str, AfterValidator(truncate)]
"""Text for people; cut at `limits.TEXT_BYTES_MAX` with a marker."""

Count = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _check_has_date(value: object) -> object:
    # pydantic takes a text of digits as seconds or milliseconds since 1970, whichever it guesses.
    if isinstance(value, datetime) or (isinstance(value, str) and value[:4].isdigit() and value[4:5] == "-"):
        return value
    raise PydanticCustomError("time_not_rfc3339", "Input should be a date and time as in RFC 3339")


Time = Annotated[AwareDatetime, Strict(False), BeforeValidator(_check_has_date)]
"""A moment with its offset from UTC; digits after the sixth of a second's fraction are cut off."""


class Model(BaseModel):
    """Types are not coerced, unknown fields are ignored (additive change keeps the version), errors show no values."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class ExecutionContext(Model):
    """What every event says about its execution, so that each row can be queried without a join."""

    configuration_version_id: UUID5
    """`ids.configuration_version_id` of the configuration that ran."""
    scenario_id: UUID5
    """`ids.scenario_id` of the scenario's name."""
    simulation_id: UUID5 | None = None
    """`ids.simulation_id` of the simulation's name, where the execution is part of one."""


class ExecutionStarted(ExecutionContext):
    """An agent began to work on a scenario."""

    scenario: Name
    simulation: Name | None = None
    configuration_name: Name | None = None
    configuration: ExactJsonObject | None = None
    """The version's content; left out where only its id is known."""
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Counts from 1 where a scheduler runs the same work again."""
    metadata: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_ids(self) -> Self:
        if self.scenario_id != ids.scenario_id(self.scenario):
            raise ValueError("scenario_id is not the id of scenario")
        if self.simulation is not None and self.simulation_id != ids.simulation_id(self.simulation):
            raise ValueError("simulation_id is not the id of simulation")
        if self.configuration is not None and self.configuration_version_id != _version_id(self.configuration):
            raise ValueError("configuration_version_id is not the id of configuration")
        return self


class ExecutionProgressed(ExecutionContext):
    """A sign of life, with whatever the agent wants to say."""

    message: FreeText | None = None
    step: Count | None = None
    details: JsonObject = Field(default_factory=dict)


class ExecutionCompleted(ExecutionContext):
    """The last event of an execution."""

    status: ExecutionStatus
    score: Number | None = None
    """As the evaluation defines it."""
    duration_ms: Amount | None = None
    cost_usd: Amount | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    error_kind: Name | None = None
    """What errors are grouped by, such as the exception's class."""
    error_message: FreeText | None = None
    metadata: JsonObject = Field(default_factory=dict)
    last_sequence: Count | None = None
    """This event's own sequence: how many events the producer numbered."""
    dropped: dict[Name, Count] = Field(default_factory=dict)
    """How many of them were never sent, by reason."""


class ToolUsed(ExecutionContext):
    """The agent used a tool."""

    tool: Name
    success: bool
    """False with or without a text in `error`."""
    duration_ms: Amount | None = None
    error: FreeText | None = None
    arguments: JsonObject = Field(default_factory=dict)
    result_bytes: Count | None = None
    """How large the result was; the result itself is not sent."""


class FailureRecorded(ExecutionContext):
    """Something went wrong inside a run; the run may go on."""

    kind: Name
    """What failures are grouped by, such as "policy_violation"."""
    message: FreeText
    details: JsonObject = Field(default_factory=dict)


class Envelope(Model):
    """The CloudEvents attributes that every event has."""

    specversion: Literal["1.0"]
    id: UUID7
    """The event's identity: one that comes twice is stored once."""
    source: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x20\x7f\uFFFD]+$")]
    """A URI reference to what emitted the event."""
    subject: UUID7
    """The execution's id."""
    time: Time
    """When it happened; neither before 2020 nor more than a day ahead."""
    partitionkey: Annotated[str, StringConstraints(max_length=NAME_CHARACTERS_MAX)] | None = None
    """The record's key, which is the execution's id."""
    sequence: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
    """Counts from 1 per execution and producer, ten digits so that text sorts like numbers; 0 for what is said from
    outside of the execution, which its own last event does not count."""
    traceparent: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None
    ) = None
    """W3C trace context, taken over from whoever started the sandbox."""


class StartedEvent(Envelope):
    """An execution started."""

    type: Literal["arc_eval.execution.started.v1"]
    data: ExecutionStarted


class ProgressedEvent(Envelope):
    """An execution made progress."""

    type: Literal["arc_eval.execution.progressed.v1"]
    data: ExecutionProgressed


class CompletedEvent(Envelope):
    """An execution completed."""

    type: Literal["arc_eval.execution.completed.v1"]
    data: ExecutionCompleted


class ToolUsedEvent(Envelope):
    """A tool was used."""

    type: Literal["arc_eval.tool.used.v1"]
    data: ToolUsed


class FailureRecordedEvent(Envelope):
    """A failure was recorded."""

    type: Literal["arc_eval.failure.recorded.v1"]
    data: FailureRecorded


Event = StartedEvent | ProgressedEvent | CompletedEvent | ToolUsedEvent | FailureRecordedEvent

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Discriminator("type")])

EVENT_MODELS: tuple[type[Envelope], ...] = (
    StartedEvent,
    ProgressedEvent,
    CompletedEvent,
    ToolUsedEvent,
    FailureRecordedEvent,
)

_version_ids: dict[bytes, ids.ConfigurationVersionId] = {}
_VERSION_IDS_MAX = 1024


def _version_id(content: ExactJsonObject) -> ids.ConfigurationVersionId:
    # Canonical JSON in pure Python costs about 100 times a parse, and a simulation has few configurations.
    key = orjson.dumps(content)
    if (known := _version_ids.get(key)) is None:
        try:
            known = ids.configuration_version_id(content)
        except ids.NotCanonicalError as error:
            raise ValueError("configuration has no canonical form (RFC 8785)") from error
        if len(_version_ids) >= _VERSION_IDS_MAX:
            _version_ids.clear()
        _version_ids[key] = known
    return known


def type_name(model: type[Envelope]) -> str:
    """The CloudEvents type of an event model, such as "arc_eval.tool.used.v1"."""
    (name,) = get_args(model.model_fields["type"].annotation)
    assert isinstance(name, str)
    return name
