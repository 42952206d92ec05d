"""What the API takes. A field that is not known, or of another type, is refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from arc_eval_db.dashboards.api.parameters import NAME_PATTERN, LabelText, NameText, ReferenceText
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX

DESCRIPTION_CHARACTERS_MAX = 10_000
LABELS_MAX = 100
NUMBER_MAX = 999_999_999
"""As references have it."""

Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]
Content = Annotated[
    dict[str, Any], Field(description="Any JSON object.", examples=[{"model": "m1", "temperature": 0.2}])
]
LabelTexts = Annotated[list[LabelText], Field(max_length=LABELS_MAX, examples=[["candidate"]])]
Place = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=NAME_PATTERN),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewConfiguration(_Body):
    """A configuration, with a first version where there is a content."""

    name: NameText = Field(examples=["careful"])
    content: Content | None = None
    description: Description | None = None
    labels: LabelTexts = Field(default=[], description="Put on the first version.")


class ConfigurationChange(_Body):
    """What is to become of a configuration."""

    description: Description


class NewVersion(_Body):
    """A content, which becomes a version unless it is one."""

    content: Content
    description: Description | None = Field(default=None, description="Of the configuration.")
    labels: LabelTexts = Field(default=[], description="Moved to the version; then If-Match is needed.")


class LabelTarget(_Body):
    """Where a label is to be."""

    number: int = Field(ge=1, le=NUMBER_MAX, examples=[3])


class NewContentSchema(_Body):
    """What contents are to fit."""

    content_schema: dict[str, Any] = Field(
        description="JSON Schema, Draft 2020-12, complete in itself.",
        examples=[{"type": "object", "required": ["model"]}],
    )


class NewDeployment(_Body):
    """A version is in a deployment from now on."""

    version: ReferenceText = Field(
        description="As the reference of `/v1/versions/{reference}`.", examples=["careful@production"]
    )
    deployment: Place = Field(examples=["ap-1f0c"])
    environment: Place = Field(examples=["main"])
    replace: bool = Field(default=False, description="The other versions of the configuration leave it.")


class DeploymentEnd(_Body):
    """A version has left a deployment."""

    version: ReferenceText = Field(
        description="A version, or the name of a configuration: all of its.", examples=["careful@3"]
    )
    deployment: Place = Field(examples=["ap-1f0c"])
    environment: Place = Field(examples=["main"])
