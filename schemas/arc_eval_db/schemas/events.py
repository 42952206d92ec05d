"""The event types: CloudEvents 1.0 in structured JSON. The JSON Schemas are made from these models."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

import orjson
from pydantic import (
    UUID7,
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic.types import UUID5

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


class Strict(BaseModel):
    """Types are not coerced, unknown fields are ignored (additive change keeps the version), errors show no values."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class ExecutionContext(Strict):
    """What every event says about its execution, so that each row can be queried without a join."""

    configuration_version_id: UUID5
    scenario_id: UUID5
    simulation_id: UUID5 | None = None


class ExecutionStarted(ExecutionContext):
    """An agent began to work on a scenario."""

    scenario: Name
    simulation: Name | None = None
    configuration_name: Name | None = None
    configuration: ExactJsonObject | None = None
    """The version's content; left out where only its id is known."""
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1
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
    duration_ms: Amount | None = None
    cost_usd: Amount | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    error_kind: Name | None = None
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
    duration_ms: Amount | None = None
    error: FreeText | None = None
    arguments: JsonObject = Field(default_factory=dict)
    result_bytes: Count | None = None


class FailureRecorded(ExecutionContext):
    """Something went wrong inside a run; the run may go on."""

    kind: Name
    message: FreeText
    details: JsonObject = Field(default_factory=dict)


class Envelope(Strict):
    """The CloudEvents attributes that every event has."""

    specversion: Literal["1.0"]
    id: UUID7
    source: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x20\x7f\uFFFD]+$")]
    """A URI reference to what emitted the event."""
    subject: UUID7
    """The execution's id."""
    time: AwareDatetime
    partitionkey: Annotated[str, StringConstraints(max_length=NAME_CHARACTERS_MAX)] | None = None
    sequence: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
    """Counts from 1 per execution and producer, ten digits so that text sorts like numbers."""
    traceparent: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None
    ) = None
    """W3C trace context, taken over from whoever started the sandbox."""


class StartedEvent(Envelope):
    type: Literal["arc_eval.execution.started.v1"]
    data: ExecutionStarted


class ProgressedEvent(Envelope):
    type: Literal["arc_eval.execution.progressed.v1"]
    data: ExecutionProgressed


class CompletedEvent(Envelope):
    type: Literal["arc_eval.execution.completed.v1"]
    data: ExecutionCompleted


class ToolUsedEvent(Envelope):
    type: Literal["arc_eval.tool.used.v1"]
    data: ToolUsed


class FailureRecordedEvent(Envelope):
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
