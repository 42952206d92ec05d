"""Parameters that several routes take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from arc_eval_db.configurations import ConfigurationManager
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.paths import unescaped
from arc_eval_db.dashboards.api.problems import invalid
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX

NAME_PATTERN = r"^[^\x00-\x1f\x7f]+$"
LABEL_PATTERN = r"^[A-Za-z][A-Za-z0-9._/-]{0,62}$"
SELECTOR_PATTERN = r"^(?:[0-9]{1,9}|[A-Za-z][A-Za-z0-9._/-]{0,62})$"
"""Without an `@`: it would belong to the name before it."""
_TIME_MIN, _TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


def _unescaped(value: Any) -> Any:
    return unescaped(value) if isinstance(value, str) else value


def _in_range(moment: datetime) -> datetime:
    if not _TIME_MIN <= moment < _TIME_MAX:
        raise ValueError("must be from 1970 to 2999")
    return moment.astimezone(UTC)


def _is_rfc3339(value: Any) -> Any:
    # pydantic takes seconds since 1970, and dates alone, too.
    if isinstance(value, str) and "T" not in value.upper() and " " not in value:
        raise ValueError("must be a time with its offset from UTC, such as 2026-11-24T00:00:00Z")
    return value


NameText = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=NAME_PATTERN)]
LabelText = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
SelectorText = Annotated[str, StringConstraints(pattern=SELECTOR_PATTERN)]
ReferenceText = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=NAME_PATTERN)]

NamePath = Annotated[
    NameText,
    BeforeValidator(_unescaped),
    Path(description="A configuration's name; a slash in it is sent as %2F.", examples=["careful"]),
]
LabelPath = Annotated[
    LabelText,
    BeforeValidator(_unescaped),
    Path(description="A label; a slash in it is sent as %2F.", examples=["production"]),
]
SelectorPath = Annotated[
    SelectorText, BeforeValidator(_unescaped), Path(description="A number, a label, or `latest`.", examples=["3"])
]
ReferencePath = Annotated[
    ReferenceText,
    BeforeValidator(_unescaped),
    Path(
        description="`NAME`, `NAME@3`, `NAME@label`, a version's UUID, or `sha256:` and 8 or more digits of its hash.",
        examples=["careful@production"],
    ),
]
_AS_REFERENCE = "As the reference of `/v1/versions/{reference}`."
FirstReferenceQuery = Annotated[ReferenceText, Query(description=_AS_REFERENCE, examples=["careful@production"])]
SecondReferenceQuery = Annotated[ReferenceText, Query(description=_AS_REFERENCE, examples=["careful"])]
NameQuery = Annotated[NameText | None, Query(max_length=NAME_CHARACTERS_MAX)]
_Moment = Annotated[
    AwareDatetime | None,
    AfterValidator(lambda moment: None if moment is None else _in_range(moment)),
    BeforeValidator(_is_rfc3339),
]
_RFC3339 = "RFC 3339, with its offset from UTC"
AtQuery = Annotated[_Moment, Query(description=f"At this moment: {_RFC3339}. In place of `since` and `until`.")]
SinceQuery = Annotated[
    _Moment, Query(description=f"From this moment on: {_RFC3339}.", examples=["2026-11-24T00:00:00Z"])
]
UntilQuery = Annotated[_Moment, Query(description=f"Before this moment: {_RFC3339}; after `since`.")]


def _database(request: Request) -> ApiDatabase:
    found: ApiDatabase = request.app.state.database
    return found


def _manager(request: Request) -> ConfigurationManager:
    return _database(request).configurations


Database = Annotated[ApiDatabase, Depends(_database)]
Manager = Annotated[ConfigurationManager, Depends(_manager)]


def require_span(since: datetime | None, until: datetime | None) -> None:
    """Refuse a span in which there is no moment.

    Raises:
        ProblemError: `since` is not before `until`.
    """
    if since is not None and until is not None and since >= until:
        raise invalid("query.until", "must be after since")
