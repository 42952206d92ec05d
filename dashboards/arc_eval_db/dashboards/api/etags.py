"""ETags: the revision of a configuration, and the hash of a version's content. Changes say which they are made for."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header, Response

from arc_eval_db.configurations import Configuration, ConfigurationManager, ConfigurationVersion
from arc_eval_db.dashboards.api.problems import Kind, ProblemError

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that was read; the change is made only if it is still that, or is made already. "
        "`*`: whatever it is.",
        examples=['"7"', "*"],
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="An ETag that is known: 304 where it is still that.", examples=['"7"']),
]

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_REVISION = re.compile(r'"([0-9]{1,18})"')


def configuration_tag(configuration: Configuration) -> str:
    """Of a configuration, and of its labels and schema: they change with it."""
    return f'"{configuration.revision}"'


def version_tag(version: ConfigurationVersion) -> str | None:
    """Of a version; None where its content is not known yet."""
    return None if version.content_hash is None else f'"{version.content_hash}"'


def not_modified(if_none_match: str | None, tag: str | None) -> Response | None:
    """The 304, where whoever asks has this already."""
    if if_none_match is None or tag is None:
        return None
    known = _tags(if_none_match, "If-None-Match")
    # RFC 9110: compared weakly.
    if known == ["*"] or tag in {one.removeprefix("W/") for one in known}:
        return Response(status_code=304, headers={"ETag": tag})
    return None


async def expected_revision(manager: ConfigurationManager, name: str, if_match: str | None) -> int | None:
    """The revision that a change is made for; None: any, as `*` says.

    Raises:
        ProblemError: 428 without If-Match, 412 where none of its tags can be the configuration's.
    """
    if if_match is None:
        raise ProblemError(
            Kind.PRECONDITION_REQUIRED, f"read {name} first, and send its ETag as If-Match; with * it is not looked at"
        )
    tags = _tags(if_match, "If-Match")
    if tags == ["*"]:
        return None
    # RFC 9110: compared strongly, so that weak ones never match.
    revisions = {int(match[1]) for tag in tags if (match := _REVISION.fullmatch(tag))}
    if len(revisions) == 1:
        return revisions.pop()
    current = (await manager.get(name)).revision
    if current in revisions:
        return current
    raise ProblemError(
        Kind.STALE, f"{name} is at revision {current}, which If-Match does not name", current_revision=current
    )


def _tags(header: str, name: str) -> list[str]:
    if header.strip() == "*":
        return ["*"]
    if not _TAGS.fullmatch(header):
        raise ProblemError(Kind.MALFORMED_REQUEST, f'{name}: an ETag in double quotes is needed, such as "7", or *')
    return re.findall(_TAG, header)
